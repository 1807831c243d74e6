package gateway

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	typev1 "github.com/koban-pay/koban/gen/koban/type/v1"
)

// requests returns an empty message and the schema of every POST.
func requests(t testing.TB) map[string]func() (protoreflect.Message, *schema) {
	t.Helper()
	table, err := routeTable(contracts)
	if err != nil {
		t.Fatal(err)
	}
	d := &door{}
	reg := d.registry()
	out := map[string]func() (protoreflect.Message, *schema){}
	for _, r := range table {
		if r.Verb == "POST" {
			out[r.Pattern] = func() (protoreflect.Message, *schema) {
				return reg.handlers[r.Method].fresh().ProtoReflect(), r.input
			}
		}
	}
	return out
}

// What is accepted is stable: read again from its canonical form it is the same message of the same form.
func FuzzDecode(f *testing.F) {
	all := requests(f)
	for _, r := range amountRoutes {
		for _, token := range append(amountTokens, "1200") {
			f.Add([]byte(strings.Replace(r.body, "%s", token, 1)))
		}
	}
	for _, s := range []string{charge, `{"name":"茶屋\u8336\ud83d\ude00"}`, `{"payload":"0002","customer":"cus_1"}`, `{"final":false,"async":true}`, " ", "{}", "{\"\xff\":1}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for path, fresh := range all {
			m, s := fresh()
			if err := decode(s, body, m); err != nil {
				if err.Code.Status() != 400 || !strings.Contains(" invalid_request unknown_field missing_field invalid_amount invalid_currency ", " "+string(err.Code)+" ") {
					t.Fatalf("%s: %v", path, err)
				}
				continue
			}
			form := appendCanonical(nil, s, m, "")
			again, _ := fresh()
			if err := decode(s, form, again); err != nil {
				t.Fatalf("%s took %q, but not its form %q: %v", path, body, form, err)
			}
			if !proto.Equal(m.Interface(), again.Interface()) {
				t.Fatalf("%s: %q and its form %q differ: %v and %v", path, body, form, m, again)
			}
			if f2 := appendCanonical(nil, s, again, ""); string(f2) != string(form) {
				t.Fatalf("%s: form %q becomes %q", path, form, f2)
			}
		}
	})
}

func TestWholeNumber(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "7": 7, "-7": -7, "10": 10, "9223372036854775807": 1<<63 - 1, "-9223372036854775808": -1 << 63, "12,": 12, "12}": 12, "12]": 12, "12 ": 12,
	} {
		if v, n, problem := wholeNumber([]byte(text)); v != want || problem != "" || n != len(strings.TrimRight(text, ",}] ")) {
			t.Errorf("%q: %d, %d bytes, %s", text, v, n, problem)
		}
	}
	for _, text := range []string{
		"", "-", "-0", "00", "01", "-01", "+1", "1.", "1.0", "1e1", "1E1", "0x1", "1_0", "\uff11", "1\uff11", "1\x00", "1-", "1\"",
		"9223372036854775808", "-9223372036854775809", "18446744073709551617", "99999999999999999999999999",
	} {
		if v, _, problem := wholeNumber([]byte(text)); problem == "" || v != 0 {
			t.Errorf("%q is taken for %d", text, v)
		}
	}
}

// Everything in the contracts has a form: routes, requests, answers.
func TestContractsHaveAForm(t *testing.T) {
	table, err := routeTable(contracts)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range table {
		if seen[r.label] {
			t.Errorf("%s stands twice", r.label)
		}
		seen[r.label] = true
		for _, f := range r.input.fields {
			if !f.settable() {
				t.Errorf("%s: a request cannot carry %s", r.label, f.name)
			}
		}
	}
}

// The codec refuses contracts that it has no form for.
func TestSchemasRefuse(t *testing.T) {
	for _, m := range []proto.Message{
		&descriptorpb.FieldOptions{},        // enums of other prefixes
		&descriptorpb.UninterpretedOption{}, // double, uint64, bytes
		&typev1.Rules{},                     // int32
	} {
		if _, err := (schemas{}).of(m.ProtoReflect().Descriptor()); err == nil {
			t.Errorf("%s was taken", m.ProtoReflect().Descriptor().FullName())
		}
	}
}

// The committed document is the one that is served by: it has every route, and says nothing that the code does not.
func TestOpenAPI(t *testing.T) {
	bare, err := OpenAPI(contracts, &descriptorpb.FileDescriptorSet{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := withoutDescriptions(string(openapi)), withoutDescriptions(string(bare)); got != want {
		t.Error("gateway/openapi.yaml is stale: run sh proto/generate.sh")
	}
	routes, err := Routes(contracts)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		_, after, ok := strings.Cut(string(openapi), "\n  "+r.Pattern+":\n")
		end := strings.Index(after, "\n  /")
		if end < 0 {
			end = len(after)
		}
		name := r.Method[strings.LastIndexByte(r.Method, '.')+1:]
		if !ok || !strings.Contains("\n"+after[:end], "\n    "+strings.ToLower(r.Verb)+":\n      operationId: "+name+"\n      tags: ") {
			t.Errorf("openapi.yaml lacks %s %s", r.Verb, r.Pattern)
		}
	}
	if strings.Count(string(openapi), "operationId: ") != len(routes) {
		t.Error("openapi.yaml has other routes")
	}
}

func withoutDescriptions(doc string) string {
	var out []string
	for _, line := range strings.Split(doc, "\n") {
		at := strings.TrimSpace(line)
		if !strings.HasPrefix(at, `description: "`) && !strings.HasPrefix(at, `summary: "`) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

func BenchmarkDecodePayment(b *testing.B) {
	m, s := requests(b)["/v1/payments"]()
	b.ReportAllocs()
	for b.Loop() {
		m = m.New()
		if err := decode(s, []byte(charge), m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodePayment(b *testing.B) {
	m := samplePayment().ProtoReflect()
	s, err := (schemas{}).of((&paymentv1.Payment{}).ProtoReflect().Descriptor())
	if err != nil {
		b.Fatal(err)
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = appendMessage(buf[:0], s, m)
	}
}

func BenchmarkCanonical(b *testing.B) {
	m, s := requests(b)["/v1/payments"]()
	if err := decode(s, []byte(charge), m); err != nil {
		b.Fatal(err)
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = appendCanonical(buf[:0], s, m, "async")
	}
}
