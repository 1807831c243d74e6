package platform

import (
	"context"

	"github.com/koban-pay/koban/fault"
	platformv1 "github.com/koban-pay/koban/gen/koban/platform/v1"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
)

// EraseCustomer serves POST /v1/customers/{id}/erase: the notes of payments and refunds, then those of
// sessions. Each note is erased once and for good, so a request that died half-way is finished by sending
// it again, under any key.
//
// Errors: customer_not_found; unavailable or timeout if some may be left.
func (h *platform) EraseCustomer(ctx context.Context, q *platformv1.EraseCustomerRequest) (*platformv1.Erasure, error) {
	t := rpc.From(ctx).Principal.Tenant
	customer, err := h.ids.Decode(id.Customer, q.Id)
	if err != nil {
		return nil, fault.CustomerNotFound.New("")
	}
	is, err := h.IsCustomer(ctx, t, customer)
	if err != nil {
		return nil, err
	}
	if !is {
		return nil, fault.CustomerNotFound.New("")
	}
	return runErrand(ctx, h.errands, func(ctx context.Context) (*platformv1.Erasure, error) {
		if err := h.payment.Forget(ctx, t, customer); err != nil {
			return nil, err
		}
		if err := h.code.ForgetCustomer(ctx, t, customer); err != nil {
			return nil, err
		}
		return &platformv1.Erasure{Id: h.ids.Encode(id.Customer, customer)}, nil
	})
}

// EraseMerchant serves POST /v1/merchants/{id}/erase: the note with the name and the address.
//
// Errors: merchant_not_found; unavailable or timeout if it may be left.
func (h *platform) EraseMerchant(ctx context.Context, q *platformv1.EraseMerchantRequest) (*platformv1.Erasure, error) {
	merchant, err := h.ids.Decode(id.Merchant, q.Id)
	if err != nil {
		return nil, fault.MerchantNotFound.New("")
	}
	t := rpc.From(ctx).Principal.Tenant
	return runErrand(ctx, h.errands, func(ctx context.Context) (*platformv1.Erasure, error) {
		if err := h.code.Forget(ctx, t, merchant); err != nil {
			return nil, err
		}
		return &platformv1.Erasure{Id: h.ids.Encode(id.Merchant, merchant)}, nil
	})
}
