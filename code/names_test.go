package code

import (
	"context"
	"testing"
	"time"

	"github.com/koban-pay/koban/book/booktest"
	"github.com/koban-pay/koban/internal/clock"
)

// oneNote is a note that can be erased, and counts how often it is read.
type oneNote struct {
	body  []byte
	reads int
}

func (n *oneNote) EraseNotes(context.Context, uint32, string, ...[]byte) error {
	n.body = nil
	return nil
}

func (n *oneNote) Note(context.Context, uint32, string, []byte) ([]byte, bool, error) {
	n.reads++
	return n.body, n.body != nil, nil
}

func TestNamesAreForgotten(t *testing.T) {
	clk, note := clock.NewManual(booktest.Start), &oneNote{body: []byte(`{"name":"cafe"}`)}
	n := &names{notes: note, clk: clk}
	ask := func(want bool, reads int) {
		t.Helper()
		d, ok, err := n.details(t.Context(), tenant, []byte("x"))
		if err != nil || ok != want || (d.Name == "cafe") != want || note.reads != reads {
			t.Fatalf("%+v, %v, %v after %d reads", d, ok, err, note.reads)
		}
	}
	ask(true, 1)
	clk.Advance(59 * time.Second)
	ask(true, 1)
	clk.Advance(time.Second)
	ask(true, 2)
	note.body = nil
	clk.Advance(time.Minute)
	ask(false, 3)
	ask(false, 4) // that there is none is not remembered
}

func TestNamesAreBounded(t *testing.T) {
	n := &names{notes: &oneNote{body: []byte(`{"name":"cafe"}`)}, clk: clock.NewManual(booktest.Start)}
	for i := range namesMost + 10 {
		if _, ok, err := n.details(t.Context(), tenant, []byte{byte(i), byte(i >> 8)}); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if len(n.known) != 10 {
		t.Errorf("%d are known", len(n.known))
	}
}
