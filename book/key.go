package book

import (
	"fmt"

	"github.com/koban-pay/koban/internal/id"
)

// Key names one row of a book's state. The volume is the book's own; tenant and volume stand first in the tables.
type Key struct {
	Tenant id.Tenant
	ID     id.ID
}

// String returns the key for error messages and logs.
func (k Key) String() string { return fmt.Sprintf("%d/%x", k.Tenant, k.ID) }

// Name returns the name of a service's volume, such as "balance/03".
func Name(service string, volume int) string { return fmt.Sprintf("%s/%02d", service, volume) }
