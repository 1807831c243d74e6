package branch

import (
	"cmp"
	"fmt"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/wire"
	"github.com/koban-pay/koban/money"
)

// Pack appends what a row says beside its status, its account and its refusal's code, which are columns.
func (r *Row) Pack(p book.Pack) book.Pack {
	p = p.Bytes(r.Print[:]).Text(r.Refusal.Message).Text(r.Refusal.Param)
	p = packAnswer(packAnswer(p, r.First), r.Last).Int(int64(len(r.Captures)))
	for i := range r.Captures {
		c := &r.Captures[i]
		p = packAnswer(p.Int(int64(c.Number)).Int(c.Amount).Bytes(c.Print[:]), c.Answer)
	}
	return p
}

// Unpack is the inverse of Pack.
//
// Errors: what cannot be a row's.
func (r *Row) Unpack(u *book.Unpack) error {
	var ids wire.Reader
	r.Print = ids.ID(u.Bytes())
	r.Refusal.Message, r.Refusal.Param = u.Text(), u.Text()
	r.First, r.Last = unpackAnswer(u), unpackAnswer(u)
	for range u.Count() {
		c := Capture{Number: uint32(u.Int()), Amount: u.Int()}
		c.Print = ids.ID(u.Bytes())
		c.Answer = unpackAnswer(u)
		if c.Amount <= 0 || c.Amount > money.MaxStored {
			return fmt.Errorf("a branch with a capture of %d", c.Amount)
		}
		r.Captures = append(r.Captures, c)
	}
	return cmp.Or(u.Err(), ids.Err())
}

func packAnswer(p book.Pack, a Answer) book.Pack {
	suspense := int64(0)
	if a.Suspense {
		suspense = 1
	}
	return p.Int(int64(a.Seq)).Int(int64(a.At)).Int(a.Available).Int(suspense)
}

func unpackAnswer(u *book.Unpack) Answer {
	return Answer{Seq: uint64(u.Int()), At: clock.Micros(u.Int()), Available: u.Int(), Suspense: u.Int() == 1}
}
