package feed

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/booktest"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
)

func harness(t testing.TB) *booktest.Harness {
	return booktest.New(t, "shop.feed", func() book.Machine { return NewMachine() })
}

// hashOf is the hash of a made-up block.
func hashOf(volume int, seq uint64) [32]byte {
	if seq == 0 {
		return [32]byte{}
	}
	return sha256.Sum256(fmt.Appendf(nil, "%d/%d", volume, seq))
}

// step is the block From … seq of a made-up volume.
func step(volume int, from, seq uint64, counts ...book.PublicCount) Block {
	return Block{Volume: volume, From: from, Prev: hashOf(volume, from-1), Seq: seq, Hash: hashOf(volume, seq), Counts: counts}
}

func look(t testing.TB, h *booktest.Harness, tenant id.Tenant, after, to uint64) Found {
	t.Helper()
	reply, err := h.Do(Look{tenant, after, to})
	if err != nil {
		t.Fatal(err)
	}
	return reply.(Found)
}

func TestEachTenantIsNumberedWithoutGaps(t *testing.T) {
	h := harness(t)
	h.SaveEvery = 1
	a, b := id.Tenant(1), id.Tenant(2)
	for _, c := range []Advance{
		{[]Block{step(0, 1, 1, book.PublicCount{Tenant: a, N: 2}), step(1, 1, 3, book.PublicCount{Tenant: b, N: 1}, book.PublicCount{Tenant: a, N: 1})}},
		{[]Block{step(0, 2, 9)}}, // a position alone
		{[]Block{step(0, 10, 10, book.PublicCount{Tenant: b, N: 4}), step(0, 11, 12, book.PublicCount{Tenant: a, N: 1})}},
	} {
		if _, err := h.Do(c); err != nil {
			t.Fatal(err)
		}
	}
	want := map[id.Tenant]Found{
		a: {4, []Part{{First: 1, Count: 2, Volume: 0, Seq: 1}, {First: 3, Count: 1, Volume: 1, Seq: 3}, {First: 4, Count: 1, Volume: 0, Seq: 12}}},
		b: {5, []Part{{First: 1, Count: 1, Volume: 1, Seq: 3}, {First: 2, Count: 4, Volume: 0, Seq: 10}}},
		3: {},
	}
	check := func() {
		t.Helper()
		for tenant, f := range want {
			if d := cmp.Diff(f, look(t, h, tenant, 0, 100)); d != "" {
				t.Errorf("tenant %d (-want +got):\n%s", tenant, d)
			}
		}
	}
	check()
	h.Restart()
	check()
	h.Rebuild()
	if got := look(t, h, b, 1, 3).Parts; len(got) != 1 || got[0].First != 2 {
		t.Errorf("numbers 2 and 3 are found in one block, not %v", got)
	}
	if got := look(t, h, b, 5, 9).Parts; len(got) != 0 {
		t.Errorf("nothing is found after the last number, not %v", got)
	}
}

// A block may hold more events of one tenant than a page has numbers.
func TestABlockMayFillManyPages(t *testing.T) {
	h := harness(t)
	h.SaveEvery = 1
	one := func(n int) book.PublicCount { return book.PublicCount{Tenant: 1, N: n} }
	for i, n := range []int{200, 700, 124, 1} { // the third ends where a page does
		if _, err := h.Do(Advance{[]Block{step(0, uint64(i)+1, uint64(i)+1, one(n))}}); err != nil {
			t.Fatal(err)
		}
	}
	h.Restart()
	want := []Part{
		{First: 1, Count: 200, Seq: 1},
		{First: 201, Count: 56, Seq: 2},
		{First: 257, Count: 256, Seq: 2, Skip: 56},
		{First: 513, Count: 256, Seq: 2, Skip: 312},
		{First: 769, Count: 132, Seq: 2, Skip: 568},
		{First: 901, Count: 124, Seq: 3},
		{First: 1025, Count: 1, Seq: 4},
	}
	if d := cmp.Diff(want, look(t, h, 1, 0, 2000).Parts); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got := look(t, h, 1, 512, 768).Parts; !slices.Equal(got, want[3:4]) {
		t.Errorf("one page: %v", got)
	}
	h.Rebuild()
}

func TestWhatDoesNotFollowIsRefusedAsAWhole(t *testing.T) {
	n := book.PublicCount{Tenant: 1, N: 1}
	other := step(0, 3, 3, n)
	other.Prev[0]++
	jump := step(0, 4, 4, n)
	jump.Prev = hashOf(0, 2)
	fork := step(0, 1, 2, n)
	fork.Hash[0]++
	for name, b := range map[string]Block{
		"a gap":                    step(0, 4, 4, n),
		"a gap that is denied":     jump,
		"another predecessor":      other,
		"another block of its seq": fork,
		"an overlap":               step(0, 2, 3, n),
		"from the start again":     step(0, 1, 3, n),
		"backwards":                {Volume: 0, From: 3, Prev: hashOf(0, 2), Seq: 2, Hash: hashOf(0, 9)},
	} {
		t.Run(name, func(t *testing.T) {
			h := harness(t)
			if _, err := h.Do(Advance{[]Block{step(0, 1, 1, n), step(0, 2, 2, n)}}); err != nil {
				t.Fatal(err)
			}
			_, err := h.Do(Advance{[]Block{step(1, 1, 1, n), b}})
			if !fault.HasCode(err, fault.DataDamaged) {
				t.Fatalf("want data_damaged, got %v", err)
			}
			if got := look(t, h, 1, 0, 100).Last; got != 2 {
				t.Errorf("%d numbers were given, want 2", got)
			}
		})
	}
}

func TestABlockThatComesTwiceIsNumberedOnce(t *testing.T) {
	h := harness(t)
	n := book.PublicCount{Tenant: 1, N: 3}
	c := Advance{[]Block{step(0, 1, 1, n), step(0, 2, 5, n)}}
	if _, err := h.Do(c); err != nil {
		t.Fatal(err)
	}
	before := h.Core().Head()
	for range 2 {
		if reply, err := h.Do(c); err != nil || reply != nil {
			t.Fatalf("%v, %v", reply, err)
		}
	}
	if h.Core().Head() != before {
		t.Error("nothing new led to a block")
	}
	if _, err := h.Do(Advance{append(c.Blocks, step(0, 6, 6, n))}); err != nil {
		t.Fatal(err)
	}
	if got := look(t, h, 1, 0, 100).Last; got != 9 {
		t.Errorf("%d numbers were given, want 9", got)
	}
}

// model is a feed as a list.
type model struct {
	seqs   []uint64
	events map[id.Tenant][]located
}

type located struct {
	volume int
	seq    uint64
	nth    uint64 // of the tenant's events in the block
}

// TestNumbersAgreeWithAList makes random blocks, sends some twice, restarts, and compares with a list.
func TestNumbersAgreeWithAList(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		h := harness(t)
		h.SaveEvery = rapid.IntRange(0, 3).Draw(r, "save every")
		m := &model{seqs: make([]uint64, 3), events: make(map[id.Tenant][]located)}
		var sent []Block
		for range rapid.IntRange(1, 12).Draw(r, "commands") {
			var c Advance
			for range rapid.IntRange(0, 4).Draw(r, "blocks") {
				c.Blocks = append(c.Blocks, m.block(r))
			}
			if len(sent) > 0 && rapid.Bool().Draw(r, "repeat") {
				c.Blocks = append(c.Blocks, rapid.SampledFrom(sent).Draw(r, "repeated"))
			}
			sent = append(sent, c.Blocks...)
			if _, err := h.Do(c); err != nil {
				r.Fatal(err)
			}
			if rapid.IntRange(0, 4).Draw(r, "restart") == 0 {
				h.Restart()
			}
		}
		for tenant := id.Tenant(1); tenant <= 3; tenant++ {
			all := m.events[tenant]
			after := uint64(rapid.IntRange(0, len(all)).Draw(r, "after"))
			to := after + uint64(rapid.IntRange(0, len(all)).Draw(r, "many"))
			f := look(t, h, tenant, after, to)
			if f.Last != uint64(len(all)) {
				r.Fatalf("tenant %d: last number %d, want %d", tenant, f.Last, len(all))
			}
			if d := cmp.Diff(all[after:min(to, f.Last)], spread(f, after, to), cmp.AllowUnexported(located{}), cmpopts.EquateEmpty()); d != "" {
				r.Fatalf("tenant %d, numbers %d to %d (-want +got):\n%s", tenant, after+1, to, d)
			}
		}
		h.Rebuild()
	})
}

// block makes the next block of some volume.
func (m *model) block(r *rapid.T) Block {
	v := rapid.IntRange(0, len(m.seqs)-1).Draw(r, "volume")
	from := m.seqs[v] + 1
	seq := from + uint64(rapid.IntRange(0, 2).Draw(r, "silent"))
	m.seqs[v] = seq
	b := step(v, from, seq)
	for tenant := id.Tenant(1); tenant <= 3; tenant++ {
		n := rapid.SampledFrom([]int{0, 1, 2, 40, 255, 256, 257, 600}).Draw(r, "events")
		if n == 0 {
			continue
		}
		b.Counts = append(b.Counts, book.PublicCount{Tenant: tenant, N: n})
		for i := range n {
			m.events[tenant] = append(m.events[tenant], located{v, seq, uint64(i)})
		}
	}
	return b
}

// spread lists the events that parts stand for.
func spread(f Found, after, to uint64) []located {
	out := []located{}
	for _, p := range f.Parts {
		for i := range p.Count {
			if n := p.First + i; n > after && n <= to {
				out = append(out, located{p.Volume, p.Seq, p.Skip + i})
			}
		}
	}
	return out
}

func TestWhereTellsPositions(t *testing.T) {
	h := harness(t)
	if _, err := h.Do(Advance{[]Block{step(2, 1, 7)}}); err != nil {
		t.Fatal(err)
	}
	h.Restart()
	reply, err := h.Do(Where{4})
	want := []Position{{}, {}, {7, hashOf(2, 7)}, {}}
	if err != nil || !slices.Equal(reply.([]Position), want) {
		t.Errorf("%v, %v", reply, err)
	}
}

// The bytes of the event are for ever (rule B15).
func TestEventsAreForEver(t *testing.T) {
	ev := &Sequenced{Steps: []Step{
		{Volume: 3, Seq: 300, Hash: [32]byte{1, 31: 2}, Runs: []Run{{Tenant: 7, First: 1000, Count: 2}, {Tenant: 8, First: 1, Count: 1}}},
		{Volume: 0, Seq: 1},
	}}
	m := NewMachine()
	typ, body := m.Encode(ev)
	const want = "0a38080310ac021a2001000000000000000000000000000000000000000000000000000000000000" +
		"02220708" + "0710e80718022206080810011801" + "0a2410011a20" + "0000000000000000000000000000000000000000000000000000000000000000"
	if got := fmt.Sprintf("%x", body); typ != 16 || got != want {
		t.Errorf("type %d\n got %s\nwant %s", typ, got, want)
	}
	back, err := m.Decode(typ, body)
	if d := cmp.Diff(ev, back); err != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	for name, err := range map[string]error{
		"another type": second(m.Decode(17, body)),
		"cut":          second(m.Decode(16, body[:len(body)-1])),
		"short hash":   second(m.Decode(16, []byte{0x0a, 0x03, 0x1a, 0x01, 0x00})),
	} {
		if err == nil {
			t.Errorf("%s: decoded", name)
		}
	}
	if _, err := decodePage([]byte{0x10, 1}); err == nil {
		t.Error("a page whose lists differ was decoded")
	}
}

func second(_ any, err error) error { return err }
