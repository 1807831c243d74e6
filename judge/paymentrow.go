package judge

import (
	base16 "encoding/hex"
	"strconv"

	"github.com/koban-pay/koban/book"
	journalv1 "github.com/koban-pay/koban/gen/koban/payment/journal/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/payment"
)

// paymentColumns are the columns of payments that are compared. The state is a message, of which standing, sources and parts
// are.
var paymentColumns = []string{"kind", "status", "resource", "currency", "amount", "captured", "refunded", "customer", "merchant", "session", "parent", "state"}

// facts returns what the journal gives for a payment's row.
func (p *pay) facts() []string {
	return []string{
		num(p.kind), num(p.Status), num(p.Resource), num(p.amount.Currency), num(p.amount.Minor), num(p.captured), num(p.refunded()),
		optional(p.customer), optional(p.merchant), optional(p.session), optional(p.parent), p.stateText(),
	}
}

func (p *pay) stateText() string {
	s := make([]byte, 0, 512)
	say := func(word string, n int64) { s = strconv.AppendInt(append(s, word...), n, 10) }
	s = append(s, p.Phase.String()+"/"+p.Rollback.String()+" decided "+p.Decision.String()...)
	for i := range p.sources {
		x := &p.sources[i]
		say(", source ", int64(i+1))
		say(" of ", x.amount)
		say(", captured ", x.captured)
		say(", refunded ", x.refunded)
		say(", being refunded ", x.refunding)
	}
	for i := range p.parts {
		x := &p.parts[i]
		say(", part ", int64(i+1))
		say(" at "+x.participant.String()+" "+x.state.String()+", of ", x.amount.Minor)
		say(" in ", int64(x.amount.Currency))
		s = base16.AppendEncode(append(s, " on "...), x.account[:])
	}
	return string(s)
}

func optional(x id.ID) string {
	if x.IsNil() {
		return ""
	}
	return hex(x[:])
}

// readPayment makes a payment of a row's values.
func readPayment(v []any) (*pay, error) {
	raw, _ := v[11].([]byte)
	var m journalv1.State
	if err := read(raw, &m); err != nil {
		return nil, err
	}
	p := &pay{
		Standing: standingOf(m.Standing), kind: payment.Kind(integer(v[0])), amount: money.Of(integer(v[4]), money.Currency(integer(v[3]))),
		captured: integer(v[5]), customer: idOf(v[7]), merchant: idOf(v[8]), session: idOf(v[9]), parent: idOf(v[10]), sources: sourcesOf(m.Sources),
		parts: piecesOf(m.Parts), old: true,
	}
	p.Status, p.Resource = payment.Status(integer(v[1])), payment.Resource(integer(v[2]))
	return p, nil
}

func (w *payments) paymentTables() []*Table {
	rows := &Table{
		Name: "payments", Columns: paymentColumns,
		Want: func(k book.Key) []string {
			if p := w.j.payments[k]; p != nil {
				return p.facts()
			}
			return nil
		},
		Read: func(v []any) ([]string, error) {
			p, err := readPayment(v)
			if err != nil {
				return nil, err
			}
			out := p.facts()
			out[6] = text(v[6]) // as the column has it, not as the sources give it
			return out, nil
		},
		Saw: func(k book.Key) { w.j.payments[k].seen = w.j.sweep },
		Missing: func(volume int, began clock.Micros) (out []book.Key) {
			for k, p := range w.j.payments {
				if k.ID.Volume(w.j.Volumes) == volume && p.started < began && p.seen < w.j.sweep {
					out = append(out, k)
				}
			}
			return out
		},
	}
	rows.Believe = func(k book.Key, v []any) bool {
		p, err := readPayment(v)
		if err != nil {
			return false
		}
		w.j.amounts(p, w.j.Payment(k.ID))
		if p.done() {
			if p.kind == payment.Charge && refundable(p.sources) && w.j.charges[k] == nil && (w.j.Forget == 0 || len(w.j.charges) < w.j.Forget) {
				w.j.charges[k] = p.sources
			}
			return false
		}
		p.started, p.moved, p.seen = w.j.now, w.j.now, w.j.sweep
		w.j.payments[k] = p
		return true
	}
	return []*Table{rows}
}
