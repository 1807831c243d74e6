package feed

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	feedjournalv1 "github.com/koban-pay/koban/gen/koban/feed/journal/v1"
	"github.com/koban-pay/koban/internal/wire/wiretest"
)

var sampleSequenced = &Sequenced{Steps: []Step{
	{Volume: 3, Seq: 300, Hash: [32]byte{1, 31: 2}, Runs: []Run{{Tenant: 7, First: 1000, Count: 2}, {Tenant: 8, First: 1, Count: 1}}},
	{Volume: 0, Seq: 1, Hash: [32]byte{9}},
}}

// TestFoldVersionCoversWhatIsWritten: whoever adds a field raises the version.
func TestFoldVersionCoversWhatIsWritten(t *testing.T) {
	wiretest.Fold(t, NewMachine().Version(), feedjournalv1.File_koban_feed_journal_v1_events_proto, nil)
}

// TestDecodeRefusesWhatItDoesNotKnow: a field of a later version anywhere, and what no feed writes, are refused.
func TestDecodeRefusesWhatItDoesNotKnow(t *testing.T) {
	m := NewMachine()
	typ, body := m.Encode(sampleSequenced)
	if got, err := m.Decode(typ, body); err != nil || !reflect.DeepEqual(got, sampleSequenced) {
		t.Fatal(got, err)
	}
	wiretest.EachChange(t, &feedjournalv1.Sequenced{}, body, nil, func(what string, bad []byte) {
		if _, err := m.Decode(typ, bad); err == nil {
			t.Errorf("%s: decoded", what)
		}
	})
	for what, ev := range map[string]*Sequenced{
		"a volume beyond all":         {Steps: []Step{{Volume: 4096, Seq: 1}}},
		"no block":                    {Steps: []Step{{Volume: 1}}},
		"a block beyond all":          {Steps: []Step{{Seq: 1 << 63}}},
		"a run of nothing":            {Steps: []Step{{Seq: 1, Runs: []Run{{1, 1, 0}}}}},
		"a run longer than any block": {Steps: []Step{{Seq: 1, Runs: []Run{{1, 1, 1 << 17}}}}},
		"a run from nowhere":          {Steps: []Step{{Seq: 1, Runs: []Run{{1, 0, 1}}}}},
	} {
		if _, err := m.Decode(m.Encode(ev)); err == nil {
			t.Errorf("%s: decoded", what)
		}
	}
	raw := encodePage(&page{Skip: 1, Places: []place{{Seq: 1, Volume: 2, Count: 3}}})
	if _, err := decodePage(append(raw, 0xf8, 0x06, 1)); err == nil {
		t.Error("a page with a field of a later version: decoded")
	}
}

// FuzzDecode: no bytes make it panic, and what it reads it writes back the same.
func FuzzDecode(f *testing.F) {
	m := NewMachine()
	typ, body := m.Encode(sampleSequenced)
	f.Add(typ, body)
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

// FuzzDecodePage is FuzzDecode of what a row holds.
func FuzzDecodePage(f *testing.F) {
	f.Add(encodePage(&page{Skip: 1, Places: []place{{Seq: 1, Volume: 2, Count: 3}, {Seq: 9, Volume: 1, Count: 1}}}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		g, err := decodePage(raw)
		if err != nil {
			return
		}
		if again, err := decodePage(encodePage(&g)); err != nil || !cmp.Equal(g, again, cmpopts.EquateEmpty()) {
			t.Errorf("%v, %s", err, cmp.Diff(g, again))
		}
	})
}
