package balance

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	journalv1 "github.com/koban-pay/koban/gen/koban/balance/journal/v1"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/wire/wiretest"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

var (
	branchID   = id.ID{1, 2, 3, 15: 1}
	accountID  = id.ID{4, 5, 6, 15: tcc.BalanceAccount}
	samplePart = part{7, branchID, accountID, tcc.Refund, 1_790_000_000_000_000}
	sampleLegs = []ledger.Leg[id.ID]{
		{Account: accountID, Side: ledger.Debit, Amount: money.Yen(12)},
		{Account: OwnAccount(PaymentClearing, money.JPY, 0, 1), Side: ledger.Credit, Amount: money.Yen(12)},
	}
)

// samples are one event of each type and shape, with every field set.
func samples() []any {
	hold := func(opened, posted, released int64) []ledger.HoldChange[id.ID] {
		return []ledger.HoldChange[id.ID]{{
			Hold: branchID, Account: accountID, Side: ledger.Debit, HeldOn: 20_001, Opened: opened,
			Posted: posted, Released: released,
		}}
	}
	terms := Terms{money.JPY, 1, ledger.Limits{DayIn: 2, DayOut: 3, MonthIn: 4, MonthOut: 5}}
	return []any{
		&accountOpened{7, accountID, terms, 12, 9, id.ID{9}, Print{8}, entry{Day: 20_000, Legs: sampleLegs}},
		&accountOpened{Tenant: 7, Account: accountID, Terms: terms},
		&statusChanged{7, accountID, money.JPY, ledger.NoIn, 10, 8},
		&credited{7, branchID, accountID, money.Yen(12), 9, id.ID{9}, Print{8}, entry{Day: 20_000, Legs: sampleLegs}, ledger.NoOut, 20, 10},
		&creditRefused{7, branchID, accountID, money.Yen(12), 9, id.ID{9}, Print{8}, "account_closed", "closed"},
		&tryHeld{samplePart, money.Yen(12), 99, branch.Print{8}, entry{Day: 20_000, Holds: hold(12, 0, 0)}, 88},
		&tryRefused{samplePart, money.Of(12, money.USD), 99, branch.Print{8}, branch.Refusal{Code: "insufficient_funds", Message: "too little", Param: "amount"}},
		&confirmed{samplePart, 3, money.Yen(12), branch.Print{8}, entry{Day: 20_002, Legs: sampleLegs, Holds: hold(0, 12, 5)}, 88},
		&cancelled{samplePart, money.JPY, 99, entry{Day: 20_002, Holds: hold(0, 0, 12)}, 88},
		&cancelled{part: samplePart, NotAfter: 99},
		&added{samplePart, money.Yen(12), id.ID{3}, branch.Print{8}, entry{Day: 20_000, Legs: sampleLegs}, 88, branch.Refusal{Code: "account_closed", Message: "closed"}},
		&added{part: samplePart, Amount: money.Yen(12)},
	}
}

func TestEventsRoundTrip(t *testing.T) {
	m := NewMachine(0, 1)
	for _, ev := range samples() {
		typ, body := m.Encode(ev)
		got, err := m.Decode(typ, body)
		if err != nil || !reflect.DeepEqual(got, ev) {
			t.Errorf("%T: %v\ngot  %+v\nwant %+v", ev, err, got, ev)
		}
	}
}

// TestEventsAreTheContracts: the type number of an event is its field number in Event, for good, and its bytes are what
// proto.Marshal makes of that field's message, with nothing unknown in it.
func TestEventsAreTheContracts(t *testing.T) {
	m := NewMachine(0, 1)
	event := (&journalv1.Event{}).ProtoReflect()
	fields := event.Descriptor().Fields()
	seen := make(map[uint32]bool)
	for _, ev := range samples() {
		typ, body := m.Encode(ev)
		seen[typ] = true
		f := fields.ByNumber(protoreflect.FieldNumber(typ))
		if f == nil {
			t.Fatalf("%T has type %d, which is no field of Event", ev, typ)
		}
		msg := event.NewField(f).Message()
		err := proto.Unmarshal(body, msg.Interface())
		again, err2 := proto.Marshal(msg.Interface())
		if err != nil || err2 != nil || len(msg.GetUnknown()) > 0 || !bytes.Equal(again, body) {
			t.Errorf("%T: %v, %v\n%x\n%x", ev, err, err2, body, again)
		}
	}
	if len(seen) != fields.Len() {
		t.Errorf("%d types of events are tested, the contract has %d", len(seen), fields.Len())
	}
}

// TestContractKeepsItsWords: the numbers of words that this package shares with the contract.
func TestContractKeepsItsWords(t *testing.T) {
	for s := ledger.Open; s <= ledger.Closed; s++ {
		if got := journalv1.Status(s).String(); got != "STATUS_"+strings.ToUpper(s.String()) {
			t.Errorf("%v is %s", s, got)
		}
	}
	for p, want := range map[tcc.Purpose]string{tcc.Charge: "PURPOSE_CHARGE", tcc.Refund: "PURPOSE_REFUND", tcc.Credit: "PURPOSE_CREDIT"} {
		if got := journalv1.Purpose(p).String(); got != want {
			t.Errorf("%d is %s", p, got)
		}
	}
}

// messageOf returns an empty message of an event's type.
func messageOf(typ uint32) proto.Message {
	event := (&journalv1.Event{}).ProtoReflect()
	return event.NewField(event.Descriptor().Fields().ByNumber(protoreflect.FieldNumber(typ))).Message().Interface()
}

// TestFoldVersionCoversWhatIsWritten: whoever adds a word or a field raises the version.
func TestFoldVersionCoversWhatIsWritten(t *testing.T) {
	wiretest.Fold(t, NewMachine(0, 1).Version(), journalv1.File_koban_balance_journal_v1_events_proto, map[string][]string{
		"kind": wiretest.Words(Fees), "status": wiretest.Words(ledger.Closed), "currencies": {fmt.Sprint(money.Currencies())},
		"purpose": {fmt.Sprintf("charge to credit: %d to %d", tcc.Charge, tcc.Credit)},
	})
}

func TestDecodeRefusesWhatItDoesNotKnow(t *testing.T) {
	m := NewMachine(0, 1)
	for _, ev := range samples() {
		typ, body := m.Encode(ev)
		for name, bad := range map[string][]byte{
			"cut":           body[:len(body)-1],
			"unknown field": append(append([]byte(nil), body...), 0xf8, 0x06, 1), // field 111
			"empty":         nil,
		} {
			if _, err := m.Decode(typ, bad); err == nil {
				t.Errorf("%T, %s: decoded", ev, name)
			}
		}
		wiretest.EachChange(t, messageOf(typ), body, []string{"status", "purpose", "currency"}, func(what string, bad []byte) {
			if _, err := m.Decode(typ, bad); err == nil {
				t.Errorf("%T, %s: decoded", ev, what)
			}
		})
	}
	for _, typ := range []uint32{0, 1, 15, typeAdded + 1} {
		if _, err := m.Decode(typ, nil); err == nil {
			t.Errorf("type %d: decoded", typ)
		}
	}
	leg, err := proto.Marshal(&journalv1.Added{
		Tenant: 7, Branch: branchID[:], Account: accountID[:], Currency: 392, Amount: 1,
		Fingerprint: make([]byte, 16), Legs: []*journalv1.Leg{{Account: []byte("short"), Amount: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Decode(typeAdded, leg); err == nil {
		t.Error("a leg of an account with a short id: decoded")
	}
}

func FuzzDecode(f *testing.F) {
	m := NewMachine(0, 1)
	for _, ev := range samples() {
		typ, body := m.Encode(ev)
		f.Add(typ, body)
	}
	f.Fuzz(func(t *testing.T, typ uint32, body []byte) {
		ev, err := decode(typ, body)
		if err != nil {
			return
		}
		typ2, body2 := NewMachine(0, 1).Encode(ev)
		again, err := decode(typ2, body2)
		if err != nil || typ2 != typ || !reflect.DeepEqual(again, ev) {
			t.Fatalf("%v: %+v became %+v", err, ev, again)
		}
	})
}
