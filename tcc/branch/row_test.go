package branch

import (
	"reflect"
	"testing"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

var (
	mine, other = id.ID{15: 1}, id.ID{15: 2}
	body        = Print{1}
	no          = Refusal{"insufficient_funds", "too little", "amount"}
)

// rows are one row of each way that a branch can have gone. Every answer has a block of its own.
func rows() map[string]*Row {
	out := map[string]*Row{"none": nil}
	for name, way := range map[string]func(*Row){
		"held": func(r *Row) { r.Hold(mine, body, Answer{Seq: 1}) },
		"part": func(r *Row) {
			r.Hold(mine, body, Answer{Seq: 1})
			r.Capture(Capture{1, 5, Print{2}, Answer{Seq: 2}}, false)
		},
		"confirmed": func(r *Row) {
			r.Hold(mine, body, Answer{Seq: 1})
			r.Capture(Capture{1, 5, Print{2}, Answer{Seq: 2}}, true)
		},
		"cancelled": func(r *Row) { r.Hold(mine, body, Answer{Seq: 1}); r.Cancel(mine, Answer{Seq: 2}) },
		"refused":   func(r *Row) { r.Refuse(mine, body, no, Answer{Seq: 1}) },
		"tombstone": func(r *Row) { r.Cancel(mine, Answer{Seq: 1}) },
		"added":     func(r *Row) { r.Add(mine, body, Refusal{}, Answer{Seq: 1}) },
	} {
		r := &Row{}
		way(r)
		out[name] = r
	}
	return out
}

// told is what a request gets: the block of an answer, a code, or "" where there is something to decide.
type told struct {
	seq  uint64
	code fault.Code
}

func tell2(a Answer, err *fault.Error) told {
	if err != nil {
		return told{code: err.Code}
	}
	return told{seq: a.Seq}
}

// TestLadder: what every request gets of every branch. Two machines once gave different answers to six of
// these.
func TestLadder(t *testing.T) {
	open := told{}
	refuse := func(c fault.Code) told { return told{code: c} }
	for name, want := range map[string]struct {
		try, tryOther                    told
		confirm, confirmOther, again     told // of capture 2; of another account; of capture 1 with its body
		againOther                       told // of capture 1 with another body
		cancel, cancelOther, add, addNew told
	}{
		"none": {open, open, refuse(fault.NotTried), refuse(fault.NotTried), refuse(fault.NotTried), refuse(fault.NotTried), open, open, open, open},
		"held": {
			told{seq: 1},
			refuse(fault.IDReused), open, refuse(fault.IDReused), open, open, open, refuse(fault.IDReused),
			refuse(fault.IDReused), refuse(fault.IDReused),
		},
		"part": {
			told{seq: 1},
			refuse(fault.IDReused), open, refuse(fault.IDReused),
			told{seq: 2},
			refuse(fault.IDReused),
			refuse(fault.AlreadyConfirmed), refuse(fault.IDReused), refuse(fault.IDReused), refuse(fault.IDReused),
		},
		"confirmed": {
			told{seq: 1},
			refuse(fault.IDReused), open, refuse(fault.IDReused),
			told{seq: 2},
			refuse(fault.IDReused),
			refuse(fault.AlreadyConfirmed), refuse(fault.IDReused), refuse(fault.IDReused), refuse(fault.IDReused),
		},
		"cancelled": {
			refuse(fault.TryAfterCancel), refuse(fault.IDReused), refuse(fault.AlreadyCancelled), refuse(fault.AlreadyCancelled),
			refuse(fault.AlreadyCancelled), refuse(fault.AlreadyCancelled),
			told{seq: 2},
			told{seq: 2},
			refuse(fault.IDReused), refuse(fault.IDReused),
		},
		"refused": {
			refuse("insufficient_funds"), refuse(fault.IDReused), refuse(fault.NotTried), refuse(fault.NotTried), refuse(fault.NotTried),
			refuse(fault.NotTried),
			told{seq: 1},
			told{seq: 1},
			refuse(fault.IDReused), refuse(fault.IDReused),
		},
		"tombstone": {
			refuse(fault.TryAfterCancel), refuse(fault.TryAfterCancel), refuse(fault.AlreadyCancelled), refuse(fault.AlreadyCancelled),
			refuse(fault.AlreadyCancelled), refuse(fault.AlreadyCancelled),
			told{seq: 1},
			told{seq: 1},
			refuse(fault.IDReused), refuse(fault.IDReused),
		},
		"added": {
			refuse(fault.IDReused), refuse(fault.IDReused), refuse(fault.IDReused), refuse(fault.IDReused), refuse(fault.IDReused),
			refuse(fault.IDReused), refuse(fault.IDReused), refuse(fault.IDReused),
			told{seq: 1},
			refuse(fault.IDReused),
		},
	} {
		r := rows()[name]
		check := func(what string, got, want told) {
			if got != want {
				t.Errorf("%s of a branch that is %s: %+v, want %+v", what, name, got, want)
			}
		}
		if !newTry(r) {
			check("a Try", tell2(r.answerTry(body)), want.try)
			check("another Try", tell2(r.answerTry(Print{9})), want.tryOther)
		}
		confirm := func(n uint32, on id.ID, p Print) told {
			a, ok, err := r.answerConfirm(&tcc.ConfirmRequest{Account: on, Capture: n}, p)
			if !ok {
				return told{}
			}
			return tell2(a, err)
		}
		check("a Confirm", confirm(2, mine, Print{3}), want.confirm)
		check("a Confirm on another account", confirm(2, other, Print{3}), want.confirmOther)
		check("the Confirm again", confirm(1, mine, Print{2}), want.again)
		check("another Confirm of the capture", confirm(1, mine, Print{4}), want.againOther)
		cancel := func(on id.ID) told {
			a, ok, err := r.answerCancel(&tcc.CancelRequest{Account: on})
			if !ok {
				return told{}
			}
			return tell2(a, err)
		}
		check("a Cancel", cancel(mine), want.cancel)
		check("a Cancel on another account", cancel(other), want.cancelOther)
		if !newAdd(r) {
			check("an Add", tell2(r.answerAdd(body)), want.add)
			check("another Add", tell2(r.answerAdd(Print{9})), want.addNew)
		}
	}
}

// TestNoWayBesideTheTable: what the table of edges does not list cannot be applied.
func TestNoWayBesideTheTable(t *testing.T) {
	ways := map[Status]func(*Row){
		Held:      func(r *Row) { r.Hold(mine, body, Answer{}) },
		Refused:   func(r *Row) { r.Refuse(mine, body, no, Answer{}) },
		Cancelled: func(r *Row) { r.Cancel(mine, Answer{}) },
		Added:     func(r *Row) { r.Add(mine, body, Refusal{}, Answer{}) },
		Confirmed: func(r *Row) { r.Capture(Capture{Number: 1}, true) },
	}
	for from := Status(0); from <= Added; from++ {
		for to, way := range ways {
			listed := false
			for _, e := range edges {
				listed = listed || e == [2]Status{from, to}
			}
			r := &Row{Status: from}
			went := func() (ok bool) {
				defer func() { ok = recover() == nil }()
				way(r)
				return true
			}()
			if went != listed {
				t.Errorf("%v to %v: %v, and the table has it: %v", from, to, went, listed)
			}
		}
	}
}

// TestPackIsReadBack: every row comes back from its columns and its packed rest as it was.
func TestPackIsReadBack(t *testing.T) {
	for name, r := range rows() {
		if r == nil {
			continue
		}
		back := Row{Status: r.Status, Account: r.Account, Refusal: Refusal{Code: r.Refusal.Code}}
		if err := back.Unpack(book.NewUnpack(r.Pack(nil))); err != nil || !reflect.DeepEqual(back, *r) {
			t.Errorf("%s: %v\n%+v\n%+v", name, err, back, *r)
		}
	}
	bad := (&Row{Status: Confirmed, Captures: []Capture{{Number: 1, Amount: money.MaxStored}}})
	bad.Captures[0].Amount = -1
	if err := new(Row).Unpack(book.NewUnpack(bad.Pack(nil))); err == nil {
		t.Error("a capture below zero is read")
	}
}

// TestStatusesHaveWords: each has one, and is read back by it.
func TestStatusesHaveWords(t *testing.T) {
	for s := Held; s <= Added; s++ {
		if got, ok := ParseStatus(s.String()); !ok || got != s {
			t.Error(s)
		}
	}
	if _, ok := ParseStatus(""); ok || (Added+1).String() != "" || Status(0).String() != "" {
		t.Error("there is a status without a word")
	}
}

// TestPrintsTellRequestsApart: whatever a request says, its print changes with it.
func TestPrintsTellRequestsApart(t *testing.T) {
	var p printer
	amount := money.Yen(5)
	seen := map[Print]string{}
	see := func(what string, got Print) {
		if was, ok := seen[got]; ok {
			t.Errorf("%s has the print of %s", what, was)
		}
		seen[got] = what
	}
	see("a try", p.try(&tcc.TryRequest{Account: mine, Amount: amount}))
	see("of another account", p.try(&tcc.TryRequest{Account: other, Amount: amount}))
	see("of another amount", p.try(&tcc.TryRequest{Account: mine, Amount: money.Yen(6)}))
	see("of another currency", p.try(&tcc.TryRequest{Account: mine, Amount: money.Of(5, money.USD)}))
	see("of another purpose", p.try(&tcc.TryRequest{Account: mine, Amount: amount, Purpose: tcc.Refund}))
	see("of another deadline", p.try(&tcc.TryRequest{Account: mine, Amount: amount, NotAfter: 1}))
	see("of another time", p.try(&tcc.TryRequest{Account: mine, Amount: amount, EffectiveAt: 1}))
	see("of another customer", p.try(&tcc.TryRequest{Account: mine, Amount: amount, Customer: other}))
	see("of another merchant", p.try(&tcc.TryRequest{Account: mine, Amount: amount, Merchant: other}))
	see("a confirm", p.confirm(&tcc.ConfirmRequest{Account: mine, Amount: amount}))
	see("a final one", p.confirm(&tcc.ConfirmRequest{Account: mine, Amount: amount, Final: true}))
	see("one to somewhere", p.confirm(&tcc.ConfirmRequest{Account: mine, Amount: amount, To: []tcc.Funding{{From: "fees", Amount: amount}}}))
	see("an add", p.add(&tcc.AddRequest{Account: mine, Amount: amount}))
	see("one with an origin", p.add(&tcc.AddRequest{Account: mine, Amount: amount, Origin: other}))
	see("one from somewhere", p.add(&tcc.AddRequest{Account: mine, Amount: amount, Funding: []tcc.Funding{{From: "fees", Amount: amount}}}))
}
