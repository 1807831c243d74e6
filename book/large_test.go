package book

import (
	"testing"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// wide is a toy whose events take as much room as a test wants, and that sets many alarms at once.
type wide struct {
	*toy
	room *int
}

type toyMany struct{ n int }

func (w wide) Touch(cmd any, t *Touch) {
	if _, many := cmd.(toyMany); !many {
		w.toy.Touch(cmd, t)
	}
}

func (w wide) Decide(now clock.Micros, cmd any, out *Decision) {
	c, many := cmd.(toyMany)
	if !many {
		w.toy.Decide(now, cmd, out)
		return
	}
	for i := range c.n {
		out.Emit(&toySet{id.Compose(start, 0, [9]byte{1, byte(i >> 16), byte(i >> 8), byte(i)}), start})
	}
}

func (w wide) Encode(ev any) (uint32, []byte) {
	typ, body := w.toy.Encode(ev)
	return typ, append(body, make([]byte, *w.room)...)
}

// A decision that no block can hold is refused whole, before anything is written; what was decided beside it stands.
func TestDecisionsAreNeverTooLargeToWrite(t *testing.T) {
	room := 0
	c, log := NewCore("toy/00", 0, wide{newToy(), &room}), NewMemLog()
	c.TakeOver(start)
	if err := Commit(background, c, log); err != nil {
		t.Fatal(err)
	}
	var heard error
	n := byte(0)
	try := func(bytes int, cmd any) bool {
		heard, room = nil, bytes
		before := len(c.open.events)
		if wants := c.Submit(start, cmd, func(_ any, err error) { heard = err }); wants != nil {
			t.Fatalf("wants %v", wants)
		}
		return len(c.open.events) > before
	}
	alert := func() any { n++; return toyAlert{ID: id.Compose(start, 0, [9]byte{2, n}), Due: 0} }
	refused := func(what string) {
		t.Helper()
		for _, a := range append(c.Ready(), c.open.answers...) {
			a.Tell()
			if a.err != nil && !fault.HasCode(heard, fault.RequestTooLarge) {
				t.Errorf("%s: %v", what, heard)
			}
		}
	}
	if try(maxDecisionBytes, alert()) {
		t.Error("an event that is too large was taken")
	}
	refused("an event that is too large")
	if try(0, toyMany{maxDecisionEvents + 1}) {
		t.Error("more events than a block holds were taken")
	}
	refused("more events than a block holds")
	if c.Sealable() || c.machine.(wide).alarms.count() > 0 {
		t.Error("a decision that was refused has left something")
	}
	// The most that fits, into a block that is full but for a byte, and with as many events as there may be.
	const most = maxDecisionBytes - 64
	if !try(most, alert()) || !try(maxOpenBytes-maxDecisionBytes-128, alert()) || c.Full() {
		t.Fatal("the block is full already")
	}
	if !try(most, alert()) || !c.Full() {
		t.Fatalf("what fits was refused: %v", heard)
	}
	if err := Commit(background, c, log); err != nil {
		t.Fatal(err)
	}
	if !try(0, toyMany{maxOpenEvents - 1}) || c.Full() || !try(0, toyMany{maxDecisionEvents}) {
		t.Fatalf("as many events as there may be were refused: %v", heard)
	}
	if err := Commit(background, c, log); err != nil {
		t.Fatal(err)
	}
	if h, _ := log.Head(background, "toy/00"); h.Seq != 3 || maxOpenEvents+maxDecisionEvents > journal.MaxEvents {
		t.Errorf("the journal stands at block %d", h.Seq)
	}
}
