package sim

import (
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/payment"
)

// paymentSide is payment in a world: the coordinator, with payment's own driver in every process (driver.go).
type paymentSide struct{ quiet }

func (paymentSide) name() string { return "payment" }

func (paymentSide) machine(volume, volumes int) book.Machine {
	return payment.NewMachine(volume, volumes)
}

// day lets callers pay.
func (paymentSide) day(w *World, payments int) { w.town.intend(w, payments) }

// opened drives what the process before has left unfinished.
func (paymentSide) opened(h *host) { h.w.after(0, func() { h.p.pass(h) }) }

// due drives a payment whose time had come.
func (paymentSide) due(h *host, reply any, err error) {
	if r, ok := reply.(payment.Reply); ok && err == nil && !h.p.dead {
		h.p.driver().Drive(r)
	}
}
