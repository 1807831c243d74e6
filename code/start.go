package code

import (
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/tcc"
)

var _ tcc.Starter = (*Service)(nil)

func (s *Service) start(x id.ID, cmd any, done func(tcc.Receipt, error)) {
	s.books[x.Volume(len(s.books))].Start(cmd, func(reply any, err error) {
		if err != nil {
			done(tcc.Receipt{}, err)
			return
		}
		done(reply.(tcc.Receipt), nil)
	})
}

// StartTry implements tcc.Starter: Try, without waiting.
func (s *Service) StartTry(r tcc.TryRequest, done func(tcc.Receipt, error)) {
	s.start(r.Account, &r, done)
}

// StartConfirm implements tcc.Starter: Confirm, without waiting.
func (s *Service) StartConfirm(r tcc.ConfirmRequest, done func(tcc.Receipt, error)) {
	s.start(r.Account, &r, done)
}

// StartCancel implements tcc.Starter: Cancel, without waiting.
func (s *Service) StartCancel(r tcc.CancelRequest, done func(tcc.Receipt, error)) {
	s.start(r.Account, &r, done)
}
