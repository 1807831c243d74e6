package sample

import "time"

// Try is a request to set aside. All of it is compared when the same branch comes again.
type Try struct {
	Branch      string    `json:"branch"`
	Tenant      uint32    `json:"tenant"`
	Account     string    `json:"account"`
	Amount      Amount    `json:"amount"`
	Purpose     string    `json:"purpose"`
	NotAfter    time.Time `json:"not_after"`
	EffectiveAt time.Time `json:"effective_at"`
	Customer    string    `json:"customer,omitempty"`
	Merchant    string    `json:"merchant,omitempty"`
}

// Amount is whole minor units: never a fraction.
type Amount struct {
	Currency string `json:"currency"`
	Value    int64  `json:"value"`
}

// Confirm is a request to take what was set aside.
type Confirm struct {
	Branch      string    `json:"branch"`
	Tenant      uint32    `json:"tenant"`
	Account     string    `json:"account"`
	Capture     uint32    `json:"capture"`
	Amount      Amount    `json:"amount"`
	Final       bool      `json:"final"`
	EffectiveAt time.Time `json:"effective_at"`
	To          []Part    `json:"to,omitempty"`
}

// Part is a part of an amount and what it is for.
type Part struct {
	Kind   string `json:"kind"`
	Amount Amount `json:"amount"`
}

// Cancel is a request to let go.
type Cancel struct {
	Branch      string    `json:"branch"`
	Tenant      uint32    `json:"tenant"`
	Account     string    `json:"account"`
	NotAfter    time.Time `json:"not_after"`
	EffectiveAt time.Time `json:"effective_at"`
}

// Add is a request to give value.
type Add struct {
	Branch      string    `json:"branch"`
	Tenant      uint32    `json:"tenant"`
	Account     string    `json:"account"`
	Amount      Amount    `json:"amount"`
	Purpose     string    `json:"purpose"`
	Funding     []Part    `json:"funding,omitempty"`
	Origin      string    `json:"origin,omitempty"`
	EffectiveAt time.Time `json:"effective_at"`
}

// Account is what somebody holds.
type Account struct {
	Currency  string
	Available int64
	Held      int64
	Suspended bool
}

// branch is all that is known of one part of one payment. It is kept: a duplicate may ask again.
type branch struct {
	try       *Try // nil: only a Cancel came, and this is its tombstone
	refused   string
	left      int64 // still on hold
	captures  map[uint32]capture
	final     bool
	cancelled bool
}

type capture struct {
	amount Amount
	final  bool
}

// key is what a branch is known by: another company may use the same name.
type key struct {
	tenant uint32
	branch string
}

// books are all facts. They change by records only, so that reading the journal again gives the same books.
type books struct {
	accounts map[string]*Account
	branches map[key]*branch
	adds     map[key]added
	suspense map[string]int64 // by currency: what was added and could not be placed; a person sees to it
	seq      uint64           // of the last record
}

// added is an Add, and why it could not be placed.
type added struct {
	Add
	Suspense string `json:"suspense,omitempty"`
}

func newBooks() *books {
	return &books{
		accounts: make(map[string]*Account), branches: make(map[key]*branch), adds: make(map[key]added),
		suspense: make(map[string]int64),
	}
}

// record is one fact of the journal. Exactly one member is set.
type record struct {
	Open    *opened  `json:"open,omitempty"`
	Suspend string   `json:"suspend,omitempty"`
	Try     *tried   `json:"try,omitempty"`
	Confirm *Confirm `json:"confirm,omitempty"`
	Cancel  *Cancel  `json:"cancel,omitempty"`
	Add     *added   `json:"add,omitempty"`
}

type opened struct {
	Account string `json:"account"`
	Amount  Amount `json:"amount"`
}

// tried is a Try and what was decided. A refusal is a fact too: the same Try is refused again, whatever happened since.
type tried struct {
	Try
	Refused string `json:"refused,omitempty"`
}

// The decisions below return the record to be written, or none if the answer was given before; and the code of the
// refusal, or none if it is done.

func (b *books) decideTry(r Try, now time.Time) (*record, string) {
	known := b.branches[key{r.Tenant, r.Branch}]
	switch {
	case known != nil && known.try == nil:
		return nil, "try_after_cancel"
	case known != nil && *known.try != r:
		return nil, "id_reused"
	case known != nil && known.cancelled && known.refused == "":
		return nil, "try_after_cancel"
	case known != nil:
		return nil, known.refused
	}
	code := ""
	account := b.accounts[r.Account]
	switch {
	case now.After(r.NotAfter):
		code = "try_too_late"
	case account == nil:
		code = "account_not_found"
	case account.Currency != r.Amount.Currency:
		code = "currency_mismatch"
	case account.Suspended:
		code = "account_suspended"
	case account.Available < r.Amount.Value:
		code = "insufficient_funds"
	}
	return &record{Try: &tried{r, code}}, code
}

func (b *books) decideConfirm(r Confirm) (*record, string) {
	known := b.branches[key{r.Tenant, r.Branch}]
	switch {
	case known == nil:
		return nil, "not_tried"
	case known.cancelled:
		return nil, "already_cancelled"
	case known.refused != "":
		return nil, "not_tried"
	case known.try.Account != r.Account || known.try.Amount.Currency != r.Amount.Currency:
		return nil, "id_reused"
	}
	if first, ok := known.captures[r.Capture]; ok {
		if first != (capture{r.Amount, r.Final}) {
			return nil, "id_reused"
		}
		return nil, "" // neither the time nor the account's state is looked at: what was set aside can be taken
	}
	switch {
	case known.final:
		return nil, "hold_ended"
	case r.Amount.Value > known.left:
		return nil, "exceeds_hold"
	}
	return &record{Confirm: &r}, ""
}

func (b *books) decideCancel(r Cancel) (*record, string) {
	known := b.branches[key{r.Tenant, r.Branch}]
	switch {
	case known == nil: // its Try may still come, and must be refused then
		return &record{Cancel: &r}, ""
	case len(known.captures) > 0:
		return nil, "already_confirmed"
	case known.cancelled, known.refused != "":
		return nil, ""
	}
	return &record{Cancel: &r}, ""
}

// decideAdd never refuses for a reason of business: what moves was decided and is on its way. What cannot be placed waits
// in suspense for a person.
func (b *books) decideAdd(r Add) (*record, string) {
	if first, ok := b.adds[key{r.Tenant, r.Branch}]; ok {
		if first.Account != r.Account || first.Amount != r.Amount {
			return nil, "id_reused"
		}
		return nil, ""
	}
	why := ""
	switch account := b.accounts[r.Account]; {
	case account == nil:
		why = "account_not_found"
	case account.Currency != r.Amount.Currency:
		why = "currency_mismatch"
	}
	return &record{Add: &added{r, why}}, ""
}

// apply changes the books by one record.
func (b *books) apply(r record) {
	b.seq++
	switch {
	case r.Open != nil:
		b.accounts[r.Open.Account] = &Account{Currency: r.Open.Amount.Currency, Available: r.Open.Amount.Value}
	case r.Suspend != "":
		b.accounts[r.Suspend].Suspended = true
	case r.Try != nil:
		known := &branch{try: &r.Try.Try, refused: r.Try.Refused, captures: make(map[uint32]capture)}
		if r.Try.Refused == "" {
			known.left = r.Try.Amount.Value
			b.move(r.Try.Account, -known.left, known.left)
		}
		b.branches[key{r.Try.Tenant, r.Try.Branch}] = known
	case r.Confirm != nil:
		c := r.Confirm
		known := b.branches[key{c.Tenant, c.Branch}]
		known.captures[c.Capture] = capture{c.Amount, c.Final}
		known.left -= c.Amount.Value
		b.move(c.Account, 0, -c.Amount.Value)
		if c.Final {
			b.move(c.Account, known.left, -known.left)
			known.left, known.final = 0, true
		}
	case r.Cancel != nil:
		at := key{r.Cancel.Tenant, r.Cancel.Branch}
		known := b.branches[at]
		if known == nil { // a tombstone: it may go after not_after and a day, since the Try is too late then anyway
			b.branches[at] = &branch{cancelled: true}
			return
		}
		b.move(known.try.Account, known.left, -known.left)
		known.left, known.cancelled = 0, true
	case r.Add != nil:
		b.adds[key{r.Add.Tenant, r.Add.Branch}] = *r.Add
		if r.Add.Suspense != "" {
			b.suspense[r.Add.Amount.Currency] += r.Add.Amount.Value
			return
		}
		b.move(r.Add.Account, r.Add.Amount.Value, 0)
	}
}

func (b *books) move(account string, available, held int64) {
	b.accounts[account].Available += available
	b.accounts[account].Held += held
}
