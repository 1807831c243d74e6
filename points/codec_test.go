package points

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"

	pointsjournalv1 "github.com/koban-pay/koban/gen/koban/points/journal/v1"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/tcc"
)

// samples are one event of each type and shape, with every field set.
func samples() []any {
	of := branchOf{7, id.ID{1, 15: 1}, id.ID{2, 15: 2}}
	parts := []Part{{3, Paid, 9, 12}, {4, Free, 0, 1}}
	back := []Back{{3, 3, Paid, 9, 5}, {4, 0, Free, 0, 6}, {5, 8, Free, 99, 7}}
	no := Refusal{"insufficient_funds", "too little", "amount"}
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
		err := proto.Unmarshal(body, x.msg)
		again, err2 := proto.Marshal(x.msg)
		if err != nil || err2 != nil || unknown(x.msg.ProtoReflect()) || !bytes.Equal(again, body) {
			t.Errorf("%T: %v, %v\n%x\n%x", x.ev, err, err2, body, again)
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
