package payment

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	journalv1 "github.com/koban-pay/koban/gen/koban/payment/journal/v1"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// messages are what the events and the row are written as, by type; 0 is the row.
var messages = map[uint32]func() proto.Message{
	0:            func() proto.Message { return &journalv1.State{} },
	typeStarted:  func() proto.Message { return &journalv1.Started{} },
	typeAdvanced: func() proto.Message { return &journalv1.Advanced{} },
	typeDeferred: func() proto.Message { return &journalv1.Deferred{} },
	typeDecided:  func() proto.Message { return &journalv1.Decided{} },
	typeDeclined: func() proto.Message { return &journalv1.Declined{} },
}

// isProtobuf fails unless body is to the byte what proto.Marshal makes of the message that it holds.
func isProtobuf(t *rapid.T, typ uint32, body []byte) {
	m := messages[typ]()
	if err := (proto.UnmarshalOptions{}).Unmarshal(body, m); err != nil {
		t.Fatalf("type %d: %v", typ, err)
	}
	if strange(m.ProtoReflect()) {
		t.Fatalf("type %d has a field that its message has not", typ)
	}
	again, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil || !bytes.Equal(again, body) {
		t.Fatalf("type %d: %v\n%x\n%x", typ, err, body, again)
	}
}

// strange reports whether there are unknown fields anywhere in the message.
func strange(m protoreflect.Message) bool {
	found := len(m.GetUnknown()) > 0
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				found = found || strange(v.List().Get(i).Message())
			}
		default:
			found = found || strange(v.Message())
		}
		return true
	})
	return found
}

func drawPayment(t *rapid.T) Payment {
	p := rapid.Make[Payment]().Draw(t, "payment")
	for i := range p.Parts {
		for j := range p.Parts[i].Funding {
			p.Parts[i].Funding[j] = tcc.Funding{From: "suspense", Amount: money.Yen(int64(i + j))}
		}
	}
	return p
}

func TestEventsAreProtobuf(t *testing.T) {
	m := NewMachine(0, 1)
	same := cmp.Options{cmpopts.EquateEmpty()}
	rapid.Check(t, func(t *rapid.T) {
		p := drawPayment(t)
		a := Advanced{Tenant: p.Tenant, ID: p.ID, Parent: p.Parent, Operation: p.Operation, Standing: p.Standing}
		for _, x := range p.Parts {
			a.Answers = append(a.Answers, x.Answers...)
		}
		caller := rapid.Make[Caller]().Draw(t, "caller")
		caller.Key.Tenant = p.Tenant
		d := Decided{Tenant: p.Tenant, ID: p.ID, Parent: p.Parent, Cause: ByVoid, Operation: p.Operation, Standing: p.Standing}
		if !d.Operation.IsNil() {
			d.Caller = caller
		} else {
			d.Caller.Key.Tenant = p.Tenant
		}
		for _, ev := range []any{a, d,
			Deferred{Tenant: p.Tenant, ID: p.ID, Due: p.DeferredUntil, Attempts: p.Attempts, Code: p.DeferredCode},
			Declined{Tenant: p.Tenant, Payment: p.ID, Operation: p.Operation, Cause: ByRefund, Caller: caller, Code: p.DeferredCode}} {
			typ, body := m.Encode(ev)
			isProtobuf(t, typ, body)
			back, err := m.Decode(typ, body)
			if diff := cmp.Diff(ev, back, same); err != nil || diff != "" {
				t.Fatalf("%T: %v\n%s", ev, err, diff)
			}
		}
		typ, body := m.Encode(Started{Caller: caller, Payment: p})
		isProtobuf(t, typ, body)
		if ev, err := m.Decode(typ, body); err != nil || ev.(Started).Payment.Marks != p.Marks {
			t.Fatalf("marks %+v: %+v, %v", p.Marks, ev, err)
		}
		state := encodeState(nil, &p)
		isProtobuf(t, 0, state)
		var back Payment
		if err := decodeState(state, &back); err != nil {
			t.Fatal(err)
		}
		want := p // less what stands in columns of its own
		want.Kind, want.Amount, want.Customer, want.Merchant, want.Session, want.Parent = back.Kind, back.Amount, back.Customer, back.Merchant, back.Session, back.Parent
		want.Marks = Marks{}
		want.Captured, want.Refunded, want.CreatedAt, want.UpdatedAt = 0, 0, 0, 0
		if diff := cmp.Diff(want, back, same); diff != "" {
			t.Fatal(diff)
		}
	})
}
