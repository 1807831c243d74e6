package payment

import (
	"strings"

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

// publicType returns the type of the public event that announces a status, such as payment.captured.
func publicType(k Kind, s Status) string { return k.data().word + "." + strings.ToLower(s.String()) }
