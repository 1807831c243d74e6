package platform

import (
	"testing"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/points"
	"github.com/koban-pay/koban/tcc"
)

// TestFacetsAreTakenOnce: an account's id says what it is and where, so no two kinds of one holder share a facet, and each
// service calls its kinds as the list does.
func TestFacetsAreTakenOnce(t *testing.T) {
	type place struct {
		own   bool
		facet uint8
	}
	taken := map[place]tcc.AccountKind{}
	for _, k := range tcc.AccountKinds {
		at := place{k.Holder == tcc.OfVolume, k.Facet}
		if was, twice := taken[at]; twice || k.Facet == 0 {
			t.Errorf("%+v has the facet of %+v", k, was)
		}
		taken[at] = k
		word := ""
		switch {
		case k.Service == "balance":
			word = balance.Kind(k.Facet).String()
		case k.Holder == tcc.OfVolume:
			word = points.Kind(k.Facet).String()
		default:
			word = points.Customer.String()
		}
		if word != k.Word {
			t.Errorf("%+v is %q in its service", k, word)
		}
	}
	for k := balance.Balance; k <= balance.Fees; k++ {
		if k.String() != "" && taken[place{k >= balance.PaymentClearing, uint8(k)}].Word != k.String() {
			t.Errorf("balance keeps %s, and the list does not say so", k)
		}
	}
	for k := points.Redeemed; k < points.Customer; k++ {
		if taken[place{true, uint8(k)}].Word != k.String() {
			t.Errorf("points keeps %s, and the list does not say so", k)
		}
	}
	if _, ok := tcc.KindOfAccount(id.Compose(1, 1, [9]byte{}).Facet(200)); ok {
		t.Error("an id with a facet that nobody has names an account")
	}
}
