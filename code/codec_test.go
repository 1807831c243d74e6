package code

import (
	"fmt"
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"

	codejournalv1 "github.com/koban-pay/koban/gen/koban/code/journal/v1"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/wire/wiretest"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc/branch"
)

// samples are one event of each type and shape, with every field set.
func samples() []any {
	of := branchOf{7, id.ID{1, 15: 1}, id.ID{2}}
	return []any{
		&shopRegistered{7, id.ID{1}, 12, id.ID{3}, [16]byte{4}, []byte("note")},
		&sessionOpened{7, id.ID{1}, id.ID{2}, id.ID{3}, money.JPY, 1200, 99, id.ID{4}, [16]byte{5}, true},
		&sessionExpired{7, id.ID{1}, id.ID{2}, id.ID{3}, money.JPY, 1200, 99},
		&tried{of, [16]byte{4}, money.Yen(500), 98, 99},
		&refused{of, [16]byte{4}, branch.Refusal{Code: "session_used", Message: "used", Param: "session"}},
		&confirmed{of, [16]byte{4}, 2, id.ID{5}, id.ID{6}, money.JPY, 1200, 98, 99},
		&cancelled{of, true, 97, 98, 99},
		&cancelled{branchOf: of, NotAfter: 98},
	}
}

func TestEventsRoundTrip(t *testing.T) {
	m := NewMachine(0, 1, DefaultRules)
	for _, ev := range samples() {
		typ, body := m.Encode(ev)
		got, err := m.Decode(typ, body)
		if err != nil || !reflect.DeepEqual(got, ev) {
			t.Errorf("%T: %v\ngot  %+v\nwant %+v", ev, err, got, ev)
		}
	}
}

// TestJournalsAreForEver: what version 1 wrote keeps its bytes.
func TestJournalsAreForEver(t *testing.T) {
	m := NewMachine(0, 1, DefaultRules)
	typ, body := m.Encode(&cancelled{branchOf{7, id.ID{1}, id.ID{2}}, true, 1, 2, 3})
	want := "22 080712100100000000000000000000000000000" + "01a1002000000000000000000000000000000200128013002" + "3803"
	if got := fmt.Sprintf("%d %x", typ, body); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// messageOf returns an empty message of an event's type.
func messageOf(typ uint32) proto.Message {
	return map[uint32]proto.Message{
		typeShopRegistered: &codejournalv1.ShopRegistered{}, typeSessionOpened: &codejournalv1.SessionOpened{},
		typeSessionExpired: &codejournalv1.SessionExpired{}, typeTried: &codejournalv1.Tried{}, typeRefused: &codejournalv1.Refused{},
		typeConfirmed: &codejournalv1.Confirmed{}, typeCancelled: &codejournalv1.Cancelled{},
	}[typ]
}

// TestFoldVersionCoversWhatIsWritten: whoever adds a field raises the version.
func TestFoldVersionCoversWhatIsWritten(t *testing.T) {
	wiretest.Fold(t, NewMachine(0, 1, DefaultRules).Version(), codejournalv1.File_koban_code_journal_v1_events_proto,
		map[string][]string{"currencies": {fmt.Sprint(money.Currencies())}})
}

func TestDecodeRefusesWhatItDoesNotKnow(t *testing.T) {
	m := NewMachine(0, 1, DefaultRules)
	for _, ev := range samples() {
		typ, body := m.Encode(ev)
		for name, bad := range map[string][]byte{
			"cut": body[:len(body)-1], "a field of a later version": append(append([]byte(nil), body...), 0xf8, 0x06, 1), "empty": nil,
		} {
			if _, err := m.Decode(typ, bad); err == nil {
				t.Errorf("%T, %s: decoded", ev, name)
			}
		}
		wiretest.EachChange(t, messageOf(typ), body, []string{"currency"}, func(what string, bad []byte) {
			if _, err := m.Decode(typ, bad); err == nil {
				t.Errorf("%T, %s: decoded", ev, what)
			}
		})
	}
	for _, typ := range []uint32{0, 1, 15, typeCancelled + 1} {
		if _, err := m.Decode(typ, nil); err == nil {
			t.Errorf("type %d: decoded", typ)
		}
	}
}

// FuzzDecode: no bytes make it panic, and what it reads it writes back the same.
func FuzzDecode(f *testing.F) {
	m := NewMachine(0, 1, DefaultRules)
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
