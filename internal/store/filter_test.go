package store_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/koban-pay/koban/internal/store"
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
