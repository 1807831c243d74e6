package judge

import (
	"encoding/binary"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/tcc"
)

// pen writes what goes to the attic, and eye reads it, in the same order. Only this process reads it again.
type pen []byte

func (p pen) num(n int64) pen   { return binary.AppendVarint(p, n) }
func (p pen) id(x id.ID) pen    { return append(p, x[:]...) }
func (p pen) text(s string) pen { return append(p.num(int64(len(s))), s...) }

func (p pen) flag(on bool) pen {
	if on {
		return append(p, 1)
	}
	return append(p, 0)
}

type eye struct {
	rest []byte
	bad  bool // there was less than was asked for
}

func (e *eye) num() int64 {
	n, size := binary.Varint(e.rest)
	if size <= 0 {
		e.bad, e.rest = true, nil
		return 0
	}
	e.rest = e.rest[size:]
	return n
}

func (e *eye) bytes(n int) []byte {
	if n < 0 || n > len(e.rest) {
		e.bad, e.rest = true, nil
		return nil
	}
	b := e.rest[:n]
	e.rest = e.rest[n:]
	return b
}

func (e *eye) id() id.ID    { return toID(e.bytes(len(id.ID{}))) }
func (e *eye) text() string { return string(e.bytes(int(e.num()))) }
func (e *eye) flag() bool   { b := e.bytes(1); return len(b) == 1 && b[0] == 1 }

// list reads how many follow, and calls f for each.
func (e *eye) list(f func()) {
	for n := e.num(); n > 0 && !e.bad; n-- {
		f()
	}
}

func (p pen) amount(a money.Amount) pen { return p.num(a.Minor).num(int64(a.Currency)) }

func (e *eye) amount() money.Amount {
	minor := e.num()
	return money.Of(minor, money.Currency(e.num()))
}

func (p pen) payment(x *pay) pen {
	p = p.num(int64(x.Status)).num(int64(x.Resource)).num(int64(x.Phase)).num(int64(x.Rollback)).num(int64(x.Decision))
	p = p.num(int64(x.Aim)).num(int64(x.kind)).amount(x.amount).num(x.captured)
	p = p.id(x.customer).id(x.merchant).id(x.session).id(x.parent)
	p = p.num(int64(x.started)).num(x.effective).num(x.capture).num(x.owed[0]).num(x.owed[1]).num(x.owed[2]).flag(x.old).num(int64(len(x.sources)))
	for i := range x.sources {
		s := &x.sources[i]
		p = p.num(int64(s.kind)).id(s.account).num(s.amount).num(s.captured).num(s.refunded).num(s.refunding)
	}
	p = p.num(int64(len(x.parts)))
	for i := range x.parts {
		y := &x.parts[i]
		p = p.num(int64(y.participant)).num(int64(y.role)).num(int64(y.state)).num(int64(y.source)).id(y.account)
		p = p.amount(y.amount).id(y.origin).num(int64(len(y.funding)))
		for _, f := range y.funding {
			p = p.text(f.From).amount(f.Amount)
		}
	}
	return p
}

func (e *eye) payment() *pay {
	x := &pay{}
	x.Status, x.Resource = payment.Status(e.num()), payment.Resource(e.num())
	x.Phase, x.Rollback = payment.Phase(e.num()), payment.Rollback(e.num())
	x.Decision, x.Aim = payment.Decision(e.num()), payment.Status(e.num())
	x.kind, x.amount, x.captured = payment.Kind(e.num()), e.amount(), e.num()
	x.customer, x.merchant, x.session, x.parent = e.id(), e.id(), e.id(), e.id()
	x.started, x.effective, x.capture = clock.Micros(e.num()), e.num(), e.num()
	x.owed, x.old = [3]int64{e.num(), e.num(), e.num()}, e.flag()
	e.list(func() {
		x.sources = append(x.sources, gives{payment.SourceType(e.num()), e.id(), e.num(), e.num(), e.num(), e.num()})
	})
	e.list(func() {
		y := piece{
			participant: payment.Participant(e.num()), role: payment.Role(e.num()), state: payment.PartState(e.num()),
			source: uint8(e.num()), account: e.id(), amount: e.amount(), origin: e.id(),
		}
		e.list(func() { y.funding = append(y.funding, tcc.Funding{From: e.text(), Amount: e.amount()}) })
		x.parts = append(x.parts, y)
	})
	return x
}

func (p pen) branch(b *branch) pen {
	p = p.text(b.service).num(int64(b.state)).id(b.account).num(int64(b.currency)).num(b.amount).num(b.posted).num(b.released)
	p = p.text(b.code).num(int64(b.at)).num(b.moved).id(b.customer).id(b.merchant).num(int64(len(b.lots)))
	for _, l := range b.lots {
		p = p.num(l.Lot).num(l.Held).num(l.Posted).num(l.Released).num(l.Returned)
	}
	return p
}

func (e *eye) branch() *branch {
	b := &branch{
		service: e.text(), state: state(e.num()), account: e.id(), currency: money.Currency(e.num()), amount: e.num(),
		posted: e.num(), released: e.num(), code: e.text(), at: clock.Micros(e.num()), moved: e.num(), customer: e.id(), merchant: e.id(),
	}
	e.list(func() { b.lots = append(b.lots, taken{e.num(), e.num(), e.num(), e.num(), e.num()}) })
	return b
}

func (p pen) accountOf(a *Account) pen {
	p = p.num(int64(a.Currency)).num(int64(a.Status)).num(a.Debits).num(a.Credits).num(a.Held).num(int64(a.Version)).num(a.open)
	p = p.flag(a.own).text(a.kind).num(int64(a.since)).num(int64(a.n)).flag(a.rest.seen).num(int64(a.rest.sum)).num(a.nextLot)
	p = p.flag(a.Limits != nil)
	if a.Limits != nil {
		for _, n := range a.Limits {
			p = p.num(n)
		}
	}
	p = p.num(int64(len(a.lots)))
	for _, l := range a.lots {
		p = p.num(l.n).num(l.left).num(l.held).num(l.expires).num(int64(l.class))
	}
	return p
}

func (e *eye) accountOf() *Account {
	a := &Account{
		Currency: money.Currency(e.num()), Status: ledger.Status(e.num()), Debits: e.num(), Credits: e.num(), Held: e.num(),
		Version: uint64(e.num()), open: e.num(), own: e.flag(), kind: e.text(), since: clock.Micros(e.num()), n: int(e.num()),
		rest: rest{seen: e.flag(), sum: digest(e.num())}, nextLot: e.num(),
	}
	if e.flag() {
		a.Limits = &[5]int64{e.num(), e.num(), e.num(), e.num(), e.num()}
	}
	e.list(func() { a.lots = append(a.lots, lot{e.num(), e.num(), e.num(), e.num(), uint32(e.num())}) })
	return a
}
