package book

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// However many rows there are, a start reads none of them, and a command reads its own only.
func TestB11_StartLoadsNoRows(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(1)
		for range 20 {
			p.account(1)
		}
		a := p.account(42)
		p.close()
		r.clk.Advance(time.Hour)
		p = r.start(1)
		if n := p.state.loads.Load(); n != 0 {
			t.Errorf("the start read %d times", n)
		}
		for range 3 {
			if got := p.must(toyRead{a}); got != int64(42) {
				t.Errorf("it reads %v", got)
			}
		}
		if n, rows := p.state.loads.Load(), p.books[0].Stats().Resident; n != 1 || rows != 1 {
			t.Errorf("one account was read %d times and left %d rows in memory", n, rows)
		}
	})
}

// What is missing is fetched aside: commands whose rows are in memory go on, and those who ask for the same row share
// the read.
func TestB11_ColdRowsHoldNobodyUp(t *testing.T) {
	const callers = 50
	r := newRig(t)
	p := r.start(1)
	cold, other := p.account(7), p.account(8)
	r.clk.Advance(time.Hour)
	p.forget()
	hot := p.account(9)
	came, let := make(chan []Want, callers), make(chan struct{})
	p.state.tap(func(w []Want) { came <- w; <-let }, nil)
	answers := make(chan any, callers)
	read := func(x id.ID) {
		reply, err := p.do(toyRead{x})
		if err != nil {
			reply = err
		}
		answers <- reply
	}
	go read(other)
	receive(t, "a read", came)
	for range callers {
		go read(cold)
	}
	if got := p.must(toyRead{hot}); got != int64(9) {
		t.Errorf("hot: %v", got)
	}
	eventually(t, "all wait", func() bool {
		p.books[0].mu.Lock()
		defer p.books[0].mu.Unlock()
		return p.books[0].fetches != nil
	})
	close(let)
	for range callers + 1 {
		if got := receive(t, "an answer", answers); got != int64(7) && got != int64(8) {
			t.Errorf("cold: %v", got)
		}
	}
	if n := p.state.loads.Load(); n > 3 {
		t.Errorf("%d callers of one row took %d reads", callers, n)
	}
}

// Rows that are not needed leave memory, whether they came by commands or by reads, and come back as they were.
func TestB11_MemoryIsBounded(t *testing.T) {
	r := newRig(t)
	r.limits = Limits{Rows: 100, Keep: clock.Second}
	p := r.start(1)
	var all []id.ID
	for i := range 3000 {
		r.clk.Advance(10 * time.Millisecond)
		all = append(all, p.account(int64(i)))
		if i%20 == 0 {
			if err := p.sync(); err != nil {
				t.Fatal(err)
			}
		}
		if n := p.books[0].Stats().Resident; n > 400 {
			t.Fatalf("after %d accounts, %d rows are in memory", i, n)
		}
	}
	for i, x := range all {
		if got := p.must(toyRead{x}); got != int64(i) {
			t.Fatalf("account %d reads %v", i, got)
		}
		if n := p.books[0].Stats().Resident; n > 400 {
			t.Fatalf("after reading %d accounts, %d rows are in memory", i, n)
		}
	}
}

// The books of a process have one budget: what a book that is in use needs, one that stands still gives up.
func TestB11_BooksShareOneBudget(t *testing.T) {
	const all = 2 * leastRows * 3 // of each of three books, two tables
	r := newRig(t)
	r.limits = Limits{Rows: 100 * all, All: all, Keep: clock.Second}
	p := r.start(3)
	made := make([][]id.ID, len(p.books))
	for i := range 5 * all {
		r.clk.Advance(10 * time.Millisecond)
		v := min(i/(2*all), 2) // one after the other
		x := r.id()
		if _, err := p.books[v].Do(background, toyOpen{toyKey(x), int64(i)}); err != nil {
			t.Fatal(err)
		}
		made[v] = append(made[v], x)
	}
	if err := p.sync(); err != nil {
		t.Fatal(err)
	}
	resident := func() (n int) {
		for _, b := range p.books {
			n += b.Stats().Resident
		}
		return n
	}
	eventually(t, "the books have no more rows than they may", func() bool {
		r.clk.Advance(time.Minute)
		return resident() <= all
	})
	for v, ids := range made {
		for _, x := range ids {
			if _, err := p.books[v].Do(background, toyRead{x}); err != nil {
				t.Fatalf("book %d: %v", v, err)
			}
		}
	}
}

// A command finds all its rows in memory in the end, even if they are the only ones that may leave it.
func TestB11_RowsThatAreWaitedForStay(t *testing.T) {
	c := NewCore("toy/00", 0, newToy())
	c.TakeOver(start)
	log, state := NewMemLog(), NewMemState()
	young := func(n byte) id.ID { return id.Compose(start, 0, [9]byte{n}) }
	for i := range byte(30) {
		c.Submit(start, toyOpen{toyKey(young(i)), 1}, func(any, error) {})
	}
	old := [2]id.ID{{15: 1}, {15: 2}}
	open := func(cmd any) {
		for wants := c.Submit(start, cmd, func(any, error) {}); wants != nil; wants = c.Submit(start, cmd, func(any, error) {}) {
			for _, w := range wants {
				c.Install(w, nil)
			}
		}
	}
	open(toyOpen{toyKey(old[0]), 9})
	open(toyOpen{toyKey(old[1]), 9})
	if err := errors.Join(Commit(background, c, log), SaveNow(background, c, state)); err != nil {
		t.Fatal(err)
	}
	evict := func() { c.Evict(Limits{Rows: 20}, start) } // the young ones stay
	evict()
	evict()
	if n := c.Resident(); n != 30 {
		t.Fatalf("%d rows are in memory", n)
	}
	move := toyMove{ID: young(200), From: old[0], To: old[1], Amount: 1}
	for loads := 0; ; loads++ {
		wants := c.Submit(start, move, func(any, error) {})
		if wants == nil {
			return
		}
		if loads == 4 {
			t.Fatalf("after %d loads the command still wants %v", loads, wants)
		}
		w := wants[len(wants)-1:] // as if another command had just brought the others
		rows, _, err := state.Load(background, "toy/00", 0, w)
		if err != nil {
			t.Fatal(err)
		}
		c.Install(w[0], rows[0])
		evict()
	}
}

// A read may take longer than the time between two saves: it is answered by one read all the same.
func TestB11_SlowReadsCome(t *testing.T) {
	r := newRig(t)
	r.limits = Limits{Rows: 10, Keep: clock.Second}
	p := r.start(1)
	cold := p.account(7)
	r.clk.Advance(time.Hour)
	p.forget()
	saves := 0
	p.state.tapLoaded(func([]Want) { // meanwhile others are saved, and some of them leave memory
		if saves++; saves > 5 {
			return
		}
		for range 40 {
			r.clk.Advance(time.Second)
			p.account(1)
		}
		if err := p.sync(); err != nil {
			t.Error(err)
		}
	})
	before := p.state.loads.Load()
	if got := p.must(toyRead{cold}); got != int64(7) {
		t.Errorf("reads %v", got)
	}
	if n := p.state.loads.Load() - before; n != 1 {
		t.Errorf("it took %d reads", n)
	}
}

// What a slow read finds never takes the place of what was changed meanwhile.
func TestB11_SlowReadsBringNothingBack(t *testing.T) {
	c, log, state := NewCore("toy/00", 0, newToy()), NewMemLog(), NewMemState()
	c.TakeOver(start)
	a, b := id.ID{15: 1}, id.ID{15: 2}
	var reply any
	do := func(cmd any) []Want { return c.Submit(start, cmd, func(r any, _ error) { reply = r }) }
	install := func(wants []Want) {
		rows, _, err := state.Load(background, "toy/00", 0, wants)
		if err != nil {
			t.Fatal(err)
		}
		for i, w := range wants {
			c.Install(w, rows[i])
		}
	}
	save := func() {
		if err := errors.Join(Commit(background, c, log), SaveNow(background, c, state)); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range []id.ID{a, b} {
		for wants := do(toyOpen{toyKey(x), 9}); wants != nil; wants = do(toyOpen{toyKey(x), 9}) {
			install(wants)
		}
	}
	save()
	c.Forget()
	slow := do(toyRead{a})
	c.Await(slow)
	rows, _, err := state.Load(background, "toy/00", 0, slow) // before the money moves
	if err != nil {
		t.Fatal(err)
	}
	move := toyMove{ID: id.Compose(start, 0, [9]byte{1}), From: a, To: b, Amount: 5}
	for wants := do(move); wants != nil; wants = do(move) {
		install(wants)
	}
	save()
	c.Forget()
	c.Evict(Limits{}, start)
	c.Arrived(slow, rows)
	if wants := do(toyRead{a}); wants != nil {
		t.Fatalf("wants %v after they were read", wants)
	}
	for _, x := range c.Ready() {
		x.Tell()
	}
	if reply != int64(4) {
		t.Errorf("reads %v, expected 4", reply)
	}
	c.Forget()
	if n := c.Resident(); n != 0 {
		t.Errorf("%d rows stay although nobody waits for them", n)
	}
}

// What ended makes way for what goes on: however many payments there were, accounts stay, and who asks for an old payment
// again hears what the first one heard.
func TestB11_WhatPassesLeavesFirst(t *testing.T) {
	r := newRig(t)
	r.limits = Limits{Rows: 1000, Passing: 50, Keep: clock.Millisecond}
	p := r.start(1)
	var accounts []id.ID
	for range 200 {
		accounts = append(accounts, p.account(1000))
	}
	var first toyMove
	var said any
	for i := range 600 {
		r.clk.Advance(10 * time.Millisecond)
		m := toyMove{ID: r.id(), From: accounts[i%200], To: accounts[(i+1)%200], Amount: 1, Key: r.key()}
		reply := p.must(m)
		if i == 0 {
			first, said = m, reply
		}
		if i%20 == 19 {
			if err := p.sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.books[0].mu.Lock()
	stay, moves, keys := p.toys[0].accounts.count(), p.toys[0].moves.count(), p.toys[0].keys.count()
	p.books[0].mu.Unlock()
	if stay != 200 || moves > 150 || keys > 150 {
		t.Errorf("of 200 accounts and 600 moves with keys, %d, %d and %d are in memory", stay, moves, keys)
	}
	before := p.state.loads.Load()
	if again := p.must(first); again != said {
		t.Errorf("the first move says %v now, and said %v", again, said)
	}
	if p.state.loads.Load() == before {
		t.Error("it was never gone")
	}
}

// Young rows stay, so that fresh ids are known, but not at any price.
func TestB11_YoungRowsAreBoundedToo(t *testing.T) {
	m := newToy()
	c := NewCore("toy/00", 0, m)
	c.TakeOver(start)
	log, state := NewMemLog(), NewMemState()
	for i := range 1000 {
		c.Submit(start, toyOpen{toyKey(id.Compose(start, 0, [9]byte{byte(i), byte(i >> 8)})), 1}, func(any, error) {})
	}
	if err := errors.Join(Commit(background, c, log), SaveNow(background, c, state)); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		c.Evict(Limits{Rows: 600}, start)
	}
	if n := c.Resident(); n != 1000 {
		t.Errorf("of less than twice the limit, %d stay", n)
	}
	for range 20 {
		c.Evict(Limits{Rows: 100}, start)
	}
	if n := c.Resident(); n != 200 {
		t.Errorf("%d young rows stay", n)
	}
}

// A row that a command reads without declaring it would make the answer depend on what happens to be in memory. That is
// a bug of the machine, and ends the book and the process.
func TestB11_UndeclaredReadsAreCaught(t *testing.T) {
	r := newRig(t)
	p := r.start(1)
	a := p.account(1)
	p.must(toySneak{a}) // not seen while the row is hot
	r.clk.Advance(time.Hour)
	p.forget()
	p.fails(toySneak{a}, fault.Bug)
	var panicked *PanicError
	if err := receive(t, "the process is ended", p.fatal); !errors.As(err, &panicked) || !strings.Contains(err.Error(), "declared in Touch") {
		t.Errorf("Fatal heard %v", err)
	}
}

// A machine that panics leaves a state nobody may use. The book ends, nobody hangs, nothing of it is written.
func TestPanicEndsTheBook(t *testing.T) {
	for _, in := range []string{"touch", "decide", "apply"} {
		r := newRig(t)
		p := r.start(2)
		a := p.account(5)
		g := newGate(t)
		p.log.tap(g.pass, nil)
		flying, waiting := make(chan error, 1), make(chan error, 1)
		p.books[0].Go(background, toyOpen{toyKey(r.id()), 1}, func(_ any, err error) { flying <- err })
		receive(t, "a block is being written", g.came)
		p.books[0].Go(background, toyOpen{toyKey(r.id()), 1}, func(_ any, err error) { waiting <- err })
		p.fails(toyCrash{in}, fault.Bug)
		var panicked *PanicError
		if err := receive(t, "the process is ended", p.fatal); !errors.As(err, &panicked) || panicked.Value != "crash in "+in ||
			!strings.Contains(string(panicked.Stack), "toy_test.go") {
			t.Errorf("Fatal heard %v", err)
		}
		p.log.tap(nil, nil)
		g.let <- struct{}{}
		for _, ch := range []chan error{flying, waiting} {
			if err := receive(t, "an answer", ch); fault.KindOf(err) == fault.Refused || err == nil {
				t.Errorf("a caller who waited hears %v", err)
			}
		}
		p.fails(toyRead{a}, fault.Bug)
		if _, err := p.books[1].Do(background, toyOpen{toyKey(r.id()), 1}); err != nil {
			t.Errorf("the neighbour hears %v", err)
		}
		p.close()
		if got := r.start(1).must(toyRead{a}); got != int64(5) {
			t.Errorf("after a restart: %v", got)
		}
	}
}

// Ids embed their time: a book that remembers the last minutes knows without a read that a fresh one is new.
func TestB12_FreshIDsNeedNoRead(t *testing.T) {
	r := newRig(t)
	r.limits = Limits{Rows: 50, Keep: 2 * clock.Minute}
	p := r.start(1)
	a, b := p.account(1_000_000), p.account(0)
	pay := func(n int) {
		t.Helper()
		for range n {
			r.clk.Advance(100 * time.Millisecond)
			p.must(toyMove{ID: r.id(), From: a, To: b, Amount: 1, Key: r.key()})
			if err := p.sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	pay(500)
	if n := p.state.loads.Load(); n != 0 {
		t.Errorf("500 new payments took %d reads", n)
	}
	late := r.id() // made now, used after what was made later is gone
	r.clk.Advance(time.Hour)
	pay(300)
	if n := p.books[0].Stats().Resident; n > 400 {
		t.Fatalf("%d rows are in memory", n)
	}
	before := p.state.loads.Load()
	p.must(toyMove{ID: late, From: a, To: b, Amount: 1})
	if n := p.state.loads.Load(); n != before+1 {
		t.Errorf("an old id took %d reads", n-before)
	}
	p.crash()
	r.clk.Advance(time.Second)
	p = r.start(1)
	eventually(t, "the filters are filled", p.filled)
	p.must(toyRead{a})
	p.must(toyRead{b})
	before = p.state.loads.Load()
	pay(10)
	if n := p.state.loads.Load(); n != before {
		t.Errorf("after a restart, 10 new payments took %d reads", n-before)
	}
}

// filled reports whether all filters of the first book's keys are.
func (p *proc) filled() bool {
	p.books[0].mu.Lock()
	defer p.books[0].mu.Unlock()
	for _, s := range p.toys[0].keys.segments {
		if slices.ContainsFunc(append(slices.Clone(s.days), s.months...), func(seg *segment) bool { return seg.cold }) {
			return false
		}
	}
	return true
}

// Callers' keys are random. Their index is cut by day, with a filter for each: a new key costs no read once the filters
// are filled, an old one costs one, and none is ever taken for new: not on another day, after a restart, with filters
// that are still being filled, or evicted.
func TestB12_KeysAcrossDaysAndRestarts(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		const days, perDay = 4, 25
		r.limits = Limits{Rows: 10}
		p := r.start(1)
		a, b := p.account(1_000_000), p.account(0)
		moves := make(map[id.ID]toyMove)
		for day := range days {
			for range perDay {
				m := toyMove{ID: r.id(), From: a, To: b, Amount: int64(day + 1), Key: r.key()}
				p.must(m)
				moves[m.Key] = m
			}
			r.clk.Advance(24 * time.Hour)
		}
		check := func(when string) {
			t.Helper()
			for _, m := range moves {
				want := m.ID
				m.ID = r.id()
				reply, err := p.do(m)
				if err != nil || reply.(toyReply).ID != want {
					t.Fatalf("%s: a key that was used is answered with %+v, %v", when, reply, err)
				}
			}
		}
		check("warm")
		p.crash()
		p = r.process()
		p.state.holdFill = make(chan struct{})
		if _, err := p.open(0, newToy()); err != nil {
			t.Fatal(err)
		}
		check("cold")
		p.must(toyMove{ID: r.id(), From: a, To: b, Amount: 1, Key: r.key()})
		close(p.state.holdFill)
		eventually(t, "the filters are filled", p.filled)
		p.must(toyRead{a})
		p.must(toyRead{b})
		before := p.state.loads.Load()
		for range 20 {
			p.must(toyMove{ID: r.id(), From: a, To: b, Amount: 1, Key: r.key()})
		}
		if n := p.state.loads.Load() - before; n > 5 { // a filter may be wrong once in a hundred
			t.Errorf("20 new keys took %d reads", n)
		}
		if got := p.must(toyRead{b}); got != int64(perDay*(1+2+3+4)+21) {
			t.Errorf("moved were %v", got)
		}
		check("filled")
	})
}

// Many callers, few rows in memory, crashes in between: no command is lost or done twice, and the tables agree.
func TestStress(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		const volumes, callers, rounds = 2, 8, 3
		r.limits = Limits{Rows: 8, Keep: clock.Millisecond}
		p := r.start(volumes)
		var accounts [volumes][]id.ID
		for v := range volumes {
			for range 20 {
				x := r.id()
				accounts[v] = append(accounts[v], x)
				if _, err := p.books[v].Do(background, toyOpen{toyKey(x), 1000}); err != nil {
					t.Fatal(err)
				}
			}
		}
		for round := range rounds {
			var all sync.WaitGroup
			for c := range callers {
				v := c % volumes
				all.Go(func() { p.callALot(p.books[v], accounts[v], c+round) })
			}
			all.Wait()
			if round%2 == 0 {
				p.crash()
			} else {
				p.close()
			}
			p = r.start(volumes)
		}
		for v := range volumes {
			sum := int64(0)
			for _, x := range accounts[v] {
				reply, err := p.books[v].Do(background, toyRead{x})
				if err != nil {
					t.Fatal(err)
				}
				sum += reply.(int64)
			}
			if sum != 20*1000 {
				t.Errorf("book %d: 20,000 became %d", v, sum)
			}
		}
		p.close()
		want := r.dump()
		r.rebuild(volumes)
		if d := differ(want, r.dump()); d != "" {
			t.Fatal(d)
		}
	})
}

// callALot moves money to and fro, each move twice and some under keys, and reads.
func (p *proc) callALot(b *Book, accounts []id.ID, seed int) {
	for i := range 60 {
		p.rig.clk.Advance(time.Millisecond)
		from, to := accounts[(i*7+seed)%20], accounts[(i*3+seed*5+1)%20]
		if from == to {
			continue
		}
		m := toyMove{ID: p.id(), From: from, To: to, Amount: int64(i % 50)}
		if i%3 == 0 {
			m.Key = p.key()
		}
		first, err1 := b.Do(background, m)
		again, err2 := b.Do(background, m)
		if (err1 == nil) != (err2 == nil) || err1 == nil && first != again {
			p.t.Errorf("a move is answered with %v, %v and then %v, %v", first, err1, again, err2)
		}
		if _, err := b.Do(background, toyRead{to}); err != nil {
			p.t.Errorf("read: %v", err)
		}
	}
}

// Closing writes what was decided, lets everyone hear, saves it, and leaves nothing running.
func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	r := newRig(t)
	p := r.start(3)
	p.busyDay()
	g := newGate(t)
	p.log.tap(g.pass, nil)
	told := make(chan error, 2)
	x := r.id()
	p.books[0].Go(background, toyOpen{toyKey(r.id()), 1}, func(_ any, err error) { told <- err })
	receive(t, "a block is being written", g.came)
	p.books[0].Go(background, toyOpen{toyKey(x), 77}, func(_ any, err error) { told <- err })
	closed := make(chan struct{})
	go func() { p.close(); close(closed) }()
	eventually(t, "nothing more is taken", func() bool {
		p.books[0].mu.Lock()
		defer p.books[0].mu.Unlock()
		return p.books[0].closed
	})
	p.fails(toyRead{x}, fault.ShuttingDown)
	p.log.tap(nil, nil)
	g.let <- struct{}{}
	for range 2 {
		if err := receive(t, "an answer", told); err != nil {
			t.Errorf("decided before the end, answered with %v", err)
		}
	}
	receive(t, "the process is closed", closed)
	for _, b := range p.books {
		if s := b.Stats(); s.Saved != s.Head {
			t.Errorf("%s: saved is block %d of %d", b.Name(), s.Saved, s.Head)
		}
	}
	eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
	if _, err := p.open(4, newToy()); !fault.HasCode(err, fault.ShuttingDown) {
		t.Errorf("a book opened after the end: %v", err)
	}
}

// A journal that does not come back does not keep the process from ending.
func TestCloseGivesUp(t *testing.T) {
	r := newRig(t)
	p := r.start(1)
	p.log.dead.Store(true)
	told := make(chan error, 1)
	p.books[0].Go(background, toyOpen{toyKey(r.id()), 1}, func(_ any, err error) { told <- err })
	ctx, cancel := context.WithCancel(background)
	cancel()
	p.writer.Close(ctx)
	p.saver.Close()
	p.closed = true
	if err := receive(t, "an answer", told); fault.KindOf(err) != fault.Unknown {
		t.Errorf("the caller hears %v", err)
	}
}
