package book

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// shaky is a clock that a test can set anywhere, and whose wall clock can step.
type shaky struct {
	*clock.Manual
	now   atomic.Int64
	drift atomic.Int64
}

func (s *shaky) Now() clock.Micros { return clock.Micros(s.now.Load()) }

// Steady is in doubt while there is a drift, and for good once it is an hour.
func (s *shaky) Steady() error {
	if by := time.Duration(s.drift.Load()); by != 0 {
		return &clock.StepError{By: by, Lasting: by.Abs() >= time.Hour}
	}
	return nil
}

// shakyProcess returns a process with such a clock and one book.
func shakyProcess(r *rig) (*proc, *shaky) {
	r.t.Helper()
	s := &shaky{Manual: r.clk}
	s.now.Store(int64(start))
	p := r.process()
	p.clk = s
	if _, err := p.open(0, newToy()); err != nil {
		r.t.Fatal(err)
	}
	return p, s
}

// All events of a block have its time, and no block is older than the one before.
func TestB7_TimeNeverGoesBackwards(t *testing.T) {
	r := newRig(t)
	p, clk := shakyProcess(r)
	type applied struct {
		at  clock.Micros
		seq uint64
	}
	var seen []applied
	p.toys[0].onApply = func(at clock.Micros, seq uint64, _ any) { seen = append(seen, applied{at, seq}) }
	g := newGate(t)
	told := make(chan any, 100)
	for _, step := range []clock.Micros{1000, -1, -4 * clock.Second, 5, 3 * clock.Second} {
		clk.now.Add(int64(step))
		p.log.tap(g.pass, nil)
		p.books[0].Go(background, toyOpen{toyKey(r.id()), 1}, func(any, error) { told <- 0 })
		receive(t, "a block is being written", g.came)
		for range 3 { // one block, although the clock moves
			clk.now.Add(7)
			p.books[0].Go(background, toyOpen{toyKey(r.id()), 1}, func(any, error) { told <- 0 })
		}
		p.log.tap(nil, nil)
		g.let <- struct{}{}
		for range 4 {
			receive(t, "an answer", told)
		}
	}
	p.close()
	blocks, err := r.log.Read(background, "toy/00", 1, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range blocks {
		if i > 0 && b.At < blocks[i-1].At {
			t.Errorf("block %d is of %v, and the one before of %v", b.Seq, b.At, blocks[i-1].At)
		}
	}
	for _, a := range seen {
		if got := blocks[a.seq-1].At; got != a.at {
			t.Errorf("an event of block %d was decided at %v, and the block says %v", a.seq, a.at, got)
		}
	}
	if len(seen) != 20 {
		t.Errorf("%d events", len(seen))
	}
}

// After a restart with a clock that lags behind, time goes on from the last block; one that is far off is refused.
func TestB7_TimeGoesOnAfterARestart(t *testing.T) {
	for _, saved := range []bool{true, false} {
		r := newRig(t)
		p, clk := shakyProcess(r)
		if !saved {
			p.state.breakWith(errors.New("the disk is full"))
		}
		clk.now.Add(int64(4 * clock.Second))
		p.account(1)
		p.crash()
		p, clk = shakyProcess(r)
		p.account(2)
		if at := p.lastBlock(0).At; at != start+4*clock.Second {
			t.Errorf("the first block after the restart is of %v", at)
		}
		clk.now.Add(int64(30 * clock.Second))
		p.account(3)
		p.close()
		if _, err := r.process().open(0, newToy()); !fault.HasCode(err, fault.DataDamaged) {
			t.Errorf("a machine whose clock is half a minute behind opens the book: %v", err)
		}
	}
}

// A wall clock that steps stops the stamping, raises an alarm, and lets go on once it is right again.
func TestB7_SteppingClockStopsTheStamping(t *testing.T) {
	r := newRig(t)
	p, clk := shakyProcess(r)
	clk.drift.Store(int64(-3 * time.Second))
	before := p.log.writes.Load()
	told := make(chan error, 1)
	p.books[0].Go(background, toyOpen{toyKey(r.id()), 1}, func(_ any, err error) { told <- err })
	receive(t, "the alarm", p.alarm)
	if n := p.log.writes.Load(); n != before || len(told) > 0 {
		t.Errorf("%d blocks were written and %d answers told with a clock that stepped", n-before, len(told))
	}
	clk.drift.Store(0)
	if err := receive(t, "the answer", told); err != nil {
		t.Error(err)
	}
	if len(p.alarm) > 0 {
		t.Error("a second alarm")
	}
}

// A clock that never comes back ends the process: whoever waits hears that nobody knows.
func TestB7_LastingDoubtEndsTheProcess(t *testing.T) {
	r := newRig(t)
	p, clk := shakyProcess(r)
	clk.drift.Store(int64(-time.Hour))
	told := make(chan error, 1)
	p.books[0].Go(background, toyOpen{toyKey(r.id()), 1}, func(_ any, err error) { told <- err })
	var step *clock.StepError
	if err := receive(t, "the end of the process", p.fatal); !errors.As(err, &step) || !step.Lasting {
		t.Errorf("ended by %v", err)
	}
	if err := receive(t, "the answer", told); !fault.HasCode(err, fault.Unavailable) {
		t.Errorf("answered with %v", err)
	}
}

// rung returns how often an alarm has rung, according to the tables.
func (p *proc) rung(x id.ID) int64 {
	p.t.Helper()
	if err := p.sync(); err != nil {
		p.t.Fatal(err)
	}
	m := newToy()
	rows, _, err := p.state.State.Load(background, "toy/00", 0, []Want{{Table: m.alarms, Key: toyKey(x)}})
	if err != nil || rows[0] == nil {
		p.t.Fatalf("the alarm is not there: %v", err)
	}
	return rows[0].(*row[toyAlarm]).v.Rung
}

func TestB7_DueTimesSurviveARestart(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(1)
		alarms := make(map[id.ID]time.Duration)
		for _, d := range []time.Duration{0, time.Second, 90 * time.Second, time.Hour, 48 * time.Hour} {
			x := r.id()
			alarms[x] = d
			p.must(toyAlert{ID: x, Due: start.Add(d)})
		}
		moved := r.id()
		p.must(toyAlert{ID: moved, Due: start.Add(time.Minute)})
		p.must(toyAlert{ID: moved, Due: start.Add(time.Hour)})
		off := r.id()
		p.must(toyAlert{ID: off, Due: start.Add(time.Minute)})
		p.must(toyAlert{ID: off, Due: 0})
		alarms[moved], alarms[off] = time.Hour, 1000*time.Hour
		for i, step := range []time.Duration{0, 2 * time.Second, 2 * time.Minute, 2 * time.Hour, 50 * time.Hour} {
			if i%2 == 0 {
				p.crash()
				p = r.start(1)
			}
			r.clk.Set(start.Add(step))
			for x, d := range alarms {
				want := int64(0)
				if d <= step {
					want = 1
				}
				eventually(t, "what is due has rung", func() bool { return p.rung(x) >= want })
				if got := p.rung(x); got != want {
					t.Errorf("after %v, the alarm of %v has rung %d times", step, d, got)
				}
			}
		}
	})
}

// Many rows are due at one time, more than one scan finds, and the commands of the first ones fail for ever: the others
// ring.
func TestB7_ManyRowsDueAtOnce(t *testing.T) {
	const many, deaf = 3 * keepScan, keepScan + 100
	r := newRig(t)
	p := r.start(1)
	ids := make([]id.ID, many)
	for i := range ids {
		ids[i] = id.Compose(start, 0, [9]byte{0: byte(i), 8: byte(i >> 8)})
		p.books[0].Go(background, toyAlert{ID: ids[i], Due: start.Add(time.Hour)}, func(any, error) {})
	}
	slices.SortFunc(ids, id.ID.Compare)
	p.account(1)
	p.close()
	p, m := r.process(), newToy()
	m.deaf = make(map[id.ID]bool)
	for _, x := range ids[:deaf] {
		m.deaf[x] = true
	}
	if _, err := p.open(0, m); err != nil {
		t.Fatal(err)
	}
	p.books[0].mu.Lock()
	heap := len(m.alarms.due.items)
	p.books[0].mu.Unlock()
	if heap > 0 {
		t.Errorf("%d due times are in memory an hour before", heap)
	}
	r.clk.Advance(2 * time.Hour)
	eventually(t, "those that can ring have rung", func() bool {
		due, err := p.state.DueBefore(background, 0, m.alarms, DueRow{}, start+clock.Day, many)
		if err != nil {
			t.Fatal(err)
		}
		return len(due) == deaf
	})
	for _, x := range []id.ID{ids[deaf], ids[many-1]} {
		if n := p.rung(x); n != 1 {
			t.Errorf("an alarm has rung %d times", n)
		}
	}
}

// A row whose due time moves again and again, and rows whose due times are far off, cost no memory.
func TestB7_DueTimesAreBounded(t *testing.T) {
	m := newToy()
	c := NewCore("toy/00", 0, m)
	c.TakeOver(start)
	c.Ahead(m.alarms, start+keepAhead)
	x := id.Compose(start, 0, [9]byte{1})
	for i := range 1000 {
		c.Submit(start, toyAlert{ID: x, Due: start + clock.Second + clock.Micros(i)}, func(any, error) {})
		c.Submit(start, toyAlert{ID: id.Compose(start, 0, [9]byte{2, byte(i), byte(i >> 8)}), Due: start + clock.Hour}, func(any, error) {})
	}
	if n := len(m.alarms.due.items); n != 1 {
		t.Errorf("%d entries for one row that is due soon", n)
	}
	if cmds, _ := c.Due(start+clock.Second, 10); len(cmds) != 0 {
		t.Error("a row is due before its time")
	}
	if cmds, _ := c.Due(start+clock.Second+1000, 10); len(cmds) != 1 || cmds[0] != (toyRing{x}) {
		t.Errorf("due are %v", cmds)
	}
	if cmds, _ := c.Due(start+clock.Second+1000, 10); len(cmds) != 0 {
		t.Error("a row is due twice")
	}
	if cmds, _ := c.Due(start+clock.Second+1000+dueRetry, 10); len(cmds) != 1 {
		t.Error("a command that failed does not come up again")
	}
}

// What is not due any more leaves no entry: when its time came, the row that had long left memory would be read back,
// only to say that it wants nothing. What is still due keeps its place whatever else moves and goes.
func TestB7_WhatEndedIsNotLookedAtAgain(t *testing.T) {
	m := newToy()
	c := NewCore("toy/00", 0, m)
	c.TakeOver(start)
	c.Ahead(m.alarms, start+keepAhead)
	const many = 300
	set := func(i int, due clock.Micros) {
		c.Submit(start, toyAlert{ID: id.Compose(start, 0, [9]byte{1, byte(i), byte(i >> 8)}), Due: due}, func(any, error) {})
	}
	for i := range many {
		set(i, start+clock.Second+clock.Micros(i*7919%many))
	}
	var want []clock.Micros
	for i := range many {
		switch i % 4 {
		case 0: // ended
			set(i, 0)
		case 1: // due some day
			set(i, start+clock.Hour)
		case 2: // due again, a moment later
			due := start + 2*clock.Second + clock.Micros(i*104729%many)
			set(i, due)
			want = append(want, due)
		case 3:
			want = append(want, start+clock.Second+clock.Micros(i*7919%many))
		}
	}
	if n := len(m.alarms.due.items); n != len(want) {
		t.Errorf("%d entries for %d rows that are due soon", n, len(want))
	}
	slices.Sort(want)
	for _, at := range want {
		if next := c.NextDue(); next != at {
			t.Fatalf("the next row is due at %v, not %v", next, at)
		}
		m.alarms.due.pop(at)
	}
}

// What a machine owes is state. A process that dies after it has decided, and before that was durable, leaves it owed;
// the next one does it, once, also while the tables cannot be saved.
func TestB8_WhatIsOwedIsDoneAfterACrash(t *testing.T) {
	r := newRig(t)
	p := r.start(1)
	x := r.id()
	p.state.breakWith(errors.New("the disk is full"))
	p.must(toyAlert{ID: x, Due: start + clock.Second})
	g := newGate(t)
	p.log.tap(g.pass, nil)
	r.clk.Advance(time.Second)
	w := receive(t, "the alarm's block is being written", g.came)
	if w.Blocks[0].Events[0].Type != toyTypeRang {
		t.Fatalf("it holds %v", w.Blocks[0].Events)
	}
	go func() { g.let <- struct{}{} }()
	p.crash()
	p = r.process()
	p.state.breakWith(errors.New("the disk is full"))
	if _, err := p.open(0, newToy()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it rings", func() bool { return p.lastBlock(0).Events[0].Type == toyTypeRang })
	p.crash()
	r.clk.Advance(time.Hour)
	p = r.start(1)
	p.account(1)
	if n := p.rung(x); n != 1 {
		t.Errorf("it rang %d times", n)
	}
}

// An effect hears of its command once that is durable, and may submit the next one at once.
func TestB8_EffectsComeAfter(t *testing.T) {
	p := newRig(t).start(1)
	var durable atomic.Uint64
	p.log.tap(nil, func(w journal.Batch) {
		for _, b := range w.Blocks {
			durable.Store(b.Seq)
		}
	})
	a, b := p.account(100), p.account(0)
	done := make(chan error, 1)
	var effect func(n int) Done
	effect = func(n int) Done {
		decided := p.books[0].Stats().Head
		return func(_ any, err error) {
			if durable.Load() <= decided {
				err = errors.Join(err, errors.New("an effect came before its command was durable"))
			}
			if n == 0 || err != nil {
				done <- err
				return
			}
			p.books[0].Go(background, toyMove{ID: p.id(), From: a, To: b, Amount: 1}, effect(n-1))
		}
	}
	p.books[0].Go(background, toyMove{ID: p.id(), From: a, To: b, Amount: 1}, effect(9))
	if err := receive(t, "ten effects, one after another", done); err != nil {
		t.Error(err)
	}
	if got := p.must(toyRead{b}); got != int64(10) {
		t.Errorf("they moved %v", got)
	}
}
