package sim

import (
	"fmt"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/planted"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/tcc"
)

// reply hears the answer to a request, or nothing.
type reply func(any, error)

// send carries a request to the book that owns x in a service, and the answer back.
func (w *World) send(service string, x id.ID, handle func(h *host, back reply), back reply) {
	w.ask(book.Name(service, x.Volume(w.volumes)), handle, back)
}

// ask carries a request to a book, and the answer back. Each may be lost, late or doubled. handle runs in the process that
// has the book.
func (w *World) ask(name string, handle func(h *host, back reply), back reply) {
	copies := 1
	if w.chance(w.mix.twice) {
		copies = 2
		w.seen("duplicated_request")
	}
	for range copies {
		if w.chance(w.mix.dropRequest) {
			w.seen("lost_request")
			continue
		}
		w.sent++
		sent := w.sent
		w.after(w.delay(), func() {
			if sent < w.latest[name] {
				w.seen("overtaken_request")
			}
			w.latest[name] = max(w.latest[name], sent)
			w.arrive(name, handle, back)
		})
	}
}

func (w *World) arrive(name string, handle func(*host, reply), back reply) {
	h := w.reach(name)
	if h == nil || w.down(name) {
		if w.chance(500) { // a connection refused is heard, a dead host is not
			w.after(w.delay(), func() { back(nil, fault.Unavailable.New("nobody answers for %s", name)) })
		}
		return
	}
	handle(h, func(r any, err error) {
		if w.chance(w.mix.dropReply) {
			w.seen("lost_reply")
			return
		}
		if w.chance(w.mix.garble) {
			w.seen("unknown_answer")
			r, err = nil, fault.Unavailable.New("the answer makes no sense")
		}
		w.after(w.delay()+w.slowness(name), func() { back(r, err) })
	})
}

// slowness is how much longer a book takes to answer that is slow: often too long for the coordinator, which asks again.
func (w *World) slowness(name string) clock.Micros {
	if w.slow[name] <= w.now {
		return 0
	}
	return w.draw(2 * clock.Micros(payment.DefaultTiming.Attempt/time.Microsecond))
}

// reach returns the book as a caller finds it: the one in charge or, sometimes, one that does not know yet that it is not.
func (w *World) reach(name string) *host {
	if list := w.stale[name]; len(list) > 0 && w.chance(400) {
		if h := list[len(list)-1]; !h.dead {
			w.seen("stale_request")
			return h
		}
	}
	if h := w.route[name]; h != nil && !h.dead {
		return h
	}
	return nil
}

// delay is how long a message travels: mostly milliseconds, sometimes so long that everybody has given it up.
func (w *World) delay() clock.Micros {
	if !w.chance(w.mix.late) {
		return 200 + w.draw(w.mix.usual)
	}
	d := span(w.rnd, clock.Second, max(w.mix.latest, 2*clock.Second))
	if d >= clock.Hour {
		w.seen("late_by_hours")
	}
	return d
}

// call makes one call to a participant.
func (w *World) call(p *payment.Payment, st payment.Step, hear func(tcc.Receipt, error)) {
	x, verb := *st.Part, st.Verb
	takes := participantOf(x.Participant)
	cmd := call(p, &x, verb)
	branch := p.Branch(&x)
	unheard := verb == payment.VerbCancel && x.State != payment.Held // as far as the coordinator knows
	service := takes.name()
	luck := w.luck(stepCall, 0)
	if luck == diesBefore || luck == diesAfter {
		w.seen("crash_at_a_call")
	}
	w.send(service, x.Account, func(h *host, back reply) {
		if luck == diesBefore {
			w.trace("%v %s %s, and the caller dies before it", verb, service, short(branch.ID))
			w.crashAll()
			return
		}
		h.submit(cmd, func(r any, err error) {
			rc, _ := r.(tcc.Receipt)
			w.trace("%v %s %s: %v", verb, service, short(branch.ID), outcome(err))
			if unheard && err == nil && w.judge.branch(branch).held() {
				w.seen("cancel_of_unheard_try")
			}
			if verb == payment.VerbConfirm && err == nil && h.p.clock() > p.GiveUpAt {
				w.seen("confirm_after_deadline")
			}
			w.judge.answered(branch, verb, rc, err)
			switch luck {
			case diesAfter:
				w.crashAll()
			case lost:
				w.seen("lost_reply")
			default:
				back(w.falsified(verb, rc, err))
			}
		})
	}, func(r any, err error) {
		rc, _ := r.(tcc.Receipt)
		hear(rc, err)
	})
}

// falsified is the answer of a participant that is wrong: it refuses what was decided, which it has no right to. (Who says
// no to a Try that it holds has broken the contract beyond what anybody else can mend.)
func (w *World) falsified(v payment.Verb, rc tcc.Receipt, err error) (tcc.Receipt, error) {
	if v == payment.VerbTry || !w.chance(w.mix.wrong) {
		return rc, err
	}
	w.seen("wrong_answer")
	return tcc.Receipt{}, fault.AccountSuspended.New("says a participant that is wrong")
}

func short(x id.ID) string { return fmt.Sprintf("%x.%d", x[9:13], x.Part()) }

func outcome(err error) string {
	if err == nil {
		return "done"
	}
	return string(fault.Of(err).Code)
}

// front is the front door of a payment's book: it submits what a caller asks for, has it driven, and answers with the
// payment once that is settled, or after a while as it stands: Create and Settle of payment's service. Whether the caller
// has gone makes no difference to that.
func (h *host) front(cmd any, gone func() bool, back reply) {
	h.submit(cmd, func(r any, err error) {
		if err != nil {
			back(nil, err)
			return
		}
		if planted.Bug == planted.CallerGone && gone() {
			return
		}
		rep := r.(payment.Reply)
		run := h.p.driver().Drive(rep)
		if run == nil || rep.Operation != nil && rep.Operation.Code != "" { // settled, or declined
			back(rep, nil)
			return
		}
		told := false
		settle := func(last *payment.Payment) {
			switch {
			case told:
			case last != nil && rep.Operation == nil:
				back(payment.Reply{Payment: last, New: rep.New}, nil)
			default:
				h.p.look(rep, back)
			}
			told = true
		}
		run.Then(settle)
		h.p.later(h.w.mix.patience, func() { settle(nil) })
	})
}

// look reads a payment, and the operation that was asked for, as they stand now.
func (p *process) look(rep payment.Reply, back reply) {
	q := payment.Look{Tenant: rep.Payment.Tenant, ID: rep.Payment.ID}
	if rep.Operation != nil {
		q.Operation = rep.Payment.Operation
	}
	if h := p.home(book.Key{ID: q.ID}); h != nil {
		h.submit(q, func(r any, err error) { back(r, err) })
	}
}
