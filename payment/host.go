package payment

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/tcc"
)

// host is the service as the world of its driver.
type host struct{ s *Service }

func (h host) Now() clock.Micros { return h.s.Clock.Now() }

func (h host) After(d time.Duration, f func()) func() bool {
	return h.s.Clock.AfterFunc(d, func() { h.s.crew.do(f) })
}

func (h host) Patience(d time.Duration, f func()) func() bool { return clock.PauseFunc(d, f) }

func (host) Draw(n int64) int64 { return rand.Int64N(n) } //nolint:gosec // when to try again is no secret

func (host) Turned(Participant, bool) {}

func (h host) Warn(what string, about ...any) { h.s.Log.Warn(what, about...) }

func (h host) Alarm(what string, about ...any) { h.s.Log.Error(what, about...) }

func (h host) Name(k book.Key) string { return h.s.name(k) }

// Submit lets the crew go on: the book's writer, who brings the answer, has the next block to write.
func (h host) Submit(x id.ID, cmd any, done func(Reply, error)) {
	h.s.book(x).Start(cmd, func(reply any, err error) {
		h.s.crew.add(task{done: done, reply: reply, err: err})
	})
}

// Call asks a participant in this process without waiting, and any other one in a goroutine.
func (h host) Call(p *Payment, st Step, done func(tcc.Receipt, error)) {
	heard := func(rc tcc.Receipt, err error) { h.s.crew.add(task{heard: done, receipt: rc, err: err}) }
	if h.start(p, st, heard) {
		return
	}
	go func() { heard(h.s.attempt(p, st)) }() // it ends soon after the service is closed
}

// start reports false if the participant has to be waited for.
func (h host) start(p *Payment, st Step, done func(tcc.Receipt, error)) bool {
	if st.Verb == VerbAdd {
		who, ok := h.s.Receivers[st.Part.Participant].(tcc.AddStarter)
		if ok {
			who.StartAdd(p.AddRequest(st.Part), done)
		}
		return ok
	}
	who, ok := h.s.Participants[st.Part.Participant].(tcc.Starter)
	if !ok {
		return false
	}
	switch st.Verb {
	case VerbTry:
		who.StartTry(p.TryRequest(st.Part), done)
	case VerbConfirm:
		who.StartConfirm(p.ConfirmRequest(st.Part), done)
	default:
		who.StartCancel(p.CancelRequest(st.Part), done)
	}
	return true
}

// Expired is told of payments whose time has come (book.Config.OnExpiry): what the machine decided on is driven.
func (s *Service) Expired(_, reply any, err error) {
	if r, ok := reply.(Reply); ok && err == nil {
		s.crew.do(func() { s.Drive(r) })
	}
}

// crew goes on with payments whose answers have come, in as many goroutines as there are cores, and in none while there is
// nothing to do.
type crew struct {
	mu      sync.Mutex
	todo    []task
	taken   int // of todo
	working int
	closed  bool
	work    sync.WaitGroup
}

// task is a call that the crew makes: of f, or with an answer. It has room for the answer, so that no function has to be made
// around it.
type task struct {
	f       func()
	heard   func(tcc.Receipt, error)
	done    func(Reply, error)
	receipt tcc.Receipt // for heard
	reply   any         // for done, unless there is err
	err     error
}

func (t *task) do() {
	switch {
	case t.heard != nil:
		t.heard(t.receipt, t.err)
	case t.done == nil:
		t.f()
	case t.err != nil:
		t.done(Reply{}, t.err)
	default:
		t.done(t.reply.(Reply), nil)
	}
}

// do has f called soon; not at all if the crew is closed.
func (c *crew) do(f func()) { c.add(task{f: f}) }

func (c *crew) add(t task) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if c.taken > maxTaken && c.taken > len(c.todo)/2 { // it is never empty under load: what was taken makes room
		n := copy(c.todo, c.todo[c.taken:])
		clear(c.todo[n:])
		c.todo, c.taken = c.todo[:n], 0
	}
	c.todo = append(c.todo, t)
	if c.working < runtime.GOMAXPROCS(0) {
		c.working++
		c.work.Go(c.run)
	}
}

// maxTaken is how much of the list may have been taken before the rest is moved to its front.
const maxTaken = 1024

// atOnce is how much one of the crew takes from the list at a time.
const atOnce = 16

func (c *crew) run() {
	var mine [atOnce]task
	for {
		n := c.take(mine[:])
		if n == 0 {
			return
		}
		for i := range mine[:n] {
			mine[i].do()
		}
	}
}

// take takes what is to be done next. Who gets nothing is not at work any more.
func (c *crew) take(mine []task) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := copy(mine, c.todo[c.taken:])
	if n == 0 {
		c.working--
		return 0
	}
	clear(c.todo[c.taken : c.taken+n])
	if c.taken += n; c.taken == len(c.todo) {
		c.todo, c.taken = c.todo[:0], 0
	}
	return n
}

// close drops what is left to do, and waits for who is at work.
func (c *crew) close() {
	c.mu.Lock()
	c.closed, c.todo, c.taken = true, nil, 0
	c.mu.Unlock()
	c.work.Wait()
}
