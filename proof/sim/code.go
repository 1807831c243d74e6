package sim

import (
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/code"
	"github.com/koban-pay/koban/payment"
)

// codeSide is code in a world: sessions that callers open before they pay.
type codeSide struct{ quiet }

func (codeSide) name() string { return "code" }

func (codeSide) machine(volume, volumes int) book.Machine {
	return code.NewMachine(volume, volumes, code.DefaultRules)
}

func (codeSide) role() payment.Participant { return payment.Code }

func (codeSide) request(p *payment.Payment, x *payment.Part, v payment.Verb) any {
	return call(p, x, v)
}

func (codeSide) branches(m book.Machine, f func(book.Key, part)) {
	m.(*code.Machine).EachBranch(func(k book.Key, b *code.Branch) {
		f(k, [...]part{absent, held, refused, taken, letGo}[b.Status])
	})
}
