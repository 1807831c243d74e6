package balance

import "github.com/koban-pay/koban/tcc"

var (
	_ tcc.Starter    = (*Service)(nil)
	_ tcc.AddStarter = (*Service)(nil)
)

func begin(b Book, cmd any, done func(tcc.Receipt, error)) {
	b.Start(cmd, func(reply any, err error) {
		if err != nil {
			done(tcc.Receipt{}, err)
			return
		}
		done(reply.(tcc.Receipt), nil)
	})
}

// StartTry implements tcc.Starter: Try, without waiting.
func (s *Service) StartTry(r tcc.TryRequest, done func(tcc.Receipt, error)) {
	begin(s.book(r.Account), &Try{r, s.calendar(r.Branch.Tenant, r.EffectiveAt)}, done)
}

// StartConfirm implements tcc.Starter: Confirm, without waiting.
func (s *Service) StartConfirm(r tcc.ConfirmRequest, done func(tcc.Receipt, error)) {
	begin(s.book(r.Account), &Confirm{r, s.calendar(r.Branch.Tenant, r.EffectiveAt)}, done)
}

// StartCancel implements tcc.Starter: Cancel, without waiting.
func (s *Service) StartCancel(r tcc.CancelRequest, done func(tcc.Receipt, error)) {
	begin(s.book(r.Account), &Cancel{r, s.calendar(r.Branch.Tenant, r.EffectiveAt)}, done)
}

// StartAdd implements tcc.AddStarter: Add, without waiting.
func (s *Service) StartAdd(r tcc.AddRequest, done func(tcc.Receipt, error)) {
	begin(s.book(r.Account), &Add{r, s.calendar(r.Branch.Tenant, r.EffectiveAt)}, done)
}
