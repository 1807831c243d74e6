package store_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/koban-pay/koban/book/store"
)

// keys returns a function that makes random keys, or keys that begin alike as ids of one moment do.
func keys(seed uint64, alike bool) func() [16]byte {
	r := rand.New(rand.NewPCG(seed, 7))
	return func() (k [16]byte) {
		binary.BigEndian.PutUint64(k[:], r.Uint64())
		binary.BigEndian.PutUint64(k[8:], r.Uint64())
		if alike {
			copy(k[:], "momentary")
		}
		return k
	}
}

func TestFilterForgetsNothingAndLetsFewThrough(t *testing.T) {
	for _, c := range []struct {
		name         string
		expect, keys int
		alike        bool
	}{
		{"sized right", 300_000, 300_000, false},
		{"grown from nothing", 0, 300_000, false},
		{"grown to just full", 0, 4096 * 64, false},
		{"keys alike", 0, 300_000, true},
		{"three times what was expected", 100_000, 300_000, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := store.NewFilter(c.expect)
			next := keys(1, c.alike)
			for range c.keys {
				f.Add(next())
			}
			if f.Len() != c.keys {
				t.Errorf("Len() = %d, want %d", f.Len(), c.keys)
			}
			next = keys(1, c.alike)
			for i := range c.keys {
				if !f.Has(next()) {
					t.Fatalf("key %d of %d is forgotten", i, c.keys)
				}
			}
			const asked = 200_000
			through, other := 0, keys(2, c.alike)
			for range asked {
				if f.Has(other()) {
					through++
				}
			}
			t.Logf("%d keys: %d of %d others let through (%.3f %%), %.1f bits a key", c.keys, through, asked,
				100*float64(through)/asked, 8*float64(len(f.Bytes()))/float64(c.keys))
			if through > asked/100 {
				t.Errorf("%d of %d keys that were never added are let through, want at most 1 %%", through, asked)
			}
		})
	}
}

func TestFilterIsItsKeysInOrder(t *testing.T) {
	a, b := store.NewFilter(0), store.NewFilter(0)
	next, again := keys(3, false), keys(3, false)
	for range 20_000 {
		a.Add(next())
		b.Add(again())
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("the same keys in the same order gave other bytes")
	}
	c, err := store.LoadFilter(a.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for range 20_000 { // a loaded filter goes on as the one it was made from
		k := next()
		a.Add(k)
		c.Add(k)
	}
	if !bytes.Equal(a.Bytes(), c.Bytes()) || a.Len() != c.Len() {
		t.Error("a filter that was stored and loaded goes on differently")
	}
}

func FuzzLoadFilter(f *testing.F) {
	one := store.NewFilter(0)
	one.Add([16]byte{1})
	f.Add(one.Bytes())
	f.Add([]byte{})
	f.Add(one.Bytes()[:40])
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := store.LoadFilter(in)
		if err != nil {
			return
		}
		if !bytes.Equal(got.Bytes(), in) {
			t.Error("what was accepted is not what is written")
		}
	})
}

// A filter that is made for so many keys takes no more memory than they need, few or many, and lets no more through.
func TestFullFilterIsAsLargeAsItMustBe(t *testing.T) {
	for _, n := range []int{0, 1, 33, 1000, 300_000} {
		f, next := store.NewFullFilter(n), keys(4, false)
		spare := f.Spare()
		for range n {
			f.Add(next())
		}
		if got := f.Spare(); got != spare-n || got > 32 {
			t.Errorf("%d keys: there was room for %d, and is for %d more", n, spare, got)
		}
		if size := len(f.Bytes()); size > 2*n+100 {
			t.Errorf("%d keys take %d bytes", n, size)
		}
		const asked = 100_000
		through, other := 0, keys(5, false)
		for range asked {
			if f.Has(other()) {
				through++
			}
		}
		if through > asked/200 {
			t.Errorf("%d keys: %d of %d others are let through, want at most 0.5 %%", n, through, asked)
		}
	}
}

func TestClonedFilterSharesNothing(t *testing.T) {
	f, next := store.NewFilter(0), keys(6, false)
	for range 6000 { // two chunks
		f.Add(next())
	}
	before, spare := f.Bytes(), f.Spare()
	c := f.Clone()
	if !bytes.Equal(c.Bytes(), before) {
		t.Fatal("a clone holds something else")
	}
	for range 20_000 {
		c.Add(next())
	}
	if !bytes.Equal(f.Bytes(), before) || f.Len() != 6000 || f.Spare() != spare || c.Len() != 26_000 {
		t.Error("what was added to a clone is in the filter")
	}
}
