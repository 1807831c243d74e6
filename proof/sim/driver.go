package sim

import (
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/tcc"
)

// desk is a process as the world of payment's driver. Nothing that it was asked for comes back once the process is dead.
type desk struct{ p *process }

var _ payment.Host = desk{}

// driver returns the process's driver. It is made when it is needed first, with the layers of recovery that the world has.
func (p *process) driver() *payment.Driver {
	if p.drives == nil {
		layers := payment.Layers{NoWorker: p.w.mix.noWorker, NoQueue: p.w.mix.noQueue}
		p.drives = payment.NewDriver(desk{p}, layers, payment.DefaultTiming, []payment.Participant{payment.Balance, payment.Points, payment.Code})
	}
	return p.drives
}

// later lets f be called in this process after a while.
func (p *process) later(d clock.Micros, f func()) {
	p.w.after(d, func() {
		if !p.dead {
			f()
		}
	})
}

// Now implements payment.Host.
func (d desk) Now() clock.Micros { return d.p.clock() }

// After implements payment.Host.
func (d desk) After(t time.Duration, f func()) func() bool {
	over := false
	d.p.later(clock.Micros(t/time.Microsecond), func() {
		if !over {
			over = true
			f()
		}
	})
	return func() bool {
		was := over
		over = true
		return !was
	}
}

// Patience implements payment.Host.
func (d desk) Patience(t time.Duration, f func()) func() bool { return d.After(t, f) }

// Draw implements payment.Host.
func (d desk) Draw(n int64) int64 { return d.p.w.rnd.Int64N(n) }

// Turned implements payment.Host.
func (d desk) Turned(p payment.Participant, open bool) {
	if open {
		d.p.w.seen("breaker_opened")
	} else {
		d.p.w.seen("breaker_closed")
	}
	d.p.w.trace("p%d: the breaker of %v is open: %v", d.p.n, p, open)
}

// Warn implements payment.Host.
func (d desk) Warn(what string, about ...any) { d.p.w.trace("p%d warns: %s: %v", d.p.n, what, about) }

// Alarm implements payment.Host.
func (d desk) Alarm(what string, about ...any) {
	d.p.w.seen("alarm")
	d.p.w.trace("p%d raises an alarm: %s: %v", d.p.n, what, about)
}

// Name implements payment.Host.
func (d desk) Name(k book.Key) string { return short(k.ID) }

// Submit implements payment.Host.
func (d desk) Submit(x id.ID, cmd any, done func(payment.Reply, error)) {
	p := d.p
	switch cmd.(type) {
	case payment.Defer:
		p.probe()
	case payment.Wake:
		p.woken++
	}
	heard := func(r any, err error) {
		p.later(0, func() {
			rep, _ := r.(payment.Reply)
			done(rep, err)
		})
	}
	name := book.Name("payment", x.Volume(p.w.volumes))
	if h := p.hosts[name]; h != nil {
		h.submit(cmd, heard)
		return
	}
	if to := p.w.route[name]; to != nil && to.p != p && !to.dead {
		heard(nil, fault.Fenced.New(""))
		return
	}
	heard(nil, fault.Unavailable.New("the book is being opened"))
}

// Call implements payment.Host.
func (d desk) Call(pay *payment.Payment, st payment.Step, done func(tcc.Receipt, error)) {
	w, k := d.p.w, book.Key{Tenant: pay.Tenant, ID: pay.ID}
	w.judge.calling(pay, st)
	if last, ok := w.drives[k]; ok && last != d.p && !last.dead {
		w.seen("two_drivers")
	}
	w.drives[k] = d.p
	if h := w.route[book.Name("payment", k.ID.Volume(w.volumes))]; st.Verb == payment.VerbConfirm && h != nil && h.p != d.p {
		w.seen("confirm_of_stale_driver")
	}
	w.call(pay, st, func(rc tcc.Receipt, err error) { // it may come at any time, more than once, or never
		if !d.p.dead {
			done(rc, err)
		}
	})
}

// idleProbes is after how many probes that found nobody to ask the process stops probing, until a payment waits again.
const idleProbes = 30

// probe asks each second (Timing.Probe) whether those are back for whom payments wait.
func (p *process) probe() {
	p.idle = 0
	if p.probing || p.w.mix.noProbe {
		return
	}
	p.probing = true
	var next func()
	next = func() {
		before := p.woken
		p.driver().Probe()
		if p.woken > before {
			p.w.seen("probed")
			p.idle = 0
		}
		if p.idle++; p.idle > idleProbes {
			p.probing = false
			return
		}
		p.later(p.w.mix.probe, next)
	}
	p.later(p.w.mix.probe, next)
}
