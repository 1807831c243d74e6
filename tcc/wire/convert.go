package wire

import (
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

var purposes = map[tcc.Purpose]string{tcc.Charge: "charge", tcc.Refund: "refund", tcc.Credit: "credit"}

func purpose(word string) (tcc.Purpose, error) {
	for p, w := range purposes {
		if w == word {
			return p, nil
		}
	}
	return 0, fault.InvalidRequest.New("purpose has to be charge, refund or credit").WithParam("purpose")
}

func toAmount(a money.Amount) Amount { return Amount{Currency: a.Currency.Code(), Value: a.Minor} }

// amount checks an amount of a request.
func (a Amount) amount(param string) (money.Amount, error) {
	c, err := money.ParseCurrency(a.Currency)
	if err != nil {
		return money.Amount{}, fault.InvalidCurrency.New("%s is not a currency of ISO 4217, nor PT", param+".currency").WithParam(param + ".currency")
	}
	if a.Value < 1 || a.Value > maxValue {
		return money.Amount{}, fault.InvalidAmount.New("").WithParam(param + ".value")
	}
	return money.Of(a.Value, c), nil
}

func toFundings(all []tcc.Funding) []Funding {
	var out []Funding
	for _, f := range all {
		out = append(out, Funding{Kind: f.From, Amount: toAmount(f.Amount)})
	}
	return out
}

func fundings(all []Funding, param string) ([]tcc.Funding, error) {
	if len(all) > maxParts {
		return nil, fault.InvalidRequest.New("%s has more than %d entries", param, maxParts).WithParam(param)
	}
	var out []tcc.Funding
	for _, f := range all {
		a, err := f.Amount.amount(param + ".amount")
		if err != nil {
			return nil, err
		}
		if !goodText(f.Kind) {
			return nil, fault.InvalidRequest.New("").WithParam(param + ".kind")
		}
		out = append(out, tcc.Funding{From: f.Kind, Amount: a})
	}
	return out, nil
}

// head is what every request begins with.
func head(n Names, tenant uint32, branch, account string) (tcc.Branch, id.ID, error) {
	x, err := named(n, branch, "branch")
	if err != nil {
		return tcc.Branch{}, id.Nil, err
	}
	if x.Part() == 0 {
		return tcc.Branch{}, id.Nil, fault.InvalidID.New("branch has to name a part of a payment, not the payment").WithParam("branch")
	}
	if tenant == 0 {
		return tcc.Branch{}, id.Nil, fault.MissingField.New("tenant is missing").WithParam("tenant")
	}
	a, err := named(n, account, "account")
	return tcc.Branch{Tenant: id.Tenant(tenant), ID: x}, a, err
}

// moment checks a time of a request.
func moment(t Time, param string) (clock.Micros, error) {
	if t <= 0 || clock.Micros(t) > maxTime {
		return 0, fault.MissingField.New("%s is missing, or no time", param).WithParam(param)
	}
	return clock.Micros(t), nil
}

func (b TryBody) request(n Names) (r tcc.TryRequest, err error) {
	if r.Branch, r.Account, err = head(n, b.Tenant, b.Branch, b.Account); err != nil {
		return r, err
	}
	if r.Amount, err = b.Amount.amount("amount"); err != nil {
		return r, err
	}
	if r.Purpose, err = purpose(b.Purpose); err != nil {
		return r, err
	}
	if r.NotAfter, err = moment(b.NotAfter, "not_after"); err != nil {
		return r, err
	}
	if r.EffectiveAt, err = moment(b.EffectiveAt, "effective_at"); err != nil {
		return r, err
	}
	if r.Customer, err = maybe(n, b.Customer, "customer"); err != nil {
		return r, err
	}
	r.Merchant, err = maybe(n, b.Merchant, "merchant")
	return r, err
}

func toTry(n Names, r tcc.TryRequest) TryBody {
	return TryBody{
		Branch: n.Text(r.Branch.ID), Tenant: uint32(r.Branch.Tenant), Account: n.Text(r.Account), Amount: toAmount(r.Amount),
		Purpose: purposes[r.Purpose], NotAfter: Time(r.NotAfter), EffectiveAt: Time(r.EffectiveAt),
		Customer: textOf(n, r.Customer), Merchant: textOf(n, r.Merchant),
	}
}

func (b ConfirmBody) request(n Names) (r tcc.ConfirmRequest, err error) {
	if r.Branch, r.Account, err = head(n, b.Tenant, b.Branch, b.Account); err != nil {
		return r, err
	}
	if b.Capture == 0 {
		return r, fault.MissingField.New("capture is missing: captures are numbered from 1").WithParam("capture")
	}
	r.Capture, r.Final = b.Capture, b.Final
	if r.Amount, err = b.Amount.amount("amount"); err != nil {
		return r, err
	}
	if r.EffectiveAt, err = moment(b.EffectiveAt, "effective_at"); err != nil {
		return r, err
	}
	r.To, err = fundings(b.To, "to")
	return r, err
}

func toConfirm(n Names, r tcc.ConfirmRequest) ConfirmBody {
	return ConfirmBody{
		Branch: n.Text(r.Branch.ID), Tenant: uint32(r.Branch.Tenant), Account: n.Text(r.Account), Capture: r.Capture,
		Amount: toAmount(r.Amount), Final: r.Final, EffectiveAt: Time(r.EffectiveAt), To: toFundings(r.To),
	}
}

func (b CancelBody) request(n Names) (r tcc.CancelRequest, err error) {
	if r.Branch, r.Account, err = head(n, b.Tenant, b.Branch, b.Account); err != nil {
		return r, err
	}
	if r.NotAfter, err = moment(b.NotAfter, "not_after"); err != nil {
		return r, err
	}
	r.EffectiveAt, err = moment(b.EffectiveAt, "effective_at")
	return r, err
}

func toCancel(n Names, r tcc.CancelRequest) CancelBody {
	return CancelBody{
		Branch: n.Text(r.Branch.ID), Tenant: uint32(r.Branch.Tenant), Account: n.Text(r.Account),
		NotAfter: Time(r.NotAfter), EffectiveAt: Time(r.EffectiveAt),
	}
}

func (b AddBody) request(n Names) (r tcc.AddRequest, err error) {
	if r.Branch, r.Account, err = head(n, b.Tenant, b.Branch, b.Account); err != nil {
		return r, err
	}
	if r.Amount, err = b.Amount.amount("amount"); err != nil {
		return r, err
	}
	if r.Purpose, err = purpose(b.Purpose); err != nil {
		return r, err
	}
	if r.Funding, err = fundings(b.Funding, "funding"); err != nil {
		return r, err
	}
	if r.Origin, err = maybe(n, b.Origin, "origin"); err != nil {
		return r, err
	}
	r.EffectiveAt, err = moment(b.EffectiveAt, "effective_at")
	return r, err
}

func toAdd(n Names, r tcc.AddRequest) AddBody {
	return AddBody{
		Branch: n.Text(r.Branch.ID), Tenant: uint32(r.Branch.Tenant), Account: n.Text(r.Account), Amount: toAmount(r.Amount),
		Purpose: purposes[r.Purpose], Funding: toFundings(r.Funding), Origin: textOf(n, r.Origin), EffectiveAt: Time(r.EffectiveAt),
	}
}
