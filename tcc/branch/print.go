package branch

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// Print tells two requests under one branch apart: the first 16 bytes of SHA-256 over all that a request
// says.
type Print [16]byte

// printer collects what a request says, each part of fixed length or preceded by it.
type printer struct {
	b   []byte
	buf [256]byte
}

func (p *printer) begin(verb byte) { p.b = append(p.buf[:0], verb) }
func (p *printer) id(x id.ID)      { p.b = append(p.b, x[:]...) }
func (p *printer) int(n int64)     { p.b = binary.BigEndian.AppendUint64(p.b, uint64(n)) }
func (p *printer) amount(a money.Amount) {
	p.int(a.Minor)
	p.int(int64(a.Currency))
}

func (p *printer) fundings(list []tcc.Funding) {
	p.int(int64(len(list)))
	for _, f := range list {
		p.int(int64(len(f.From)))
		p.b = append(p.b, f.From...)
		p.amount(f.Amount)
	}
}

func (p *printer) sum() Print {
	h := sha256.Sum256(p.b)
	return Print(h[:16])
}

func (p *printer) try(r *tcc.TryRequest) Print {
	p.begin('T')
	p.id(r.Account)
	p.amount(r.Amount)
	p.int(int64(r.Purpose))
	p.int(int64(r.NotAfter))
	p.int(int64(r.EffectiveAt))
	p.id(r.Customer)
	p.id(r.Merchant)
	return p.sum()
}

func (p *printer) confirm(r *tcc.ConfirmRequest) Print {
	p.begin('C')
	p.id(r.Account)
	p.amount(r.Amount)
	p.int(int64(r.EffectiveAt))
	if r.Final {
		p.int(1)
	} else {
		p.int(0)
	}
	p.fundings(r.To)
	return p.sum()
}

func (p *printer) add(r *tcc.AddRequest) Print {
	p.begin('A')
	p.id(r.Account)
	p.amount(r.Amount)
	p.int(int64(r.Purpose))
	p.int(int64(r.EffectiveAt))
	p.id(r.Origin)
	p.fundings(r.Funding)
	return p.sum()
}
