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

func (codeSide) branches(m book.Machine, f func(book.Key, part)) {
	m.(*code.Machine).EachBranch(func(k book.Key, b *code.Branch) {
		f(k, partOf(b.Status))
	})
}
