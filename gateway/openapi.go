package gateway

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/koban-pay/koban/fault"
)

// OpenAPI returns the OpenAPI 3.1 document of the API, in YAML. It is made of the same routes and schemas that the
// gateway serves by. Descriptions are the contracts' comments, which only a descriptor set from the compiler carries;
// with an empty set there are none.
func OpenAPI(contracts []protoreflect.FileDescriptor, comments *descriptorpb.FileDescriptorSet) ([]byte, error) {
	table, err := routeTable(contracts)
	if err != nil {
		return nil, err
	}
	files, err := protodesc.NewFiles(comments)
	if err != nil {
		return nil, err
	}
	d := &document{comments: files, named: map[string]component{}}
	d.put("openapi", "3.1.0")
	d.in("info", func() {
		d.put("title", "Koban")
		d.put("version", "v1")
		d.put("description", `"Payments, accounts, code sessions and events. docs/reference/api.md teaches it in ten minutes."`)
		d.put("license", "{name: Apache License 2.0, identifier: Apache-2.0}")
	})
	d.put("servers", `[{url: "http://127.0.0.1:8080", description: A platform on this machine.}]`)
	d.in("tags", func() {
		for _, t := range tags {
			d.line("- {name: " + t.name + ", description: " + quote(t.text) + "}")
		}
	})
	d.put("security", "[{key: []}]")
	d.in("paths", func() { d.paths(table) })
	d.in("components", d.components)
	return []byte(d.String()), nil
}

// document is YAML under construction.
type document struct {
	strings.Builder
	depth    int
	item     bool // the next line starts an item of a list
	comments *protoregistry.Files
	named    map[string]component
}

// component is a message as a request carries it or as an answer shows it.
type component struct {
	*schema
	request bool
}

func (d *document) line(s string) {
	dash := ""
	if d.item {
		dash, d.item = "- ", false
	}
	indent := strings.Repeat("  ", d.depth)
	fmt.Fprintf(d, "%s%s%s\n", indent[:len(indent)-len(dash)], dash, s)
}

func (d *document) put(key, value string) { d.line(key + ": " + value) }

func (d *document) in(key string, inner func()) {
	d.line(key + ":")
	d.depth++
	inner()
	d.depth--
}

// describe writes the comment of what is called name, as one line.
func (d *document) describe(name protoreflect.FullName) {
	found, err := d.comments.FindDescriptorByName(name)
	if err != nil {
		return
	}
	c := found.ParentFile().SourceLocations().ByDescriptor(found).LeadingComments
	if c = strings.Join(strings.Fields(c), " "); c != "" {
		d.put("description", quote(c))
	}
}

func quote(s string) string { return string(appendText(nil, s)) }

func (d *document) paths(table []*route) {
	var done []string
	for _, r := range table {
		if slices.Contains(done, r.Pattern) {
			continue
		}
		done = append(done, r.Pattern)
		d.in(r.Pattern, func() {
			for _, same := range table {
				if same.Pattern == r.Pattern {
					d.in(strings.ToLower(same.Verb), func() { d.operation(same) })
				}
			}
		})
	}
}

func (d *document) operation(r *route) {
	parts := strings.Split(r.Method, ".")
	d.put("operationId", parts[len(parts)-1])
	d.put("tags", "["+strings.TrimSuffix(parts[len(parts)-2], "Service")+"]")
	d.summarize(protoreflect.FullName(r.Method))
	d.describe(protoreflect.FullName(r.Method))
	roles := make([]string, len(r.Policy.Roles))
	for i, role := range r.Policy.Roles {
		roles[i] = role.String()
	}
	d.put("x-roles", "["+strings.Join(roles, ", ")+"]")
	d.parameters(r)
	if r.Verb == "POST" {
		d.in("requestBody", func() {
			d.put("required", strconv.FormatBool(r.input.need != 0))
			d.put("content", "{application/json: {schema: "+d.ref(component{r.input, true})+", example: "+about[r.Method].example+"}}")
		})
	}
	d.in("responses", func() { d.responses(r) })
}

// responses writes what a call is answered with: done, and each status of a fault with the codes that it may carry.
func (d *document) responses(r *route) {
	answer := ", content: {application/json: {schema: " + d.ref(component{r.output, false}) + "}}}"
	switch {
	case r.Verb != "POST":
		d.put(`"200"`, "{description: Read."+answer)
	default:
		d.put(`"201"`, "{description: Made and finished."+answer)
		if r.Policy.Later {
			d.put(`"202"`, `{description: "Durable and under way: read it, or send the same request again."`+answer)
		}
	}
	byStatus := map[int][]string{}
	for _, c := range r.codes() {
		byStatus[c.Status()] = append(byStatus[c.Status()], string(c))
	}
	for _, status := range slices.Sorted(maps.Keys(byStatus)) {
		list := byStatus[status]
		slices.Sort(list)
		d.put(strconv.Quote(strconv.Itoa(status)), "{description: "+quote(http.StatusText(status)+": "+strings.Join(list, ", "))+
			`, content: {application/json: {schema: {$ref: "#/components/schemas/ErrorResponse"}}}}`)
	}
	d.put("default", `{$ref: "#/components/responses/Error"}`)
}

// codes returns the codes of the faults that a call of r may be answered with.
func (r *route) codes() []fault.Code {
	out := slices.Clone(about[r.Method].codes)
	add := func(codes ...fault.Code) {
		for _, c := range codes {
			if !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	add(fault.InvalidRequest, fault.UnknownField, fault.NoCredentials, fault.BadCredentials, fault.RateLimited, fault.Overloaded,
		fault.NotReady, fault.ShuttingDown, fault.Unavailable, fault.Timeout, fault.Fenced, fault.Bug, fault.DataDamaged)
	if len(r.Policy.Roles) < len(roles) {
		add(fault.NotAllowed)
	}
	if len(r.path) > 0 {
		add(fault.InvalidID)
	}
	if r.Verb == "POST" {
		add(fault.MissingField, fault.IdempotencyKeyNeeded, fault.IdempotencyKeyBad, fault.IdempotencyKeyReused, fault.InProgress,
			fault.RequestTooLarge, fault.UnsupportedMediaType)
	}
	return out
}

// summarize writes the first sentence of the comment of what is called name.
func (d *document) summarize(name protoreflect.FullName) {
	found, err := d.comments.FindDescriptorByName(name)
	if err != nil {
		return
	}
	c := strings.Join(strings.Fields(found.ParentFile().SourceLocations().ByDescriptor(found).LeadingComments), " ")
	for _, end := range []string{": ", ". ", "; ", ", "} {
		if before, _, cut := strings.Cut(c, end); cut {
			c = before
		}
	}
	if c = strings.TrimSuffix(c, "."); c != "" {
		d.put("summary", quote(c))
	}
}

func (d *document) parameters(r *route) {
	query := r.Verb == "GET" && len(r.input.fields) > 0
	if len(r.path) == 0 && !query && r.Verb != "POST" {
		return
	}
	d.in("parameters", func() {
		if r.Verb == "POST" {
			d.line(`- $ref: "#/components/parameters/IdempotencyKey"`)
		}
		for _, f := range r.path {
			d.parameter(f, "path", true)
		}
		if !query {
			return
		}
		for i := range r.input.fields {
			f := &r.input.fields[i]
			d.parameter(f, "query", r.input.required(f))
		}
	})
}

func (d *document) parameter(f *field, in string, required bool) {
	d.depth++
	d.item = true
	d.put("name", f.name)
	d.put("in", in)
	if required {
		d.put("required", "true")
	}
	d.describe(f.fd.FullName())
	d.put("schema", "{"+d.form(f, true)+"}")
	d.depth--
}

// ref returns a reference to c, which stands among the components.
func (d *document) ref(c component) string {
	name := string(c.md.Name())
	if c.request && !strings.HasSuffix(name, "Request") {
		name += "Request"
	}
	d.named[name] = c
	return `{$ref: "#/components/schemas/` + name + `"}`
}

// form returns the JSON schema of one value of f, inside its braces.
func (d *document) form(f *field, request bool) string {
	switch f.kind {
	case text:
		if request {
			return "type: string, maxLength: " + strconv.Itoa(f.maxLen)
		}
		return "type: string"
	case boolean:
		return "type: boolean"
	case instant:
		return "type: string, format: date-time"
	case word:
		return "type: string, enum: [" + f.words.list() + "]"
	case integer:
		out := "type: integer, format: int64"
		if request && f.min != math.MinInt64 {
			out += ", minimum: " + strconv.FormatInt(f.min, 10)
		}
		if request && f.max != math.MaxInt64 {
			out += ", maximum: " + strconv.FormatInt(f.max, 10)
		}
		return out
	default:
		return strings.Trim(d.ref(component{f.of, request}), "{}")
	}
}

// shape returns the JSON schema of the whole member.
func (d *document) shape(f *field, request bool) string {
	limit := ""
	if request {
		limit = ", max" + map[bool]string{true: "Items", false: "Properties"}[f.list] + ": " + strconv.Itoa(f.maxLen)
	}
	switch {
	case f.kind == union:
		var of []string
		for _, n := range sortedNumbers(f.members) {
			of = append(of, d.ref(component{f.members[n], request}))
		}
		return "{oneOf: [" + strings.Join(of, ", ") + "]}"
	case f.list:
		return "{type: array" + limit + ", items: {" + d.form(f, request) + "}}"
	case f.dict:
		if !request {
			return "{type: object, additionalProperties: {type: string}}"
		}
		return "{type: object" + limit + `, propertyNames: {pattern: "^[A-Za-z0-9._-]{1,` + strconv.Itoa(mapKey) +
			`}$"}, additionalProperties: {type: string, maxLength: ` + strconv.Itoa(mapText) + "}}"
	case f.nullable:
		return `{anyOf: [{` + d.form(f, request) + `}, {type: "null"}]}`
	default:
		return "{" + d.form(f, request) + "}"
	}
}

func sortedNumbers(m map[protoreflect.FieldNumber]*schema) []protoreflect.FieldNumber {
	var out []protoreflect.FieldNumber
	for n := range m {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

func (d *document) components() {
	d.in("securitySchemes", func() { d.put("key", "{type: http, scheme: bearer}") })
	d.in("parameters", func() {
		d.in("IdempotencyKey", func() {
			d.put("name", "Idempotency-Key")
			d.put("in", "header")
			d.put("required", "true")
			d.put("description", `"One key for one intent, kept and sent with every try. The same key and body give the same answer."`)
			d.put("schema", `{type: string, minLength: 1, maxLength: 255, pattern: "^[ -~]+$"}`)
		})
	})
	failure, err := schemas{}.of(errorDescriptor)
	if err != nil {
		panic(err) // the contract of errors is compiled in, and New has used it
	}
	ref := d.ref(component{failure, false})
	d.in("responses", func() {
		d.put("Error", "{description: Not done., content: {application/json: {schema: "+ref+"}}}")
	})
	d.in("schemas", func() {
		done := map[string]bool{}
		for len(done) < len(d.named) { // writing one may name others
			for _, name := range sortedNames(d.named, done) {
				done[name] = true
				d.in(name, func() { d.component(d.named[name]) })
			}
		}
	})
}

func sortedNames(m map[string]component, done map[string]bool) []string {
	var out []string
	for name := range m {
		if !done[name] {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func (d *document) component(c component) {
	d.put("type", "object")
	d.describe(c.md.FullName())
	var required []string
	for i := range c.fields {
		f := &c.fields[i]
		if c.request && c.need&(1<<i) != 0 || !c.request && (c.need&(1<<i) != 0 || f.always()) {
			required = append(required, f.name)
		}
	}
	if len(required) > 0 {
		d.put("required", "["+strings.Join(required, ", ")+"]")
	}
	if c.request {
		d.put("additionalProperties", "false")
	}
	if len(c.fields) == 0 {
		return
	}
	d.in("properties", func() {
		for i := range c.fields {
			d.property(&c.fields[i], c.request)
		}
	})
}

func (d *document) property(f *field, request bool) {
	if f.kind == union {
		d.put(f.name, d.shape(f, request))
		return
	}
	d.in(f.name, func() {
		d.describe(f.fd.FullName())
		for _, part := range splitFlow(d.shape(f, request)) {
			d.line(part)
		}
	})
}

// always reports whether an answer shows f even where it is not set.
func (f *field) always() bool {
	return f.nullable || f.kind != union && !f.dict && (f.list || !f.fd.HasPresence() && f.kind != word)
}

// splitFlow returns the members of {a: b, c: {d: e}} one by one.
func splitFlow(s string) []string {
	s = s[1 : len(s)-1]
	var out []string
	depth, start := 0, 0
	for i, c := range s {
		switch c {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			if depth == 0 {
				out = append(out, strings.TrimSpace(s[start:i]))
				start = i + 1
			}
		}
	}
	return append(out, strings.TrimSpace(s[start:]))
}
