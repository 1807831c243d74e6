package points

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"

	pointsjournalv1 "github.com/koban-pay/koban/gen/koban/points/journal/v1"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/wire"
	"github.com/koban-pay/koban/internal/wire/wiretest"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

// samples are one event of each type and shape, with every field set.
func samples() []any {
	of := branchOf{7, id.ID{1, 15: 1}, id.ID{2, 15: 2}}
	parts := []Part{{3, Paid, 9, 12}, {4, Free, 0, 1}}
	back := []Back{{3, 3, Paid, 9, 5}, {4, 0, Free, 0, 6}, {5, 8, Free, 99, 7}}
	no := branch.Refusal{Code: "insufficient_funds", Message: "too little", Param: "amount"}
	return []any{
		&opened{7, id.ID{1}, id.ID{2}},
		&granted{7, id.ID{1}, id.ID{2}, id.ID{3}, [16]byte{4}, parts[0], 20_000, 9, id.ID{5}, 10, 11},
		&grantRefused{7, id.ID{1}, id.ID{2}, id.ID{3}, [16]byte{4}, 12, no},
		&statusSet{7, id.ID{1}, ledger.NoIn},
		&expired{7, id.ID{1}, parts, 20_000, id.ID{5}, 10, 11},
		&tried{of, [16]byte{4}, 13, parts, 20_000, 98, 99},
		&refused{of, [16]byte{4}, no},
		&confirmed{of, [16]byte{4}, 2, true, parts, []share{{Redeemed, 12}, {Suspense, 1}}, back, 20_000, 99},
		&cancelled{of, back, 20_000, 98, 99},
		&added{of, [16]byte{4}, 18, tcc.Refund, []share{{Redeemed, 18}}, id.ID{6}, back, Part{}, true, 20_000, 99},
		&added{of, [16]byte{4}, 18, tcc.Credit, []share{{Suspense, 18}}, id.Nil, nil, parts[0], false, 20_000, 99},
	}
}

func TestEventsRoundTrip(t *testing.T) {
	m := NewMachine(0, 1, nil)
	for _, ev := range samples() {
		typ, body := m.Encode(ev)
		got, err := m.Decode(typ, body)
		if err != nil || !reflect.DeepEqual(got, ev) {
			t.Errorf("%T: %v\ngot  %+v\nwant %+v", ev, err, got, ev)
		}
	}
}

// TestEncodeIsProtobuf: what is written by hand is what proto.Marshal makes of the message, with nothing unknown in it.
func TestEncodeIsProtobuf(t *testing.T) {
	for _, x := range []struct {
		ev  any
		msg proto.Message
	}{{samples()[5], &pointsjournalv1.Tried{}}, {samples()[7], &pointsjournalv1.Confirmed{}}} {
		_, body := NewMachine(0, 1, nil).Encode(x.ev)
		var r wire.Reader
		again, err := proto.Marshal(wire.Read(&r, body, x.msg))
		if r.Err() != nil || err != nil || !bytes.Equal(again, body) {
			t.Errorf("%T: %v, %v\n%x\n%x", x.ev, r.Err(), err, body, again)
		}
	}
}

// TestJournalsAreForEver: what version 1 wrote keeps its bytes.
func TestJournalsAreForEver(t *testing.T) {
	m := NewMachine(0, 1, nil)
	typ, body := m.Encode(&statusSet{7, id.ID{1}, ledger.NoIn})
	if got, want := fmt.Sprintf("%d %x", typ, body), "19 08071210010000000000000000000000000000001803"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// messageOf returns an empty message of an event's type.
func messageOf(typ uint32) proto.Message {
	return map[uint32]proto.Message{
		typeOpened: &pointsjournalv1.Opened{}, typeGranted: &pointsjournalv1.Granted{}, typeGrantRefused: &pointsjournalv1.GrantRefused{},
		typeStatusSet: &pointsjournalv1.StatusSet{}, typeExpired: &pointsjournalv1.Expired{}, typeTried: &pointsjournalv1.Tried{},
		typeRefused: &pointsjournalv1.Refused{}, typeConfirmed: &pointsjournalv1.Confirmed{}, typeCancelled: &pointsjournalv1.Cancelled{},
		typeAdded: &pointsjournalv1.Added{},
	}[typ]
}

// TestFoldVersionCoversWhatIsWritten: whoever adds a word or a field raises the version.
func TestFoldVersionCoversWhatIsWritten(t *testing.T) {
	wiretest.Fold(t, NewMachine(0, 1, nil).Version(), pointsjournalv1.File_koban_points_journal_v1_events_proto, map[string][]string{
		"class": wiretest.Words(Paid), "kind": wiretest.Words(Customer), "status": wiretest.Words(ledger.Closed),
		"purpose": {fmt.Sprintf("charge to credit: %d to %d", tcc.Charge, tcc.Credit)},
	})
}

func TestDecodeRefusesWhatItDoesNotKnow(t *testing.T) {
	m := NewMachine(0, 1, nil)
	for _, ev := range samples() {
		typ, body := m.Encode(ev)
		for name, bad := range map[string][]byte{
			"cut": body[:len(body)-1], "a field of a later version": append(append([]byte(nil), body...), 0xf8, 0x06, 1), "empty": nil,
		} {
			if _, err := m.Decode(typ, bad); err == nil {
				t.Errorf("%T, %s: decoded", ev, name)
			}
		}
		wiretest.EachChange(t, messageOf(typ), body, []string{"class", "status", "purpose", "kind"}, func(what string, bad []byte) {
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
	nested := []byte{0x08, 7, 0x32, 3, 0xf8, 0x06, 1} // a lot with a field 111
	if _, err := m.Decode(typeTried, nested); err == nil {
		t.Error("a lot of a later version: decoded")
	}
}

// FuzzDecode: no bytes make it panic, and what it reads it writes back the same.
func FuzzDecode(f *testing.F) {
	m := NewMachine(0, 1, nil)
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
		if err != nil || !reflect.DeepEqual(ev, again) {
			t.Errorf("%+v, then %+v, %v", ev, again, err)
		}
	})
}
