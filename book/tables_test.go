package book

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

func TestB10_RebuiltTablesAreTheSame(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(1)
		p.busyDay()
		p.crash() // some blocks are in the tables, some are not
		p = r.start(1)
		p.busyDay()
		p.close()
		want := r.dump()
		if len(want) < 60 {
			t.Fatalf("only %d rows", len(want))
		}
		r.rebuild(1)
		if d := differ(want, r.dump()); d != "" {
			t.Fatal(d)
		}
	})
}

// The tables follow by themselves when the books are idle, and under a load that never lets them stand still.
func TestB10_TablesFollow(t *testing.T) {
	p := newRig(t).start(2)
	p.account(1)
	eventually(t, "the tables of an idle book follow", func() bool { s := p.books[0].Stats(); return s.Saved == s.Head })
	p.log.tap(nil, func(w journal.Batch) { // a command comes in before the block before it is answered, for ever
		for _, b := range p.books {
			b.Go(background, toyAlert{ID: p.id()}, func(any, error) {})
		}
	})
	for _, b := range p.books {
		b.Go(background, toyAlert{ID: p.id()}, func(any, error) {})
	}
	for range 3 {
		head := p.books[0].Stats().Head
		eventually(t, "the tables of a busy book follow", func() bool { return p.books[0].Stats().Saved > head })
	}
	p.log.tap(nil, nil)
	if err := p.sync(); err != nil {
		t.Fatal(err)
	}
	if n := p.saver.Stats(); n.Saves == 0 || n.Rows == 0 || n.Failed != 0 {
		t.Errorf("%+v", n)
	}
}

// Under load, a hot row is written once per save and not once per command.
func TestB10_HotRowsAreSavedOnce(t *testing.T) {
	m := newToy()
	c := NewCore("toy/00", 0, m)
	c.TakeOver(start)
	a, b := id.Compose(start, 0, [9]byte{1}), id.Compose(start, 0, [9]byte{2})
	c.Submit(start, toyOpen{toyKey(a), 1000}, func(any, error) {})
	c.Submit(start, toyOpen{toyKey(b), 0}, func(any, error) {})
	for i := range 500 {
		c.Submit(start, toyMove{ID: id.Compose(start, 0, [9]byte{3, byte(i), byte(i >> 8)}), From: a, To: b, Amount: 1}, func(any, error) {})
	}
	if err := Commit(background, c, NewMemLog()); err != nil {
		t.Fatal(err)
	}
	set := c.Snapshot()
	for _, ts := range set.Tables {
		if n := len(ts.Keys); ts.Name() == "toy_accounts" && n != 2 || ts.Name() == "toy_moves" && n != 500 {
			t.Errorf("%s: %d rows", ts.Name(), n)
		}
	}
}

func TestB10_SavesAreDurableBlocksOnly(t *testing.T) {
	p := newRig(t).start(1)
	p.state.tap(nil, func(sets []*SaveSet) {
		for _, s := range sets {
			blocks, err := p.rig.log.Read(background, s.Book, s.To.Seq, 1)
			if err != nil || len(blocks) != 1 || blocks[0].Hash != s.To.Hash {
				t.Errorf("a save of block %d, which is not in the journal", s.To.Seq)
			}
		}
	})
	// The save is asked for while a block is being written, so it has to wait for that one.
	g := newGate(t)
	p.log.tap(g.pass, nil)
	told := make(chan error, 1)
	p.books[0].Go(background, toyOpen{toyKey(p.id()), 1}, func(_ any, err error) { told <- err })
	receive(t, "a block is being written", g.came)
	p.log.tap(nil, nil)
	for range 3 {
		p.saver.collect()
		p.saver.flush(background)
	}
	if s := p.books[0].Stats(); s.Saved > s.Head {
		t.Errorf("saved is block %d, durable block %d", s.Saved, s.Head)
	}
	g.let <- struct{}{}
	if err := receive(t, "the answer", told); err != nil {
		t.Fatal(err)
	}
	if err := p.sync(); err != nil {
		t.Fatal(err)
	}
}

// A row goes on changing while it is saved; what is saved is what it was.
func TestB10_SnapshotsStandStill(t *testing.T) {
	r := newRig(t)
	p := r.start(1)
	a, b := p.account(10), p.account(0)
	if err := p.sync(); err != nil {
		t.Fatal(err)
	}
	held, let := make(chan *SaveSet), make(chan struct{})
	p.state.tap(nil, func(sets []*SaveSet) { held <- sets[0]; <-let })
	p.must(toyMove{ID: r.id(), From: a, To: b, Amount: 1})
	set := receive(t, "the save", held)
	want := fmt.Sprint(set.Tables)
	p.must(toyMove{ID: r.id(), From: a, To: b, Amount: 1})
	if got := fmt.Sprint(set.Tables); got != want {
		t.Errorf("the snapshot changed:\nfrom %s\nto   %s", want, got)
	}
	p.state.tap(nil, nil)
	let <- struct{}{}
	if err := p.sync(); err != nil {
		t.Fatal(err)
	}
	p.crash()
	if got := r.start(1).must(toyRead{b}); got != int64(2) {
		t.Errorf("after a restart there are %v", got)
	}
}

// A restart is load, then replay of what the tables miss, whatever that is.
func TestB10_LoadIsSavedPlusReplay(t *testing.T) {
	for missing := range 5 {
		r := newRig(t)
		p := r.start(1)
		a, b := p.account(100), p.account(0)
		for i := range 4 {
			if i == 4-missing {
				if err := p.sync(); err != nil {
					t.Fatal(err)
				}
				p.state.breakWith(errors.New("the disk is full"))
			}
			p.must(toyMove{ID: r.id(), From: a, To: b, Amount: 10})
		}
		if missing == 0 {
			p.close()
		}
		p.crash()
		p = r.start(1)
		if got := p.must(toyRead{b}); got != int64(40) {
			t.Errorf("with %d blocks to be replayed, there are %v", missing, got)
		}
	}
}

// Tables that stand for a block which the journal does not have are made again.
func TestB10_WrongTablesAreRebuilt(t *testing.T) {
	for name, spoil := range map[string]func(p *Position){
		"ahead":      func(p *Position) { p.Head.Seq += 5 },
		"other hash": func(p *Position) { p.Head.Hash[7]++ },
		"older fold": func(p *Position) { p.Fold-- },
	} {
		r := newRig(t)
		p := r.start(1)
		p.busyDay()
		p.close()
		want := r.dump()
		s := r.state.(*MemState)
		at := s.at["toy/00"]
		spoil(&at)
		s.at["toy/00"] = at
		for _, args := range s.tables["toy_accounts"] {
			args[0] = int64(666)
		}
		r.start(1).close()
		if d := differ(want, r.dump()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// Tables that fell behind what this process saved, or stand for what it does not know, end the book: nothing is decided
// on such rows.
func TestB10_StrangeTablesEndTheBook(t *testing.T) {
	for name, spoil := range map[string]func(p *Position){
		"behind": func(p *Position) { p.Head.Seq -= 2 },
		"ahead":  func(p *Position) { p.Head.Seq += 2 },
	} {
		r := newRig(t)
		p := r.start(1)
		a, b := p.account(100), p.account(0)
		p.must(toyMove{ID: r.id(), From: a, To: b, Amount: 10})
		p.forget()
		s := r.state.(*MemState)
		s.mu.Lock()
		at := s.at["toy/00"]
		spoil(&at)
		s.at["toy/00"] = at
		s.mu.Unlock()
		if _, err := p.do(toyRead{a}); !fault.HasCode(err, fault.Fenced) {
			t.Errorf("%s: the read ends with %v", name, err)
		}
		if _, err := p.do(toyOpen{toyKey(r.id()), 1}); !fault.HasCode(err, fault.Fenced) {
			t.Errorf("%s: a later command ends with %v", name, err)
		}
		p.books[0].Close()
		b2, err := p.open(0, newToy())
		if err != nil {
			t.Fatalf("%s: the book does not open again: %v", name, err)
		}
		if got, err := b2.Do(background, toyRead{b}); err != nil || got != int64(10) {
			t.Errorf("%s: opened again, it reads %v, %v", name, got, err)
		}
	}
}

// The writer that was overtaken saves once more, what it knew; the new one goes on from there.
func TestB10_LastSaveOfTheOvertaken(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		r.shared = true
		old := r.start(1)
		a, b := old.account(100), old.account(0)
		if err := old.sync(); err != nil {
			t.Fatal(err)
		}
		old.state.breakWith(errors.New("the network is slow"))
		alarm := r.id()
		old.must(toyAlert{alarm, start + clock.Hour})
		old.must(toyMove{ID: r.id(), From: a, To: b, Amount: 1})

		young := r.process()
		young.state.breakWith(errors.New("not yet"))
		if _, err := young.open(0, newToy()); err != nil {
			t.Fatal(err)
		}
		young.must(toyMove{ID: r.id(), From: a, To: b, Amount: 10})
		young.must(toyAlert{alarm, start + 2*clock.Hour})
		before, _ := r.state.Saved(background, "toy/00")
		old.state.breakWith(nil)
		eventually(t, "the overtaken one saves", func() bool {
			now, err := r.state.Saved(background, "toy/00")
			return err == nil && now.Head.Seq > before.Head.Seq
		})
		young.state.breakWith(nil)
		if err := young.sync(); err != nil {
			t.Fatalf("the new writer cannot save: %v", err)
		}
		young.must(toyMove{ID: r.id(), From: a, To: b, Amount: 10})
		young.close()
		want := r.dump()
		r.rebuild(1)
		if d := differ(want, r.dump()); d != "" {
			t.Fatal(d)
		}
		old.fails(toyOpen{toyKey(r.id()), 1}, fault.Fenced)
	})
}

func (p *proc) fails(cmd any, code fault.Code) {
	p.t.Helper()
	if _, err := p.do(cmd); !fault.HasCode(err, code) {
		p.t.Errorf("%T ends with %v, not %s", cmd, err, code)
	}
}

// The tables are saved by the old writer while the new one replays: rows and journal would not fit. It starts over.
func TestB10_SaveDuringRecovery(t *testing.T) {
	r := newRig(t)
	r.shared = true
	old := r.start(1)
	a, b := old.account(100), old.account(0)
	if err := old.sync(); err != nil {
		t.Fatal(err)
	}
	old.state.breakWith(errors.New("the network is slow"))
	for range 3 {
		old.must(toyMove{ID: r.id(), From: a, To: b, Amount: 1})
	}
	young := r.process()
	loads := 0
	young.state.tap(func([]Want) {
		if loads++; loads == 1 {
			old.state.breakWith(nil)
			if err := old.sync(); err != nil {
				t.Error(err)
			}
		}
	}, nil)
	if _, err := young.open(0, newToy()); err != nil {
		t.Fatal(err)
	}
	if got := young.must(toyRead{b}); got != int64(3) || loads < 1 {
		t.Errorf("the new writer reads %v after %d loads", got, loads)
	}
}

// A save whose answer was lost is found done when it is tried again.
func TestB10_LostReplyOfASave(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, config func(string) store.Config) {
		var faults storetest.Faults
		c := config("toy")
		c.Wrap = faults.Wrap
		r := sqlRig(t, storetest.Open(t, config("journal")), storetest.Open(t, c))
		p := r.start(1)
		a, b := p.account(100), p.account(0)
		for _, kind := range []storetest.Kind{storetest.LoseReply, storetest.Fail} {
			if err := p.sync(); err != nil {
				t.Fatal(err)
			}
			faults.Commit(1, kind, nil)
			p.must(toyMove{ID: r.id(), From: a, To: b, Amount: 10})
			if err := p.sync(); err != nil {
				t.Fatal(err)
			}
		}
		if n := p.saver.Stats().Failed; n != 2 {
			t.Errorf("%d saves failed", n)
		}
		p.close()
		want := r.dump()
		r.rebuild(1)
		if d := differ(want, r.dump()); d != "" {
			t.Fatal(d)
		}
	})
}

// A disk that is full stops new commands before memory is; once there is room, all goes on.
func TestB10_FailingSavesRefuseCommands(t *testing.T) {
	r := newRig(t)
	r.limits.Unsaved = 100
	p := r.start(1)
	p.state.breakWith(errors.New("the disk is full"))
	var refused error
	n := 0
	for ; refused == nil && n < 1000; n++ {
		_, refused = p.do(toyOpen{toyKey(r.id()), 1})
	}
	if !fault.HasCode(refused, fault.Overloaded) || n < 100 || n > 110 {
		t.Errorf("after %d commands: %v", n, refused)
	}
	p.state.breakWith(nil)
	eventually(t, "commands are taken again", func() bool {
		_, err := p.do(toyOpen{toyKey(r.id()), 1})
		return err == nil
	})
}

// Sync waits for what was durable when it was called, and no longer.
func TestB10_Sync(t *testing.T) {
	r := newRig(t)
	p := r.start(2)
	for i := range 20 {
		x := r.id()
		if _, err := p.books[i%2].Do(background, toyOpen{toyKey(x), 5}); err != nil {
			t.Fatal(err)
		}
		if err := p.sync(); err != nil {
			t.Fatal(err)
		}
		rows, _, err := r.state.Load(background, p.books[i%2].Name(), i%2, []Want{{Table: newToy().accounts, Key: toyKey(x)}})
		if err != nil || rows[0] == nil {
			t.Fatalf("after Sync, the row is not in the tables: %v", err)
		}
	}
	p.state.breakWith(errors.New("the disk is full"))
	p.account(1)
	gone, cancel := context.WithTimeout(background, time.Millisecond)
	defer cancel()
	if err := p.saver.Sync(gone); !fault.HasCode(err, fault.Timeout) {
		t.Errorf("with a full disk: %v", err)
	}
	waits := make(chan error, 1)
	go func() { waits <- p.sync() }()
	eventually(t, "Sync waits", func() bool {
		p.books[0].mu.Lock()
		defer p.books[0].mu.Unlock()
		return len(p.books[0].syncs) >= 2
	})
	p.books[0].mu.Lock()
	p.books[0].core.Fence()
	p.books[0].release()
	if err := receive(t, "Sync ends", waits); !fault.HasCode(err, fault.Fenced) {
		t.Errorf("of a book that was taken over: %v", err)
	}
}
