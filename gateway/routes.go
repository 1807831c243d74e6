package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Registry holds the contracts that are served, and the handler of each method. The gateway knows no service: platform brings
// both.
type Registry struct {
	contracts []protoreflect.FileDescriptor
	handlers  map[string]handler
	errs      []error
}

// NewRegistry returns a registry of the files whose services are served, with no handlers yet.
func NewRegistry(contracts []protoreflect.FileDescriptor) *Registry {
	return &Registry{contracts: contracts, handlers: map[string]handler{}}
}

type handler struct {
	in, out protoreflect.FullName
	fresh   func() proto.Message
	call    func(context.Context, proto.Message) (proto.Message, error)
}

// Handle registers h for a method by its full name, such as koban.payment.v1.PaymentService.CreatePayment. A handler
// finds its call with rpc.From, answers nil error with a message, and faults otherwise; rpc.Failed adds the failed
// payment. A mistake in registering is reported by New.
func Handle[Req, Resp proto.Message](r *Registry, method string, h func(context.Context, Req) (Resp, error)) {
	var in Req
	var out Resp
	if _, twice := r.handlers[method]; twice {
		r.errs = append(r.errs, fmt.Errorf("%s is registered twice", method))
	}
	r.handlers[method] = handler{
		in:    in.ProtoReflect().Descriptor().FullName(),
		out:   out.ProtoReflect().Descriptor().FullName(),
		fresh: func() proto.Message { return in.ProtoReflect().New().Interface() },
		call: func(ctx context.Context, m proto.Message) (proto.Message, error) {
			return h(ctx, m.(Req))
		},
	}
}

// Route is one method of the API.
type Route struct {
	Method  string // full name of the protobuf method
	Verb    string // GET or POST
	Pattern string // such as /v1/payments/{id}
	Policy  Policy
}

// route is a Route, prepared for serving.
type route struct {
	Route
	label    string   // verb and pattern, for logs and metrics
	segments []string // of the pattern; a parameter keeps its braces
	path     []*field // parameters, in the order of the path
	input    *schema  // what the body or query may carry
	output   *schema
	handler  handler
}

// Routes returns every route of the contracts, in their order.
func Routes(contracts []protoreflect.FileDescriptor) ([]Route, error) {
	table, err := routeTable(contracts)
	out := make([]Route, len(table))
	for i, r := range table {
		out[i] = r.Route
	}
	return out, err
}

// routeTable derives the routes from the contracts' google.api.http options.
func routeTable(contracts []protoreflect.FileDescriptor) ([]*route, error) {
	var table []*route
	all := schemas{}
	for _, file := range contracts {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				r, err := all.route(methods.Get(j))
				if err != nil {
					return nil, fmt.Errorf("gateway: %s: %w", methods.Get(j).FullName(), err)
				}
				table = append(table, r)
			}
		}
	}
	return table, nil
}

func (all schemas) route(md protoreflect.MethodDescriptor) (*route, error) {
	rule, ok := proto.GetExtension(md.Options(), annotations.E_Http).(*annotations.HttpRule)
	if !ok || rule == nil || md.IsStreamingClient() || md.IsStreamingServer() {
		return nil, fmt.Errorf("it has no google.api.http option, or streams")
	}
	r := &route{Route: Route{Method: string(md.FullName())}}
	switch p := rule.Pattern.(type) {
	case *annotations.HttpRule_Get:
		r.Verb, r.Pattern = "GET", p.Get
	case *annotations.HttpRule_Post:
		r.Verb, r.Pattern = "POST", p.Post
	}
	if r.Verb == "" || (r.Verb == "POST") != (rule.Body == "*") {
		return nil, fmt.Errorf("a route is a get, or a post with body *")
	}
	var err error
	if r.Policy, err = policyOf(md); err != nil {
		return nil, err
	}
	r.label = r.Verb + " " + r.Pattern
	in, err := all.of(md.Input())
	if err != nil {
		return nil, err
	}
	if r.output, err = all.of(md.Output()); err != nil {
		return nil, err
	}
	var params []string
	for _, seg := range strings.Split(r.Pattern, "/")[1:] {
		r.segments = append(r.segments, seg)
		name, ok := strings.CutPrefix(seg, "{")
		if !ok {
			continue
		}
		name = strings.TrimSuffix(name, "}")
		i, ok := in.byName[name]
		if !ok || in.fields[i].kind != text || in.fields[i].list {
			return nil, fmt.Errorf("{%s} is not a text of the request", name)
		}
		params = append(params, name)
		r.path = append(r.path, &in.fields[i])
	}
	r.input = in.without(params)
	if r.Verb == "GET" {
		err = queryable(r.input)
	}
	return r, err
}

// queryable reports a request that does not fit into a query.
func queryable(s *schema) error {
	for _, f := range s.fields {
		if f.list || f.dict || f.kind == object {
			return fmt.Errorf("%s does not fit into a query", f.name)
		}
	}
	return nil
}

// bind puts the registered handlers to their routes.
func bind(table []*route, reg *Registry) error {
	errs := slices.Clone(reg.errs)
	known := map[string]bool{}
	for _, r := range table {
		known[r.Method] = true
		h, ok := reg.handlers[r.Method]
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("%s has no handler", r.Method))
		case h.out != r.output.md.FullName() || h.in != r.input.md.FullName():
			errs = append(errs, fmt.Errorf("%s has a handler of other messages", r.Method))
		}
		r.handler = h
	}
	for method := range reg.handlers {
		if !known[method] {
			errs = append(errs, fmt.Errorf("%s is not a method of the contracts", method))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("gateway: handlers: %w", errors.Join(errs...))
}

// find returns the route of a path, or what the path would take instead of the verb, or neither.
func find(table []*route, verb, path string) (found *route, allowed []string) {
	for _, r := range table {
		if !r.matches(path) {
			continue
		}
		if r.Verb == verb {
			return r, nil
		}
		if !slices.Contains(allowed, r.Verb) {
			allowed = append(allowed, r.Verb)
			if r.Verb == "GET" {
				allowed = append(allowed, "HEAD")
			}
		}
	}
	return nil, allowed
}

// matches compares segment by segment, without decoding or cleaning the path: what is not written as the contract
// writes it is another address.
func (r *route) matches(path string) bool {
	for _, seg := range r.segments {
		head, rest := cutSegment(path)
		if head == "" || seg != head && seg[0] != '{' {
			return false
		}
		path = rest
	}
	return path == ""
}

// cutSegment returns the first segment of /a/b/c and the rest, which starts with a slash or is empty.
func cutSegment(path string) (head, rest string) {
	if path == "" || path[0] != '/' {
		return "", ""
	}
	if i := strings.IndexByte(path[1:], '/'); i >= 0 {
		return path[1 : 1+i], path[1+i:]
	}
	return path[1:], ""
}
