package attic

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

func TestAtticKeepsWhatWasPutLast(t *testing.T) {
	for name, dir := range map[string]string{"files": t.TempDir(), "memory": ""} {
		t.Run(name, func(t *testing.T) {
			a := New(dir, 32<<10)
			defer a.Close()
			s, want := a.Shelf("x"), map[string]string{}
			r := rand.New(rand.NewPCG(1, 2))
			for n := range 50_000 {
				k, v := fmt.Sprintf("%06d", r.IntN(20_000)), fmt.Sprint(n, "-", r.IntN(1<<r.IntN(30)))
				s.Put([]byte(k), []byte(v))
				want[k] = v
			}
			if dir != "" && (len(s.runs) == 0 || s.runs[0].level == 0) {
				t.Fatalf("%d files: nothing was written, or merged", len(s.runs))
			}
			for n := range 20_100 {
				k := fmt.Sprintf("%06d", n)
				v, ok := s.Get([]byte(k))
				if w, there := want[k]; ok != there || string(v) != w {
					t.Fatalf("%s is %q %t, expected %q %t", k, v, ok, w, there)
				}
			}
			for _, from := range []string{"", "010000", "0199999", "3"} {
				var keys []string
				for c := s.Cursor([]byte(from)); c.Next(); {
					keys = append(keys, string(c.Key()))
					if string(c.Value()) != want[string(c.Key())] {
						t.Fatalf("%s is %q, expected %q", c.Key(), c.Value(), want[string(c.Key())])
					}
				}
				all := slices.Sorted(maps.Keys(want))
				at, _ := slices.BinarySearch(all, from)
				if !slices.Equal(keys, all[at:]) {
					t.Fatalf("from %q there are %d records, expected %d", from, len(keys), len(all)-at)
				}
			}
			if a.Err() != nil {
				t.Fatal(a.Err())
			}
		})
	}
}

func TestAtticTellsEveryKeyThatWasPutTwice(t *testing.T) {
	for _, room := range []int{2 << 10, 8 << 10, 1 << 20} {
		a := New(t.TempDir(), room)
		told := map[string]int{}
		s := a.Shelf("keys")
		s.Clash = func(k []byte) { told[string(k)]++ }
		for n := range 3000 {
			s.Put(fmt.Appendf(nil, "%d", n), nil)
			if n%1000 == 999 {
				s.Put(fmt.Appendf(nil, "%d", n/2), []byte("again"))
			}
		}
		for c := s.Cursor(nil); c.Next(); {
		}
		if want := (map[string]int{"499": 1, "999": 1, "1499": 1}); !maps.Equal(told, want) {
			t.Errorf("with room for %d bytes: told %v, expected %v", room, told, want)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestAtticTakesLittleMemory puts thirty times what may be in memory. Without files, all of it is.
func TestAtticTakesLittleMemory(t *testing.T) {
	for _, files := range []bool{true, false} {
		dir := ""
		if files {
			dir = t.TempDir()
		}
		const room = 64 << 10
		a := New(dir, room)
		most := 0
		for n := range 20_000 {
			a.Shelf(fmt.Sprint(n%3)).Put(fmt.Appendf(nil, "key %d", n*7919), make([]byte, 40))
			most = max(most, a.Memory())
		}
		if little := most < 3*room; little != files {
			t.Errorf("with files %t it took %d bytes; there is room for %d", files, most, room)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAtticLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	a := New(dir, 1<<10)
	for n := range 5000 {
		a.Shelf("x").Put(fmt.Append(nil, n), []byte("value"))
	}
	list, err := os.ReadDir(dir) // before Close: a process that is killed does not close
	if err != nil || len(list) > 0 {
		t.Errorf("it left %v behind: %v", list, err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

func TestAtticSaysThatItHasNoRoom(t *testing.T) {
	a := New(t.TempDir()+"/gone", 1<<10)
	for n := range 1000 {
		a.Shelf("x").Put(fmt.Append(nil, n), []byte("value"))
	}
	if a.Err() == nil {
		t.Error("there is no place for its files, and it says nothing")
	}
	for n := range 1000 {
		if _, ok := a.Shelf("x").Get(fmt.Append(nil, n)); !ok {
			t.Fatalf("what could not be written is lost: %d", n)
		}
	}
	if a.Close() == nil {
		t.Error("closing hides the error")
	}
}
