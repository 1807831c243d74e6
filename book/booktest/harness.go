package booktest

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
)

// Start is the time at which a harness begins.
const Start = clock.Micros(1_790_000_000) * clock.Second

// Harness is one book on one thread.
type Harness struct {
	Clock *clock.Manual
	Log   *book.MemLog
	State *book.MemState
	// SaveEvery is how many commands pass between two saves, each of which forgets every row. 0 never saves.
	SaveEvery int

	t       testing.TB
	name    string
	volume  int
	make    func() book.Machine
	core    *book.Core
	machine book.Machine
	since   int
}

// New returns a harness for volume 0 of the named service. newMachine makes a fresh machine for every start.
func New(t testing.TB, service string, newMachine func() book.Machine) *Harness {
	return NewVolume(t, service, 0, newMachine)
}

// NewVolume is New for a given volume.
func NewVolume(t testing.TB, service string, volume int, newMachine func() book.Machine) *Harness {
	h := &Harness{
		Clock: clock.NewManual(Start), Log: book.NewMemLog(), State: book.NewMemState(), SaveEvery: 3,
		t: t, name: book.Name(service, volume), volume: volume, make: newMachine,
	}
	h.Restart()
	return h
}

// Machine returns the machine that runs now; a restart makes another.
func (h *Harness) Machine() book.Machine { return h.machine }

// Core returns the core that runs now.
func (h *Harness) Core() *book.Core { return h.core }

// Do submits a command and returns its durable answer.
func (h *Harness) Do(cmd any) (reply any, err error) {
	h.t.Helper()
	told := false
	h.submit(cmd, func(r any, e error) { reply, err, told = r, e, true })
	h.commit()
	for _, a := range append(h.core.Ready(), h.core.Answers()...) {
		a.Tell()
	}
	if !told {
		h.t.Fatalf("booktest: %T was never answered", cmd)
	}
	if h.since++; h.SaveEvery > 0 && h.since >= h.SaveEvery {
		h.Save()
	}
	return reply, err
}

func (h *Harness) submit(cmd any, done book.Done) {
	for n := 0; ; n++ {
		wants := h.core.Submit(h.Clock.Now(), cmd, done)
		if wants == nil {
			return
		}
		h.fetch(wants)
		if n > 10 {
			h.t.Fatalf("booktest: %T wants the same rows again and again: %v", cmd, wants)
		}
	}
}

func (h *Harness) fetch(wants []book.Want) {
	rows, _, err := h.State.Load(context.Background(), h.name, h.volume, wants)
	if err != nil {
		h.t.Fatalf("booktest: load: %v", err)
	}
	for i, w := range wants {
		h.core.Install(w, rows[i])
	}
}

func (h *Harness) commit() {
	if !h.core.Sealable() {
		return
	}
	if err := book.Commit(context.Background(), h.core, h.Log); err != nil {
		h.t.Fatalf("booktest: commit: %v", err)
	}
}

// Save saves the tables and forgets every row.
func (h *Harness) Save() {
	h.since = 0
	if err := book.SaveNow(context.Background(), h.core, h.State); err != nil {
		h.t.Fatalf("booktest: save: %v", err)
	}
	h.core.Forget()
}

// Advance moves the clock and runs what becomes due.
func (h *Harness) Advance(d time.Duration) {
	h.t.Helper()
	h.Clock.Advance(d)
	for _, t := range h.machine.Tables() {
		if !book.Timed(t) {
			continue
		}
		h.core.Ahead(t, h.Clock.Now()+1)
		due, err := h.State.DueBefore(context.Background(), h.volume, t, book.DueRow{}, h.Clock.Now()+1, math.MaxInt)
		if err != nil {
			h.t.Fatalf("booktest: due: %v", err)
		}
		for _, d := range due {
			h.core.AddDue(t, d.Key, d.At)
		}
	}
	for {
		cmds, wants := h.core.Due(h.Clock.Now(), 1)
		if len(cmds)+len(wants) == 0 {
			return
		}
		h.fetch(wants)
		for _, cmd := range cmds {
			if _, err := h.Do(cmd); err != nil {
				h.t.Logf("booktest: due command %T: %v", cmd, err)
			}
		}
	}
}

// Restart drops all memory and recovers from the tables and the journal, as a new process would.
func (h *Harness) Restart() {
	h.t.Helper()
	h.machine = h.make()
	core, err := book.Recover(context.Background(), h.name, h.volume, h.machine, h.Log, h.State)
	if err != nil {
		h.t.Fatalf("booktest: recover: %v", err)
	}
	h.core = core
	h.core.TakeOver(h.Clock.Now())
	h.commit()
}

// Rebuild replays the whole journal into new tables and requires them to equal the saved ones.
func (h *Harness) Rebuild() {
	h.t.Helper()
	h.Save()
	fresh := book.NewMemState()
	core, err := book.Recover(context.Background(), h.name, h.volume, h.make(), h.Log, fresh)
	if err != nil {
		h.t.Fatalf("booktest: rebuild: %v", err)
	}
	if err := book.SaveNow(context.Background(), core, fresh); err != nil {
		h.t.Fatalf("booktest: rebuild: %v", err)
	}
	want, got := h.State.Dump(), fresh.Dump()
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || want[i] != got[i] {
			h.t.Fatalf("booktest: rebuilt tables differ at row %d:\nsaved   %s\nrebuilt %s", i, at(want, i), at(got, i))
		}
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "(no row)"
}
