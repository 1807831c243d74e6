package points

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// print tells requests under one id apart: the first half of a SHA-256 over all that they say. Each of its methods appends.
type print []byte

// printRoom is enough for a usual request.
const printRoom = 160

func (p print) id(x id.ID) print            { return append(p, x[:]...) }
func (p print) n(n int64) print             { return binary.BigEndian.AppendUint64(p, uint64(n)) }
func (p print) text(s string) print         { return append(p.n(int64(len(s))), s...) }
func (p print) amount(a money.Amount) print { return p.n(a.Minor).n(int64(a.Currency)) }
func (p print) sum() [16]byte               { s := sha256.Sum256(p); return [16]byte(s[:16]) }

func (p print) fundings(list []tcc.Funding) print {
	p = p.n(int64(len(list)))
	for _, f := range list {
		p = p.text(f.From).amount(f.Amount)
	}
	return p
}

func printTry(c *tcc.TryRequest) [16]byte {
	var room [printRoom]byte
	return append(print(room[:0]), 't').id(c.Account).amount(c.Amount).n(int64(c.Purpose)).n(int64(c.NotAfter)).
		n(int64(c.EffectiveAt)).id(c.Customer).id(c.Merchant).sum()
}

func printConfirm(c *tcc.ConfirmRequest) [16]byte {
	var room [printRoom]byte
	final := int64(0)
	if c.Final {
		final = 1
	}
	return append(print(room[:0]), 'c').id(c.Account).amount(c.Amount).n(final).n(int64(c.EffectiveAt)).fundings(c.To).sum()
}

func printAdd(c *tcc.AddRequest) [16]byte {
	var room [printRoom]byte
	return append(print(room[:0]), 'a').id(c.Account).amount(c.Amount).n(int64(c.Purpose)).fundings(c.Funding).id(c.Origin).
		n(int64(c.EffectiveAt)).sum()
}
