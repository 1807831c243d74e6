package code

import (
	"context"

	"github.com/koban-pay/koban/internal/id"
)

// Customers tells who is a customer of a tenant. A session for anybody else could never be paid; it is refused at the door.
type Customers interface {
	IsCustomer(ctx context.Context, t id.Tenant, customer id.ID) (bool, error)
}
