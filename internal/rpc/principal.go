package rpc

import "github.com/koban-pay/koban/internal/id"

// Role says what kind of caller a key stands for.
type Role uint8

// The roles.
const (
	Operator    Role = iota + 1 // may do everything in its tenant
	CustomerApp                 // opens sessions, pays and reads for customers
	Merchant                    // sees, captures, voids and refunds its own payments; reads its own account and feed
)

// String returns the role's word.
func (r Role) String() string {
	switch r {
	case Operator:
		return "operator"
	case CustomerApp:
		return "customer_app"
	case Merchant:
		return "merchant"
	default:
		return "none"
	}
}

// Principal is who asks.
type Principal struct {
	Tenant   id.Tenant
	Role     Role
	Merchant id.ID  // of the role Merchant: the one merchant it speaks for
	Name     string // names the caller within its tenant; the same for every key that it may get one day
}

// SeesMerchant reports whether p may see what belongs to merchant m of its tenant. A handler answers a no with the
// fault of a thing that does not exist, so that nothing is given away.
func (p Principal) SeesMerchant(m id.ID) bool {
	switch p.Role {
	case Operator, CustomerApp:
		return true
	case Merchant:
		return !m.IsNil() && p.Merchant == m
	default:
		return false
	}
}
