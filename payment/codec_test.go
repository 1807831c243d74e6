package payment

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	journalv1 "github.com/koban-pay/koban/gen/koban/payment/journal/v1"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/wire/wiretest"
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

// into brings a word that was drawn at random between the first and the last that there are.
func into[W ~uint8](w *W, first, last W) { *w = first + *w%(last-first+1) }

func sum(n *int64) { *n &= money.MaxStored }

// drawPayment draws a payment of which everything can be, though not together.
func drawPayment(t *rapid.T) Payment {
	p := rapid.Make[Payment]().Draw(t, "payment")
	into(&p.Kind, Charge, Refund)
	into(&p.Capture, Automatic, Manual)
	into(&p.Status, Accepted, Succeeded)
	into(&p.Resource, WorkInProgress, ResourceFailed)
	into(&p.Phase, Init, Notified)
	into(&p.Rollback, NoRollback, RollbackCompleted)
	into(&p.Decision, Undecided, Cancel)
	into(&p.Aim, 0, Succeeded)
	into(&p.SettledStatus, 0, Succeeded)
	p.Amount = money.Yen(p.Amount.Minor&0xffff + 1)
	for i := range p.Sources {
		s := &p.Sources[i]
		into(&s.Type, FromBalance, FromPoints)
		sum(&s.Amount)
		sum(&s.Captured)
		sum(&s.Refunded)
		sum(&s.Refunding)
	}
	for i := range p.Parts {
		x := &p.Parts[i]
		x.Number, x.Amount = uint8(i+1), money.Of(x.Amount.Minor&0xffff+1, money.PT)
		into(&x.Participant, Balance, Code)
		into(&x.Role, Hold, Add)
		into(&x.State, Idle, Added)
		for j := range x.Funding {
			x.Funding[j] = tcc.Funding{From: "suspense", Amount: money.Yen(int64(i + j + 1))}
		}
		for j := range x.Answers {
			a := &x.Answers[j]
			a.Number = max(a.Number, 1)
			into(&a.Verb, VerbTry, VerbAdd)
			into(&a.Outcome, tcc.Done, tcc.Unknown)
		}
	}
	return p
}

// samples are events of each type, with every field set.
func samples() []any {
	x, y := id.ID{1, 15: 9}, id.ID{2, 15: 8}
	caller := Caller{Key: book.Key{Tenant: 7, ID: id.ID{3}}, Fingerprint: [16]byte{4}}
	stands := Standing{Captured, Wait, Notified, RollbackCompleted, Confirm, Voided, fault.GaveUp, 2}
	answers := []Answer{{1, VerbTry, tcc.Done, true, 2, "", 5, "balance/00", 6}, {2, VerbTry, tcc.Refused, false, 1, fault.AccountClosed, 5, "", 0}}
	parts := []Part{
		{
			Number: 1, Participant: Points, Role: Hold, Account: y, Amount: money.Of(3, money.PT), Funding: []tcc.Funding{{From: clearing, Amount: money.Yen(3)}},
			Origin: x, Source: 1, State: Held, Code: fault.Timeout, Answers: answers,
		},
		{Number: 2, Participant: Code, Role: Claim, Account: y, Amount: money.Yen(3)},
	}
	p := Payment{
		Standing: Standing{Status: Accepted, Resource: WorkInProgress}, Tenant: 7, ID: x, Kind: Charge, Capture: Manual, Noted: true,
		Amount: money.Yen(3), Customer: y, Merchant: id.ID{5}, Session: id.ID{6}, Parent: id.ID{7}, Sources: []Source{{FromPoints, y, 3, 2, 1, 1}},
		Parts: parts, GiveUpAt: 8, EffectiveAt: 9, ExpiresAt: 10, Marks: Marks{11, 12, 13, 14},
	}
	return []any{
		Started{caller, p},
		Advanced{Tenant: 7, ID: x, Parent: y, Operation: id.ID{8}, Answers: answers, Standing: stands},
		Deferred{Tenant: 7, ID: x, Due: 9, Attempts: 2, Code: fault.Timeout},
		Decided{Caller: caller, Tenant: 7, ID: x, Parent: y, Cause: ByVoid, Operation: id.ID{8}, Standing: stands, EffectiveAt: 15},
		Declined{Caller: caller, Tenant: 7, Payment: x, Operation: id.ID{8}, Cause: ByRefund, Code: fault.NotRefundable, Status: Captured},
	}
}

// wordFields are the fields that have words as numbers, and those that count in a byte.
var wordFields = []string{
	"kind", "capture", "type", "number<256", "participant", "role", "source<256", "state", "verb", "outcome", "status", "resource",
	"phase", "rollback", "decision", "aim", "cause", "currency",
}

// TestFoldVersionCoversWhatIsWritten: whoever adds a word or a field raises the version.
func TestFoldVersionCoversWhatIsWritten(t *testing.T) {
	wiretest.Fold(t, foldVersion, journalv1.File_koban_payment_journal_v1_events_proto, map[string][]string{
		"kind": wiretest.Words(Kind(len(kinds) - 1)), "capture": {"1=automatic", fmt.Sprintf("%d=manual", Manual)},
		"status": wiretest.Words(Succeeded), "resource": wiretest.Words(ResourceFailed), "phase": wiretest.Words(Notified),
		"rollback": wiretest.Words(RollbackCompleted), "decision": wiretest.Words(Cancel),
		"source": {fmt.Sprintf("%d=balance", FromBalance), fmt.Sprintf("%d=points", FromPoints)}, "participant": wiretest.Words(Code),
		"role": {fmt.Sprintf("%d=hold %d=claim %d=add", Hold, Claim, Add)}, "state": wiretest.Words(Added), "verb": wiretest.Words(VerbAdd),
		"currencies": {fmt.Sprint(money.Currencies())},
		"outcome":    wiretest.Words(tcc.Unknown), "cause": wiretest.Words(ByRefund),
	})
}

// TestDecodeRefusesWhatItDoesNotKnow: a field, a type or a word of a later version, and an id that is none, are refused. A
// kind that was passed over would owe nothing, and its payment would be complete at once.
func TestDecodeRefusesWhatItDoesNotKnow(t *testing.T) {
	m := NewMachine(0, 1)
	for _, ev := range samples() {
		typ, body := m.Encode(ev)
		if got, err := m.Decode(typ, body); err != nil || !cmp.Equal(got, ev, cmpopts.EquateEmpty()) {
			t.Errorf("%T: %v\n%s", ev, err, cmp.Diff(ev, got))
		}
		for name, bad := range map[string][]byte{
			"cut": body[:len(body)-1], "a field of a later version": append(append([]byte(nil), body...), 0xf8, 0x06, 1), "empty": nil,
		} {
			if _, err := m.Decode(typ, bad); err == nil {
				t.Errorf("%T, %s: decoded", ev, name)
			}
		}
		wiretest.EachChange(t, messages[typ](), body, wordFields, func(what string, bad []byte) {
			if _, err := m.Decode(typ, bad); err == nil {
				t.Errorf("%T, %s: decoded", ev, what)
			}
		})
	}
	for _, typ := range []uint32{0, 1, 15, typeDeclined + 1} {
		if _, err := m.Decode(typ, nil); err == nil {
			t.Errorf("type %d: decoded", typ)
		}
	}
}

// FuzzDecode: no bytes make it panic, and what it reads it writes back the same.
func FuzzDecode(f *testing.F) {
	m := NewMachine(0, 1)
	for _, ev := range samples() {
		typ, body := m.Encode(ev)
		f.Add(typ, body)
	}
	f.Fuzz(func(t *testing.T, typ uint32, body []byte) {
		ev, err := m.Decode(typ, body)
		if err != nil {
			return
		}
		again, err := m.Decode(m.Encode(ev))
		if err != nil || !cmp.Equal(ev, again, cmpopts.EquateEmpty()) {
			t.Errorf("%v, %s", err, cmp.Diff(ev, again))
		}
	})
}

// FuzzDecodeState is FuzzDecode of what a row holds.
func FuzzDecodeState(f *testing.F) {
	for _, ev := range samples() {
		if s, ok := ev.(Started); ok {
			f.Add([]byte(encodeState(nil, &s.Payment)))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var p, again Payment
		if decodeState(body, &p) != nil {
			return
		}
		if err := decodeState(encodeState(nil, &p), &again); err != nil || !cmp.Equal(p, again, cmpopts.EquateEmpty()) {
			t.Errorf("%v, %s", err, cmp.Diff(p, again))
		}
	})
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
		for _, ev := range []any{
			a, d,
			Deferred{Tenant: p.Tenant, ID: p.ID, Due: p.DeferredUntil, Attempts: p.Attempts, Code: p.DeferredCode},
			Declined{Tenant: p.Tenant, Payment: p.ID, Operation: p.Operation, Cause: ByRefund, Caller: caller, Code: p.DeferredCode},
		} {
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
