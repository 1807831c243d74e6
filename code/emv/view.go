package emv

import (
	"errors"
)

// View is a code as `koban code read` prints it in JSON.
type View struct {
	OK         bool           `json:"ok"`      // true
	Kind       string         `json:"kind"`    // "emv_mpm"
	Profile    *string        `json:"profile"` // "jpqr" or null
	Initiation string         `json:"initiation,omitempty"`
	Objects    map[string]any `json:"objects"` // by identifier: a string, or for a template another such map
	Merchant   MerchantView   `json:"merchant"`
	Currency   string         `json:"currency"`
	Amount     *AmountView    `json:"amount"` // null when the payer enters it
	Tip        *TipView       `json:"tip,omitempty"`
	Warnings   []Warning      `json:"warnings,omitempty"`
}

// MerchantView is who is paid.
type MerchantView struct {
	Name       string         `json:"name"`
	City       string         `json:"city"`
	Country    string         `json:"country"`
	MCC        string         `json:"mcc"`
	PostalCode string         `json:"postal_code,omitempty"`
	Localized  *LocalizedView `json:"localized,omitempty"`
	JPQR       *JPQR          `json:"jpqr,omitempty"`
}

// LocalizedView is the merchant in its own language.
type LocalizedView struct {
	Language string `json:"language"`
	Name     string `json:"name"`
	City     string `json:"city,omitempty"`
}

// AmountView is an amount in minor units.
type AmountView struct {
	Currency string `json:"currency"`
	Value    int64  `json:"value"`
}

// TipView is what is added to the amount.
type TipView struct {
	Kind    string      `json:"kind"` // "prompt", "fixed" or "percent"
	Fixed   *AmountView `json:"fixed,omitempty"`
	Percent int64       `json:"percent_hundredths,omitempty"` // 325 is 3.25 %
}

// Failure is a refused payload as `koban code read` prints it in JSON.
type Failure struct {
	OK    bool   `json:"ok"` // false
	Error *Error `json:"error"`
}

// View returns c for printing. c comes from Decode.
func (c *Code) View() View {
	v := View{
		OK: true, Kind: "emv_mpm", Initiation: c.PointOfInitiation(), Objects: nested(c.Objects),
		Merchant: MerchantView{
			Name: c.MerchantName(), City: c.City(), Country: c.Country(), MCC: c.MCC(), PostalCode: c.PostalCode(), JPQR: c.JPQR,
		},
		Currency: c.Currency().Code(), Amount: c.amountView("54"), Tip: c.tipView(), Warnings: c.Warnings,
	}
	if c.Profile != "" {
		v.Profile = &c.Profile
	}
	if l := c.Language(); l != nil {
		v.Merchant.Localized = &LocalizedView{Language: l.Language, Name: l.Name, City: l.City}
	}
	return v
}

// ErrorView returns err for printing. An error that is not of this package is printed with the code UNREADABLE.
func ErrorView(err error) Failure {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Code: Unreadable, Message: err.Error()}
	}
	return Failure{Error: e}
}

func (c *Code) amountView(id string) *AmountView {
	a := c.amountAt(id)
	if a == nil {
		return nil
	}
	return &AmountView{Currency: a.Currency.Code(), Value: a.Minor}
}

func (c *Code) tipView() *TipView {
	t := c.Tip()
	if t == nil {
		return nil
	}
	names := map[TipKind]string{TipPrompt: "prompt", TipFixed: "fixed", TipPercent: "percent"}
	return &TipView{Kind: names[t.Kind], Fixed: c.amountView("56"), Percent: t.Percent}
}

func nested(objects []Object) map[string]any {
	m := make(map[string]any, len(objects))
	for _, o := range objects {
		if o.Objects != nil {
			m[o.ID] = nested(o.Objects)
		} else {
			m[o.ID] = o.Value
		}
	}
	return m
}
