package book

import (
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
)

// told is what a book has said of what goes wrong aside.
type told struct {
	what Trouble
	err  error
}

func troubled(p *proc) chan told {
	ch := make(chan told, 100)
	p.hooks.Trouble = func(_ string, what Trouble, err error) { ch <- told{what, err} }
	return ch
}

// A damaged row is answered as such, is counted and told once, and harms nobody who does not want it.
func TestDamagedRowsAreNamed(t *testing.T) {
	files := storetest.SQLite(t)
	log, state := storetest.Open(t, files("journal")), storetest.Open(t, files("toy"))
	r := sqlRig(t, log, state)
	p := r.process()
	said := troubled(p)
	if _, err := p.open(0, newToy()); err != nil {
		t.Fatal(err)
	}
	bad, good := p.account(7), p.account(8)
	r.clk.Advance(time.Hour)
	p.forget()
	err := state.Write(background, func(tx *sql.Tx) error {
		_, err := tx.Exec("UPDATE toy_accounts SET balance = 'much' WHERE id = $1", bad[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	let := make(chan struct{})
	came := make(chan []Want, 10)
	p.state.tap(func(w []Want) { came <- w; <-let }, nil)
	first, answers := make(chan error, 1), make(chan error, 2)
	go func() { _, err := p.do(toyRead{id.ID{15: 1}}); first <- err }()
	receive(t, "a read", came)
	for _, x := range []any{toyRead{bad}, toyRead{good}} { // both by one read
		go func() { _, err := p.do(x); answers <- err }()
	}
	eventually(t, "both wait", func() bool {
		p.books[0].mu.Lock()
		defer p.books[0].mu.Unlock()
		return p.books[0].fetches != nil && len(p.books[0].fetches.wants) == 2
	})
	close(let)
	<-first
	damaged := 0
	for range 2 {
		if err := receive(t, "an answer", answers); fault.HasCode(err, fault.DataDamaged) {
			damaged++
		} else if err != nil {
			t.Errorf("answered with %v", err)
		}
	}
	if damaged != 1 {
		t.Errorf("%d of two were answered as damaged", damaged)
	}
	if x := receive(t, "what went wrong", said); x.what != DamagedRow || !fault.HasCode(x.err, fault.DataDamaged) {
		t.Errorf("told %+v", x)
	}
	if s := p.books[0].Stats(); s.Failed[DamagedRow] == 0 || !s.Troubled[DamagedRow] {
		t.Errorf("counted %+v", s)
	}
}

// Due times that cannot be read are counted and told once, and run once they can be read again.
func TestUnreadableTimersAreTold(t *testing.T) {
	r := newRig(t)
	p := r.process()
	said := troubled(p)
	broken := errors.New("no such index")
	p.state.failDue.Store(&broken)
	if _, err := p.open(0, newToy()); err != nil {
		t.Fatal(err)
	}
	if x := receive(t, "what went wrong", said); x.what != TimerScan || !errors.Is(x.err, broken) {
		t.Errorf("told %+v", x)
	}
	eventually(t, "it is tried again", func() bool { return p.books[0].Stats().Failed[TimerScan] > 2 })
	if len(said) > 0 {
		t.Errorf("told again: %+v", <-said)
	}
	p.state.failDue.Store(nil)
	if x := receive(t, "the end of it", said); x.what != TimerScan || x.err != nil || p.books[0].Stats().Troubled[TimerScan] {
		t.Errorf("told %+v", x)
	}
}
