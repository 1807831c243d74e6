package id_test

import (
	"bytes"
	"errors"
	"math/bits"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

const (
	start = clock.Micros(1577836800) * clock.Second // 2020-01-01T00:00:00Z, where ids begin
	last  = start + (1<<42-1)*clock.Millisecond     // where they end
	noon  = clock.Micros(1790510400) * clock.Second // 2026-09-27T12:00:00Z
	loose = 66 + 32                                 // bits that nobody outside can predict: random ones and the tag
)

func TestLayout(t *testing.T) {
	ones := [9]byte{255, 255, 255, 255, 255, 255, 255, 255, 255}
	for _, x := range []struct {
		name string
		id   id.ID
		want id.ID
	}{
		{"nothing", id.Compose(start, 0, [9]byte{}), id.ID{}},
		{"one millisecond", id.Compose(start+clock.Millisecond, 0, [9]byte{}), id.ID{5: 0x40}},
		{"last millisecond", id.Compose(last, 0, [9]byte{}), id.ID{255, 255, 255, 255, 255, 0xc0}},
		{"slot", id.Compose(start, 4095, [9]byte{}), id.ID{5: 0x3f, 6: 0xfc}},
		{"random", id.Compose(start, 0, ones), id.ID{6: 3, 7: 255, 8: 255, 9: 255, 10: 255, 11: 255, 12: 255, 13: 255, 14: 255}},
		{"facet", id.ID{}.Facet(255), id.ID{15: 255}},
	} {
		if x.id != x.want {
			t.Errorf("%s: %x, expected %x", x.name, x.id, x.want)
		}
	}
}

func TestTimeAndSlotComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := clock.Micros(rapid.Int64Range(int64(start), int64(last)+999).Draw(t, "at"))
		slot := rapid.Uint16().Draw(t, "slot")
		rnd := [9]byte(rapid.SliceOfN(rapid.Byte(), 9, 9).Draw(t, "rnd"))
		part := rapid.Uint8().Draw(t, "part")
		x := id.Compose(at, slot, rnd)
		if got := x.Time(); got != at-(at-start)%clock.Millisecond {
			t.Fatalf("time %v, expected %v", got, at)
		}
		if got := x.Slot(); got != slot%id.Slots {
			t.Fatalf("slot %d, expected %d", got, slot%id.Slots)
		}
		y := x.Facet(part)
		if y.Part() != part || y.Root() != x || x.Part() != 0 || y.Time() != x.Time() || y.Slot() != x.Slot() {
			t.Fatalf("facet %d of %x is %x", part, x, y)
		}
		if y.Facet(0) != x || (part == 0) != (x == y) {
			t.Fatalf("root of %x is %x", y, y.Root())
		}
	})
}

func TestTimesOutsideAreClamped(t *testing.T) {
	for at, want := range map[clock.Micros]clock.Micros{
		-1 << 63: start, 0: start, start - 1: start, start: start, last: last, last + clock.Millisecond: last, 1<<63 - 1: last,
	} {
		if got := id.Compose(at, 7, [9]byte{}); got.Time() != want || got.Slot() != 7 {
			t.Errorf("%v became %v in slot %d", at, got.Time(), got.Slot())
		}
	}
}

func TestIDsSortByTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) (clock.Micros, id.ID) {
			at := clock.Micros(rapid.Int64Range(int64(start), int64(last)).Draw(t, name))
			rnd := [9]byte(rapid.SliceOfN(rapid.Byte(), 9, 9).Draw(t, "rnd"))
			return at, id.Compose(at, rapid.Uint16().Draw(t, "slot"), rnd).Facet(rapid.Uint8().Draw(t, "part"))
		}
		at, x := draw("first")
		then, y := draw("second")
		if d := then - at; d >= clock.Millisecond && x.Compare(y) >= 0 || d <= -clock.Millisecond && x.Compare(y) <= 0 {
			t.Fatalf("%v %x and %v %x compare %d", at, x, then, y, x.Compare(y))
		}
		if sign(x.Compare(y)) != bytes.Compare(x[:], y[:]) || x.Compare(x) != 0 {
			t.Fatalf("%x and %x compare %d", x, y, x.Compare(y))
		}
	})
}

func sign(n int) int { return min(max(n, -1), 1) }

func TestVolumes(t *testing.T) {
	for n := 1; n <= 64; n++ {
		sizes := make([]int, n)
		before := 0
		for slot := range uint16(id.Slots) {
			v := id.Compose(noon, slot, [9]byte{}).Volume(n)
			if v < before || v >= n {
				t.Fatalf("%d volumes: slot %d is in %d, the one before in %d", n, slot, v, before)
			}
			sizes[v]++
			before = v
		}
		if least, most := slices.Min(sizes), slices.Max(sizes); least == 0 || most-least > 1 {
			t.Errorf("%d volumes have from %d to %d slots", n, least, most)
		}
		for v := range n {
			first := id.FirstSlot(v, n)
			if got := id.Compose(noon, first, [9]byte{}).Volume(n); got != v {
				t.Errorf("the first slot of volume %d of %d is %d, which is in %d", v, n, first, got)
			}
			if first > 0 && id.Compose(noon, first-1, [9]byte{}).Volume(n) != v-1 {
				t.Errorf("slot %d is in volume %d of %d too", first-1, v, n)
			}
		}
	}
}

func TestSlotOfHash(t *testing.T) {
	for _, x := range []struct {
		hash []byte
		want uint16
	}{{[]byte{0, 0}, 0}, {[]byte{0, 1, 255}, 1}, {[]byte{1, 0}, 256}, {[]byte{0xff, 0xff}, 4095}, {[]byte{0x1f, 0x34}, 0xf34}} {
		if got := id.SlotOf(x.hash); got != x.want {
			t.Errorf("SlotOf(%x) = %d, expected %d", x.hash, got, x.want)
		}
	}
}

func TestNil(t *testing.T) {
	if !id.Nil.IsNil() || id.Nil.Facet(1).IsNil() || id.NewSource(nil).New(noon, 0).IsNil() {
		t.Error("IsNil is wrong")
	}
}

// TestUnpredictableBits counts, over many ids of one millisecond and slot, how often each bit of id and tag is set and
// how often each pair of them agrees. Fair and independent bits are 50 % each; 6 standard deviations are allowed, which
// chance leaves once in some 100 000 runs over all pairs. At least 96 bits have to pass.
func TestUnpredictableBits(t *testing.T) {
	const n = 1 << 14
	source, codec := id.NewSource(nil), newCodec(t)
	columns := make([][n / 64]uint64, 160)
	for i := range n {
		raw := decoded(t, codec.Encode(id.Payment, source.New(noon, 99)))
		for b := range columns {
			columns[b][i/64] |= uint64(raw[b/8]>>(7-b%8)&1) << (i % 64)
		}
	}
	const slack = 6 * 128 / 2 // 6 standard deviations of √n / 2
	fair := func(count int) bool { return count > n/2-slack && count < n/2+slack }
	var free []int
	for b, column := range columns {
		set := 0
		for _, w := range column {
			set += bits.OnesCount64(w)
		}
		switch {
		case fair(set):
			free = append(free, b)
		case set != 0 && set != n:
			t.Errorf("bit %d is set in %d of %d ids", b, set, n)
		}
	}
	if len(free) != loose {
		t.Errorf("%d bits vary, expected %d", len(free), loose)
	}
	for i, a := range free {
		for _, b := range free[:i] {
			differ := 0
			for k := range columns[a] {
				differ += bits.OnesCount64(columns[a][k] ^ columns[b][k])
			}
			if !fair(differ) {
				t.Errorf("bits %d and %d differ in %d of %d ids", b, a, differ, n)
			}
		}
	}
}

func TestSourceNeverRepeats(t *testing.T) {
	source := id.NewSource(nil)
	var mu sync.Mutex
	seen := map[id.ID]bool{}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 2000 {
				x := source.New(noon, 5)
				mu.Lock()
				if seen[x] || x.Time() != noon || x.Slot() != 5 || x.Part() != 0 {
					t.Errorf("%x: seen before is %v", x, seen[x])
				}
				seen[x] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
}

func TestSourceDrawsFromItsReader(t *testing.T) {
	stream := make([]byte, 9*256*2)
	for i := range stream {
		stream[i] = byte(i * 7)
	}
	source := id.NewSource(bytes.NewReader(stream))
	for i := range 512 {
		if got, want := source.New(noon, 3), id.Compose(noon, 3, [9]byte(stream[9*i:])); got != want {
			t.Fatalf("id %d is %x, expected %x", i, got, want)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("made an id without random bytes")
		}
	}()
	source.New(noon, 3)
}

func TestRandomSlotsReachAll(t *testing.T) {
	source := id.NewSource(nil)
	var count [id.Slots]int
	for range 64 * id.Slots { // an empty slot is left by chance once in e^64 / 4096 runs
		count[source.Slot()]++
	}
	if least := slices.Min(count[:]); least == 0 {
		t.Error("a slot is never drawn")
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

func TestBrokenGeneratorStopsEverything(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("made an id without random bytes")
		}
	}()
	id.NewSource(broken{}).New(noon, 0)
}

func BenchmarkNew(b *testing.B) {
	source := id.NewSource(nil)
	for b.Loop() {
		source.New(noon, 5)
	}
}
