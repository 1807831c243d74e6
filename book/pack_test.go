package book

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestPackComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOf(rapid.Int64()).Draw(t, "numbers")
		texts := rapid.SliceOf(rapid.String()).Draw(t, "texts")
		p := Pack(nil).Int(math.MinInt64).Int(int64(len(numbers)))
		for _, n := range numbers {
			p = p.Int(n)
		}
		for _, s := range texts {
			p = p.Text(s)
		}
		u := NewUnpack(p)
		if u.Int() != math.MinInt64 || u.Count() != len(numbers) {
			t.Fatal("the head is another")
		}
		for _, n := range numbers {
			if got := u.Int(); got != n {
				t.Fatalf("%d became %d", n, got)
			}
		}
		for _, s := range texts {
			if got := u.Text(); got != s {
				t.Fatalf("%q became %q", s, got)
			}
		}
		if err := u.Err(); err != nil {
			t.Fatal(err)
		}
		if u.Int(); u.Err() == nil {
			t.Fatal("it reads on where there is no more")
		}
		if len(p) > 0 && NewUnpack(p).Err() == nil {
			t.Fatal("what is left over is no error")
		}
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add([]byte{2, 1, 'a'})
	f.Fuzz(func(_ *testing.T, b []byte) {
		u := NewUnpack(b)
		for range u.Count() {
			u.Bytes()
			u.Int()
		}
		_ = u.Err()
	})
}
