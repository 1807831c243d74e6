package platform

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/payment"
)

// Unfinished is a payment that a stopped platform has left WORK_IN_PROGRESS.
type Unfinished struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	Resource string `json:"resource_status"`
	Phase    string `json:"phase"`
	Rollback string `json:"rollback_phase"`
	Decision string `json:"decision"`
}

// Autopsy reads the journal of a stopped platform and returns what it left unfinished, by replaying the books of the
// payment service in memory. It changes nothing.
//
// Errors: as of verify, if the store cannot be read or a book cannot be followed.
func Autopsy(ctx context.Context, data, storeURL string) (out []Unfinished, err error) {
	dir, err := filepath.Abs(data)
	if err != nil {
		return nil, err
	}
	p := place{data: dir, url: storeURL, readOnly: true, clock: clock.NewSystem()}
	j, db, err := openJournal(ctx, p)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	key, err := p.keyFor(ctx, j)
	if err != nil {
		return nil, err
	}
	c, err := known(ctx, j, p, key)
	if err != nil {
		return nil, err
	}
	ids, err := c.codec()
	if err != nil {
		return nil, err
	}
	for v := range c.volumes {
		m := payment.NewMachine(v, c.volumes)
		if _, err := book.Recover(ctx, book.Name("payment", v), v, m, j, book.NewMemState()); err != nil {
			return nil, err
		}
		m.EachPayment(func(p *payment.Payment) {
			if p.Resource == payment.WorkInProgress {
				out = append(out, Unfinished{
					ID: ids.Encode(id.Payment, p.ID), Status: p.Status.String(), Resource: p.Resource.String(),
					Phase: p.Phase.String(), Rollback: p.Rollback.String(), Decision: p.Decision.String(),
				})
			}
		})
	}
	return out, nil
}
