package payment

import (
	"github.com/koban-pay/koban/internal/id"
)

// Public implements book.Machine: every change of status is announced, and nothing else.
func (m *Machine) Public(ev any) (id.Tenant, bool) {
	switch e := ev.(type) {
	case Started:
		return e.Payment.Tenant, true
	case Advanced:
		return e.Tenant, e.Standing.Resource != WorkInProgress
	}
	return 0, false
}
