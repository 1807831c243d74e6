package book

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
)

// The journal alone says what the state is: whoever folds it gets the same.
func TestB1_SameJournalSameState(t *testing.T) {
	r := newRig(t)
	p := r.start(1)
	p.busyDay()
	if err := p.sync(); err != nil {
		t.Fatal(err)
	}
	p.close()
	want := r.dump()
	if len(want) < 30 {
		t.Fatalf("only %d rows", len(want))
	}
	for range 2 {
		r.rebuild(1)
		if d := differ(want, r.dump()); d != "" {
			t.Fatal(d)
		}
	}
}

// busyDay makes some of everything, in the first book.
func (p *proc) busyDay() {
	p.t.Helper()
	a, b := p.account(10_000), p.account(0)
	for i := range 20 {
		p.rig.clk.Advance(time.Hour)
		move := toyMove{ID: p.id(), From: a, To: b, Amount: int64(i * 10), Key: p.key()}
		if i%5 == 4 {
			move.Amount = 1_000_000
		}
		_, err := p.do(move)
		if i%5 == 4 != fault.HasCode(err, fault.InsufficientFunds) {
			p.t.Fatalf("move %d: %v", i, err)
		}
		p.must(toyAlert{ID: p.id(), Due: p.rig.clk.Now().Add(time.Duration(i) * time.Minute)})
	}
}

func differ(want, got []string) string {
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || want[i] != got[i] {
			return fmt.Sprintf("row %d of %d and %d differs:\nwant %s\n got %s", i, len(want), len(got), line(want, i), line(got, i))
		}
	}
	return ""
}

func line(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "(no row)"
}

// tellsEarly submits one command of each kind of answer (accepted, replayed, conflicting, read, refused), the first
// of them alone, and reports how many answers were told while that one's block was being written: of those that have to
// do with what is in it, and of those that read only what is durable already.
func tellsEarly(t *testing.T, submit func(p *proc, cmd any, done Done)) (early, rightly int64) {
	p := newRig(t).start(1)
	a, b, c := p.account(100), p.account(0), p.account(7)
	old := toyMove{ID: p.id(), From: a, To: b, Amount: 1}
	p.must(old)
	other := old
	other.Amount = 2
	g := newGate(t)
	p.log.tap(g.pass, nil)
	var told, durable atomic.Int64
	var all sync.WaitGroup
	for i, cmd := range []any{
		toyMove{ID: p.id(), From: a, To: b, Amount: 5},
		old, other,
		toyRead{c},
		toyRead{p.id()},
		toyRead{a},
		toyMove{ID: p.id(), From: a, To: b, Amount: 5000},
		toyRead{b},
		toyMove{ID: p.id(), From: c, To: b, Amount: 1},
		toyRead{c},
	} {
		all.Add(1)
		count := &told
		if i >= 1 && i <= 4 { // what was done before, an account that the block does not change, and one that is not there
			count = &durable
		}
		submit(p, cmd, func(any, error) { count.Add(1); all.Done() })
		if i == 0 {
			receive(t, "the first block is being written", g.came)
		}
	}
	early, rightly = told.Load(), durable.Load()
	p.log.tap(nil, nil)
	g.let <- struct{}{}
	all.Wait()
	return early, rightly
}

func TestB2_NothingIsToldBeforeItIsDurable(t *testing.T) {
	n, rightly := tellsEarly(t, func(p *proc, cmd any, done Done) { p.books[0].Go(background, cmd, done) })
	if n != 0 {
		t.Errorf("%d answers were told before their block was durable", n)
	}
	if rightly != 4 {
		t.Errorf("of four answers that have nothing to do with the block, %d were told while it was written", rightly)
	}
	// The control answers as soon as it has decided. It must be caught.
	if n, _ := tellsEarly(t, func(p *proc, cmd any, done Done) {
		p.books[0].Go(background, cmd, func(any, error) {})
		done(nil, nil)
	}); n == 0 {
		t.Error("a book that answers before the commit was not caught")
	}
}

// What was decided on a block that is lost with its process was never told; what was told is there.
func TestB2_WhatWasToldIsThere(t *testing.T) {
	r := newRig(t)
	p := r.start(1)
	a, b := p.account(100), p.account(0)
	p.must(toyMove{ID: p.id(), From: a, To: b, Amount: 30})
	lost := make(chan error, 1)
	g := newGate(t)
	p.log.tap(g.pass, nil)
	p.books[0].Go(background, toyMove{ID: p.id(), From: a, To: b, Amount: 50}, func(_ any, err error) { lost <- err })
	receive(t, "the block is being written", g.came)
	p.log.dead.Store(true) // before the write goes on
	go func() { g.let <- struct{}{} }()
	p.crash()
	if err := receive(t, "the caller hears", lost); fault.KindOf(err) != fault.Unknown {
		t.Errorf("the caller of a lost block hears %v", err)
	}
	p = r.start(1)
	if got := p.must(toyRead{b}); got != int64(30) {
		t.Errorf("after the restart there are %v, told were 30", got)
	}
}

// A journal that cannot be written ends the process, and nobody hears anything but "unknown".
func TestB2_FailedJournalTellsNothing(t *testing.T) {
	p := newRig(t).start(1)
	a := p.account(100)
	broken := errors.New("fsync failed")
	p.log.breakWith(broken)
	if _, err := p.do(toyOpen{toyKey(p.id()), 1}); fault.KindOf(err) != fault.Unknown {
		t.Errorf("the caller heard %v", err)
	}
	if err := receive(t, "the process is ended", p.fatal); !errors.Is(err, broken) {
		t.Errorf("Fatal heard %v", err)
	}
	if _, err := p.do(toyRead{a}); err == nil {
		t.Error("the book still answers")
	}
}

// overtake lets a second process take over and pay, and returns both and an account that the second one changed.
func overtake(t *testing.T, r *rig) (old, young *proc, a id.ID) {
	r.shared = true
	old = r.start(1)
	a = old.account(100)
	young = r.start(1)
	young.must(toyMove{ID: r.id(), From: a, To: young.account(0), Amount: 100})
	return old, young, a
}

func TestB3_OvertakenWriterAnswersNothing(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		old, young, a := overtake(t, r)
		if _, err := old.do(toyOpen{toyKey(r.id()), 1}); !fault.HasCode(err, fault.Fenced) {
			t.Errorf("a command of the overtaken writer ends with %v", err)
		}
		if _, err := old.do(toyRead{a}); !fault.HasCode(err, fault.Fenced) {
			t.Errorf("a later one ends with %v", err)
		}
		if got := young.must(toyRead{a}); got != int64(0) {
			t.Errorf("the new writer reads %v", got)
		}
		back := r.start(1) // and back
		if got := back.must(toyRead{a}); got != int64(0) {
			t.Errorf("the third writer reads %v", got)
		}
	})
}

// The database loses the answer to a commit: the same bytes are offered again and turn out to stand there.
func TestB3_LostReplyIsSettledByTheHash(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, config func(string) store.Config) {
		var faults storetest.Faults
		c := config("journal")
		c.Wrap = faults.Wrap
		r := sqlRig(t, storetest.Open(t, c), storetest.Open(t, config("toy")))
		p := r.start(1)
		a, b := p.account(100), p.account(0)
		for _, kind := range []storetest.Kind{storetest.LoseReply, storetest.Fail} {
			before := p.books[0].Stats().Head
			faults.Commit(1, kind, nil)
			p.must(toyMove{ID: p.id(), From: a, To: b, Amount: 10})
			if after := p.books[0].Stats().Head; after != before+1 {
				t.Errorf("one command made blocks %d … %d", before+1, after)
			}
		}
		if got := p.must(toyRead{b}); got != int64(20) {
			t.Errorf("two moves of 10 came to %v", got)
		}
	})
}

// Two books share a commit; one of them was taken over. The other one's caller is answered as ever.
func TestB3_LostCompareSparesTheNeighbours(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		r.shared = true
		p := r.start(2)
		other := r.process()
		if _, err := other.open(0, newToy()); err != nil {
			t.Fatal(err)
		}
		g := newGate(t)
		p.log.tap(g.pass, nil)
		first, second := make(chan error, 1), make(chan error, 1)
		p.books[1].Go(background, toyOpen{toyKey(r.id()), 1}, func(any, error) {})
		receive(t, "a block is being written", g.came)
		p.books[0].Go(background, toyOpen{toyKey(r.id()), 1}, func(_ any, err error) { first <- err })
		p.books[1].Go(background, toyOpen{toyKey(r.id()), 1}, func(_ any, err error) { second <- err })
		g.let <- struct{}{}
		if w := receive(t, "the next batch is being written", g.came); len(w.Blocks) != 2 {
			t.Fatalf("the batch has %d blocks", len(w.Blocks))
		}
		p.log.tap(nil, nil)
		g.let <- struct{}{}
		if err := receive(t, "the first is answered", first); !fault.HasCode(err, fault.Fenced) {
			t.Errorf("the book that was taken over answers %v", err)
		}
		if err := receive(t, "the second is answered", second); err != nil {
			t.Errorf("its neighbour answers %v", err)
		}
	})
}

func TestB4_TakingOverIsABlock(t *testing.T) {
	r := newRig(t)
	for n := uint64(1); n <= 3; n++ {
		r.start(1).close()
		blocks, err := r.log.Read(background, "toy/00", n, 10)
		if err != nil || len(blocks) != 1 {
			t.Fatalf("opening number %d left %d blocks, %v", n, len(blocks), err)
		}
		o, err := decodeOpened(blocks[0].Events[0].Body)
		if err != nil || blocks[0].Events[0].Type != openedType || len(blocks[0].Events) != 1 {
			t.Fatalf("the first block of writer %d is %v, %v", n, blocks[0].Events, err)
		}
		if blocks[0].Epoch != n || o != (opened{Epoch: n, At: start, Version: 3}) {
			t.Errorf("writer %d opened with epoch %d, %+v", n, blocks[0].Epoch, o)
		}
	}
}

// The writer before is at work and appends first, several times. Whoever takes over tries again.
func TestB4_TakesOverFromAWriterAtWork(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		r.shared = true
		old, young := r.start(1), r.process()
		tries := 0
		young.log.tap(func(journal.Batch) {
			if tries++; tries <= 3 {
				old.account(1)
			}
		}, nil)
		if _, err := young.open(0, newToy()); err != nil {
			t.Fatalf("after %d tries: %v", tries, err)
		}
		if tries != 4 {
			t.Errorf("the old writer was first 3 times, and it took %d tries", tries)
		}
		young.account(1)
		if _, err := old.do(toyOpen{toyKey(r.id()), 1}); !fault.HasCode(err, fault.Fenced) {
			t.Errorf("a command of the old writer ends with %v", err)
		}
	})
}

// What is answered without an event is checked against the head.
func TestB4_StaleReadsAreNotTold(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		old, _, a := overtake(t, r)
		if got, err := old.do(toyRead{a}); !fault.HasCode(err, fault.Fenced) {
			t.Errorf("the overtaken writer reads %v, %v", got, err)
		}
	})
}

// The check comes after the decision: a read that was decided while an append was under way, and after that append was
// done, is stale if another writer came in between.
func TestB4_ReadsBehindAnAppendAreChecked(t *testing.T) {
	r := newRig(t)
	r.shared = true
	old := r.start(1)
	a := old.account(100)
	g := newGate(t)
	old.log.tap(nil, g.pass)
	first := make(chan error, 1)
	old.books[0].Go(background, toyOpen{toyKey(r.id()), 1}, func(_ any, err error) { first <- err })
	receive(t, "the block stands", g.came)
	young := r.start(1)
	young.must(toyMove{ID: r.id(), From: a, To: young.account(0), Amount: 100})
	read := make(chan error, 1)
	old.books[0].Go(background, toyRead{a}, func(got any, err error) {
		if err == nil {
			err = fmt.Errorf("read %v", got)
		}
		read <- err
	})
	old.log.tap(nil, nil)
	g.let <- struct{}{}
	if err := receive(t, "the append is answered", first); err != nil {
		t.Errorf("the block stood before it was overtaken, and its caller hears %v", err)
	}
	if err := receive(t, "the read is answered", read); !fault.HasCode(err, fault.Fenced) {
		t.Errorf("the stale read: %v", err)
	}
}

// A read and a command of one book in one batch: the command's own block is no reason to call the read stale.
func TestB4_ReadsGoWithTheirBlock(t *testing.T) {
	r := newRig(t)
	r.shared = true
	p := r.start(2)
	a := p.account(100)
	g := newGate(t)
	p.log.tap(g.pass, nil)
	p.books[1].Go(background, toyOpen{toyKey(r.id()), 1}, func(any, error) {})
	receive(t, "another book's block is being written", g.came)
	answers := make(chan error, 2)
	p.books[0].Go(background, toyRead{a}, func(_ any, err error) { answers <- err })
	p.books[0].Go(background, toyOpen{toyKey(r.id()), 1}, func(_ any, err error) { answers <- err })
	p.log.tap(nil, nil)
	g.let <- struct{}{}
	for range 2 {
		if err := receive(t, "an answer", answers); err != nil {
			t.Error(err)
		}
	}
}

func TestB4_RefusesWhatItDoesNotUnderstand(t *testing.T) {
	r := newRig(t)
	p := r.start(1)
	p.account(1)
	p.close()
	m := newToy()
	m.version--
	if _, err := r.process().open(0, m); !fault.HasCode(err, fault.DataDamaged) {
		t.Errorf("an older program opens the book: %v", err)
	}
	p = r.start(1)
	p.state.breakWith(errors.New("the disk is full")) // so that the event has to be replayed
	p.must(toyNever{})
	p.crash()
	if _, err := r.process().open(0, newToy()); !fault.HasCode(err, fault.DataDamaged) {
		t.Errorf("a program that does not know an event opens the book: %v", err)
	}
	// A kernel's event of a later version.
	log := NewMemLog()
	b := &journal.Block{Book: "toy/00", Seq: 1, Epoch: 1, At: start, Events: []journal.Event{{Type: openedType + 1}}}
	journal.Seal(b)
	if _, err := log.Write(background, journal.Batch{Blocks: []*journal.Block{b}}); err != nil {
		t.Fatal(err)
	}
	if _, err := Recover(background, "toy/00", 0, newToy(), log, NewMemState()); !fault.HasCode(err, fault.DataDamaged) {
		t.Errorf("a program that does not know an event of the kernel opens the book: %v", err)
	}
}

// Commands that arrive while a block is being written share the next one; a caller alone pays for one commit.
func TestB5_CallersShareCommits(t *testing.T) {
	const callers = 100
	p := newRig(t).start(1)
	before := p.log.writes.Load()
	for range 5 {
		p.account(1)
	}
	if n := p.log.writes.Load() - before; n != 5 {
		t.Errorf("5 commands one after another took %d commits", n)
	}
	g := newGate(t)
	p.log.tap(g.pass, nil)
	before = p.log.writes.Load()
	var all sync.WaitGroup
	p.books[0].Go(background, toyOpen{toyKey(p.id()), 1}, func(any, error) {})
	receive(t, "the first caller's block is being written", g.came)
	errs := make(chan error, callers)
	for range callers - 1 {
		all.Go(func() { _, err := p.do(toyOpen{toyKey(p.id()), 1}); errs <- err })
	}
	eventually(t, "all others have decided", func() bool {
		p.books[0].mu.Lock()
		defer p.books[0].mu.Unlock()
		return len(p.books[0].core.open.answers) == callers-1
	})
	p.log.tap(nil, nil)
	g.let <- struct{}{}
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if n := p.log.writes.Load() - before; n != 2 {
		t.Errorf("%d callers took %d commits", callers, n)
	}
	if n := len(p.lastBlock(0).Events); n != callers-1 {
		t.Errorf("the last block has %d events", n)
	}
}

func (p *proc) lastBlock(volume int) *journal.Block {
	p.t.Helper()
	h, err := p.rig.log.Head(background, Name("toy", volume))
	if err != nil {
		p.t.Fatal(err)
	}
	blocks, err := p.rig.log.Read(background, h.Book, h.Seq, 1)
	if err != nil || len(blocks) != 1 {
		p.t.Fatalf("read the last block: %d, %v", len(blocks), err)
	}
	return blocks[0]
}

// The same id and body give the same reply for as long as what it made exists: at once, at the same time, from the
// tables, after a restart. Another body is a conflict.
func TestB6_DuplicatesGetTheSameReply(t *testing.T) {
	r := newRig(t)
	p := r.start(1)
	a, b := p.account(100), p.account(0)
	done := toyMove{ID: r.id(), From: a, To: b, Amount: 60, Key: id.ID{1}}
	refused := toyMove{ID: r.id(), From: a, To: b, Amount: 60_000}
	reply := p.must(done)
	check := func(when string) {
		t.Helper()
		r.clk.Advance(time.Minute)
		for range 3 {
			if again, err := p.do(done); err != nil || again != reply {
				t.Errorf("%s: the duplicate gets %+v, %v; the first got %+v", when, again, err, reply)
			}
			keyed := done
			keyed.ID = r.id() // a caller that asks again does not know the id
			if again, err := p.do(keyed); err != nil || again != reply {
				t.Errorf("%s: the duplicate by key gets %+v, %v; the first got %+v", when, again, err, reply)
			}
			if _, err := p.do(refused); !fault.HasCode(err, fault.InsufficientFunds) {
				t.Errorf("%s: the duplicate of a refusal gets %v", when, err)
			}
		}
		keyed, other := done, done
		keyed.ID, keyed.Amount, other.Amount, other.Key = r.id(), 61, 61, id.Nil
		if _, err := p.do(other); !fault.HasCode(err, fault.IDReused) {
			t.Errorf("%s: another body under the id gets %v", when, err)
		}
		if _, err := p.do(keyed); !fault.HasCode(err, fault.IdempotencyKeyReused) {
			t.Errorf("%s: another body under the key gets %v", when, err)
		}
	}
	if _, err := p.do(refused); !fault.HasCode(err, fault.InsufficientFunds) {
		t.Fatal(err)
	}
	p.must(toyMove{ID: r.id(), From: b, To: a, Amount: 60}) // so that a refusal decided again would be none
	check("at once")
	p.forget()
	check("from the tables")
	p.crash()
	p = r.start(1)
	check("after a restart")
}

// forget drops all rows of the first book, once they are saved.
func (p *proc) forget() {
	p.t.Helper()
	if err := p.sync(); err != nil {
		p.t.Fatal(err)
	}
	p.books[0].mu.Lock()
	defer p.books[0].mu.Unlock()
	p.books[0].core.Forget()
	if n := p.books[0].core.Resident(); n != 0 {
		p.t.Fatalf("%d rows stay", n)
	}
}

func TestB6_ConcurrentDuplicatesTakeEffectOnce(t *testing.T) {
	p := newRig(t).start(1)
	a, b := p.account(100), p.account(0)
	move := toyMove{ID: p.id(), From: a, To: b, Amount: 60}
	replies := make(chan any, 50)
	for range cap(replies) {
		go func() {
			reply, err := p.do(move)
			if err != nil {
				reply = err
			}
			replies <- reply
		}()
	}
	first := receive(t, "an answer", replies)
	for range cap(replies) - 1 {
		if next := receive(t, "an answer", replies); next != first {
			t.Errorf("one got %v, another %v", first, next)
		}
	}
	if got := p.must(toyRead{b}); got != int64(60) {
		t.Errorf("50 copies of one move of 60 came to %v", got)
	}
}

// A block has a limit: whoever finds it full waits for the next one, and hears a definite no if he cannot.
func TestFullBlockMakesCallersWait(t *testing.T) {
	p := newRig(t).start(1)
	g := newGate(t)
	p.log.tap(g.pass, nil)
	var all sync.WaitGroup
	all.Add(1)
	p.books[0].Go(background, toyOpen{toyKey(p.id()), 1}, func(any, error) { all.Done() })
	receive(t, "a block is being written", g.came)
	for range maxOpenEvents {
		all.Add(1)
		p.books[0].Go(background, toyAlert{ID: p.id()}, func(any, error) { all.Done() })
	}
	gone, cancel := context.WithCancel(background)
	cancel()
	if _, err := p.books[0].Do(gone, toyAlert{ID: p.id()}); !fault.HasCode(err, fault.Overloaded) {
		t.Errorf("a caller who cannot wait hears %v", err)
	}
	waited := make(chan error, 1)
	go func() {
		_, err := p.do(toyAlert{ID: p.id()})
		waited <- err
	}()
	p.log.tap(nil, nil)
	g.let <- struct{}{}
	if err := receive(t, "the caller who waits is answered", waited); err != nil {
		t.Error(err)
	}
	all.Wait()
}
