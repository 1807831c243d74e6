package payment

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/tcc"
)

// act is what a participant does with a call.
type act int

const (
	answers act = iota
	refuses
	unknown // nothing happens, and no answer comes
	loses   // it is done, and the answer is lost
	hangs   // nothing happens until the caller gives up
	waits   // it is done once the gate is opened
	twice   // the network delivers it twice, at the same time
)

// ask is one call as a script sees it: the n-th of this verb on this branch, from 1.
type ask struct {
	verb    Verb
	branch  tcc.Branch
	payment id.ID
	n       int
}

// fake is a participant and receiver that keeps the contract, does with each call what its script says, and fails the
// test if the coordinator breaks the protocol.
type fake struct {
	t   *testing.T
	who Participant
	clk clock.Clock

	mu       sync.Mutex
	script   func(ask) (act, fault.Code)
	gate     chan struct{}
	branches map[tcc.Branch]*branch
	seq      uint64
	calls    map[Verb]int
	inFlight int
	most     int // calls at the same time
}

// branch is what a participant knows of one branch.
type branch struct {
	state    PartState // Idle, Held, Refusing, Taken, LetGo, Added
	code     fault.Code
	bodies   map[Verb]string
	receipts map[Verb]tcc.Receipt
	n        map[Verb]int
}

func newFake(t *testing.T, who Participant, clk clock.Clock) *fake {
	return &fake{t: t, who: who, clk: clk, gate: make(chan struct{}), branches: map[tcc.Branch]*branch{}, calls: map[Verb]int{}}
}

// plays sets what the participant does from here on; nil lets it answer.
func (f *fake) plays(script func(ask) (act, fault.Code)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script = script
}

// always is a script that does one thing.
func always(a act) func(ask) (act, fault.Code) {
	return func(ask) (act, fault.Code) { return a, fault.Timeout }
}

// just is a script for the calls of one verb; the others are answered.
func just(v Verb, a act, c fault.Code) func(ask) (act, fault.Code) {
	return func(q ask) (act, fault.Code) {
		if q.verb == v {
			return a, c
		}
		return answers, ""
	}
}

func (f *fake) Try(ctx context.Context, q tcc.TryRequest) (tcc.Receipt, error) {
	return f.serve(ctx, VerbTry, q.Branch, fmt.Sprint(q), func(b *branch) error {
		switch {
		case b.state == Held || b.state == Taken:
			return nil
		case b.state == Refusing:
			return b.code.New("")
		case b.state == LetGo:
			return fault.TryAfterCancel.New("")
		case f.clk.Now() > q.NotAfter:
			b.state, b.code = Refusing, fault.TryTooLate
			return fault.TryTooLate.New("")
		}
		b.state = Held
		return nil
	})
}

func (f *fake) Confirm(ctx context.Context, q tcc.ConfirmRequest) (tcc.Receipt, error) {
	return f.serve(ctx, VerbConfirm, q.Branch, fmt.Sprint(q), func(b *branch) error {
		switch b.state {
		case Held, Taken:
			b.state = Taken
			return nil
		case LetGo:
			f.t.Errorf("%s: confirm of %x after its cancel", f.who, q.Branch.ID)
			return fault.AlreadyCancelled.New("")
		default:
		}
		f.t.Errorf("%s: confirm of %x without a try that succeeded (%s)", f.who, q.Branch.ID, b.state)
		return fault.NotTried.New("")
	})
}

func (f *fake) Cancel(ctx context.Context, q tcc.CancelRequest) (tcc.Receipt, error) {
	return f.serve(ctx, VerbCancel, q.Branch, fmt.Sprint(q), func(b *branch) error {
		if b.state == Taken {
			f.t.Errorf("%s: cancel of %x after its confirm", f.who, q.Branch.ID)
			return fault.AlreadyConfirmed.New("")
		}
		b.state = LetGo
		return nil
	})
}

func (f *fake) Add(ctx context.Context, q tcc.AddRequest) (tcc.Receipt, error) {
	return f.serve(ctx, VerbAdd, q.Branch, fmt.Sprint(q), func(b *branch) error {
		b.state = Added
		return nil
	})
}

// serve does what the script says with one call. The body of a verb must never change.
func (f *fake) serve(ctx context.Context, v Verb, name tcc.Branch, body string, effect func(*branch) error) (tcc.Receipt, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.branch(name)
	b.n[v]++
	f.calls[v]++
	if f.inFlight++; f.inFlight > f.most {
		f.most = f.inFlight
	}
	defer func() { f.inFlight-- }()
	a, code := answers, fault.Code("")
	if f.script != nil {
		a, code = f.script(ask{v, name, name.Payment(), b.n[v]})
	}
	if first, ok := b.bodies[v]; ok && first != body {
		f.t.Errorf("%s: %s of %x with another body:\n%s\n%s", f.who, v, name.ID, body, first)
	}
	b.bodies[v] = body
	switch a {
	case unknown:
		return tcc.Receipt{}, code.New("")
	case hangs:
		f.mu.Unlock()
		<-ctx.Done()
		f.mu.Lock()
		return tcc.Receipt{}, fault.Timeout.New("").Because(ctx.Err())
	case waits:
		gate := f.gate
		f.mu.Unlock()
		select {
		case <-gate:
		case <-ctx.Done():
		}
		f.mu.Lock()
		if ctx.Err() != nil {
			return tcc.Receipt{}, fault.Timeout.New("").Because(ctx.Err())
		}
	case refuses:
		if v == VerbTry && b.state == Idle {
			b.state, b.code = Refusing, code
		}
		return tcc.Receipt{}, code.New("")
	case loses:
		_, _ = f.done(v, b, effect) // nobody hears
		return tcc.Receipt{}, code.New("")
	case twice:
		r, err := f.done(v, b, effect)
		if again, err2 := f.done(v, b, effect); again != r || (err == nil) != (err2 == nil) {
			f.t.Errorf("%s: the second %s of %x was answered otherwise", f.who, v, name.ID)
		}
		return r, err
	case answers:
	}
	return f.done(v, b, effect)
}

func (f *fake) done(v Verb, b *branch, effect func(*branch) error) (tcc.Receipt, error) {
	if err := effect(b); err != nil {
		return tcc.Receipt{}, err
	}
	if _, ok := b.receipts[v]; !ok {
		f.seq++
		b.receipts[v] = tcc.Receipt{Book: f.who.String() + "/00", Seq: f.seq, At: f.clk.Now()}
	}
	return b.receipts[v], nil
}

func (f *fake) branch(name tcc.Branch) *branch {
	b := f.branches[name]
	if b == nil {
		b = &branch{bodies: map[Verb]string{}, receipts: map[Verb]tcc.Receipt{}, n: map[Verb]int{}}
		f.branches[name] = b
	}
	return b
}

// letGo opens the gate for all who wait there, and plays the script from here on.
func (f *fake) letGo(script func(ask) (act, fault.Code)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script = script
	close(f.gate)
	f.gate = make(chan struct{})
}

// flying returns how many calls are being made now, and how many there were at most.
func (f *fake) flying() (now, most int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inFlight, f.most
}

// count returns how often a verb was called.
func (f *fake) count(v Verb) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[v]
}

// state returns where a part's branch stands.
func (f *fake) state(b tcc.Branch) PartState {
	f.mu.Lock()
	defer f.mu.Unlock()
	if x := f.branches[b]; x != nil {
		return x.state
	}
	return Idle
}

// Entries tells one entry for each receipt, as a participant does from its journal.
func (f *fake) Entries(_ context.Context, _ id.Tenant, _ id.ID, receipts []tcc.Receipt) (out []tcc.Entry, err error) {
	for _, r := range receipts {
		out = append(out, tcc.Entry{Book: r.Book, Seq: r.Seq, At: r.At, What: "entry"})
	}
	return out, nil
}
