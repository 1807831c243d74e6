package points

import (
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/planted"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// zone is how far business days are ahead of UTC: Japan has one time zone and no summer time.
const zone = 9 * clock.Hour

// businessDay returns the day that an entry on a counts in; an account's days never go backwards.
func businessDay(at clock.Micros, a *Account) ledger.Day {
	return max(ledger.Day((at+zone)/clock.Day), a.Used.Day)
}

func key(b tcc.Branch) book.Key { return book.Key{Tenant: b.Tenant, ID: b.ID} }

func about(b tcc.Branch, account id.ID) branchOf {
	return branchOf{Tenant: b.Tenant, Branch: b.ID, Account: account}
}

// customer returns the account of a customer, or nil.
func (m *Machine) customer(tenant id.Tenant, account id.ID) *Account {
	a := m.accounts.Get(book.Key{Tenant: tenant, ID: account})
	if a == nil || a.Kind != Customer {
		return nil
	}
	return a
}

// ownAccount returns one of the volume's own accounts, new if nothing was posted to it yet.
func (m *Machine) ownAccount(tenant id.Tenant, k Kind) *Account {
	if a := m.accounts.Get(m.own(tenant, k)); a != nil {
		return a
	}
	a := newAccount(k)
	return &a
}

// asked is what the reply to a command is made of, once its events are applied: an answer in the row of its branch.
type asked struct {
	book   string
	branch book.Key
	answer func(*Branch) *Answer
}

// receipt answers with what the branch's row will say once the events are applied.
func (m *Machine) receipt(out *book.Decision, k book.Key, of func(*Branch) *Answer) {
	m.asked = asked{out.Book, k, of}
	out.ReplyAfter(m.reply)
}

// told is the reply that was asked for.
func (m *Machine) told() any {
	return m.asked.answer(m.branches.Get(m.asked.branch)).receipt(m.asked.book)
}

func (a *Answer) receipt(book string) tcc.Receipt {
	return tcc.Receipt{Book: book, Seq: a.Seq, At: a.At, Suspense: a.Suspense, Available: a.Available}
}

func firstAnswer(b *Branch) *Answer  { return &b.First }
func cancelAnswer(b *Branch) *Answer { return &b.Cancel }
func lastCapture(b *Branch) *Answer  { return &b.Captures[len(b.Captures)-1].Answer }

func (m *Machine) decideTry(now clock.Micros, c *tcc.TryRequest, out *book.Decision) {
	if err := checkRequest(c.Branch, c.Amount); err != nil {
		out.Refuse(err)
		return
	}
	k, print := key(c.Branch), printTry(c)
	if b := m.branches.Get(k); b != nil && (planted.Bug != planted.TryHoldsTwice || b.Status != Held) {
		m.repeatTry(b, print, out)
		return
	}
	a, lots, err := m.planTry(now, c)
	if err != nil {
		m.refuse(about(c.Branch, c.Account), print, err, out)
		return
	}
	m.events.tried = tried{
		branchOf: about(c.Branch, c.Account), Print: print, Amount: c.Amount.Minor, Lots: lots, Day: businessDay(c.EffectiveAt, a),
		NotAfter: c.NotAfter, EffectiveAt: c.EffectiveAt,
	}
	out.Emit(&m.events.tried)
	m.receipt(out, k, firstAnswer)
}

func (m *Machine) refuse(b branchOf, print [16]byte, err *fault.Error, out *book.Decision) {
	out.Emit(&refused{branchOf: b, Print: print, Refusal: Refusal{string(err.Code), err.Message, err.Param}})
	out.Refuse(err)
}

// repeatTry answers a Try whose branch is known.
func (m *Machine) repeatTry(b *Branch, print [16]byte, out *book.Decision) {
	switch {
	case b.First.Seq == 0:
		out.Refuse(fault.TryAfterCancel.New(""))
	case b.Print != print:
		out.Refuse(fault.IDReused.New("the branch was used for another request"))
	case b.Status == Refused:
		out.Refuse(b.Refusal.fault())
	case b.Status == Cancelled: // "done" would be a lie by now (I14)
		out.Refuse(fault.TryAfterCancel.New(""))
	default:
		out.Reply(b.First.receipt(out.Book))
	}
}

func (r *Refusal) fault() *fault.Error {
	return fault.Decode(r.Code, "", r.Message, r.Param)
}

// planTry decides whether the points can be taken, and from which lots.
func (m *Machine) planTry(now clock.Micros, c *tcc.TryRequest) (*Account, []Part, *fault.Error) {
	if now > c.NotAfter {
		return nil, nil, fault.TryTooLate.New("")
	}
	a := m.customer(c.Branch.Tenant, c.Account)
	if a == nil {
		return nil, nil, fault.AccountNotFound.New("").WithParam("account")
	}
	if err := a.CanTake(c.Amount, businessDay(c.EffectiveAt, a)); err != nil {
		return nil, nil, err
	}
	lots := a.Lots.pick(m.events.tried.Lots[:0], c.Amount.Minor, now)
	if lots == nil { // the balance covers it only with lots that have expired
		return nil, nil, fault.InsufficientFunds.New("the available points do not cover %v", c.Amount)
	}
	return a, lots, nil
}

func (m *Machine) decideConfirm(now clock.Micros, c *tcc.ConfirmRequest, out *book.Decision) {
	if err := checkRequest(c.Branch, c.Amount); err != nil {
		out.Refuse(err)
		return
	}
	k, print := key(c.Branch), printConfirm(c)
	b := m.branches.Get(k)
	switch {
	case b == nil || b.Status == Refused || b.Status == Added:
		out.Refuse(fault.NotTried.New(""))
		return
	case b.Status == Cancelled:
		out.Refuse(fault.AlreadyCancelled.New(""))
		return
	}
	if p := b.capture(c.Capture); p != nil {
		if p.Print != print {
			out.Refuse(fault.IDReused.New("capture %d was another", c.Capture))
			return
		}
		out.Reply(p.Answer.receipt(out.Book))
		return
	}
	ev, err := m.planConfirm(now, c, b)
	if err != nil {
		out.Refuse(err)
		return
	}
	ev.Print = print
	out.Emit(ev)
	m.receipt(out, k, lastCapture)
}

// planConfirm decides a new capture of an open hold. Nothing that happened to the account or its lots since the Try
// stands in its way.
func (m *Machine) planConfirm(now clock.Micros, c *tcc.ConfirmRequest, b *Branch) (*confirmed, *fault.Error) {
	if c.Account != b.On {
		return nil, fault.IDReused.New("the branch is on another account")
	}
	switch {
	case c.Capture == 0:
		return nil, fault.InvalidRequest.New("captures are numbered from 1").WithParam("capture")
	case len(b.Captures) == MaxCaptures:
		return nil, fault.LimitExceeded.New("the branch has %d captures already", MaxCaptures)
	}
	if planted.Bug == planted.ExpiryStopsConfirm && gone(b.Lots[0].ExpiresAt, now) {
		return nil, fault.InsufficientFunds.New("")
	}
	if b.Ended() {
		return nil, fault.HoldEnded.New("")
	}
	if c.Amount.Minor > b.Open() {
		return nil, fault.ExceedsHold.New("%v is more than the %d that are left of the hold", c.Amount, b.Open())
	}
	ev := &m.events.confirmed
	to, err := m.shares(ev.To[:0], c.Branch.Tenant, c.To, Redeemed, c.Amount, (*ledger.Account).CanReceive)
	if err != nil {
		return nil, err.WithParam("to")
	}
	a := m.customer(c.Branch.Tenant, c.Account)
	taken, rest := b.take(ev.Taken[:0], c.Amount.Minor)
	*ev = confirmed{
		branchOf: about(c.Branch, c.Account), Capture: c.Capture, Final: c.Final, Taken: taken, To: to, Day: businessDay(c.EffectiveAt, a),
		EffectiveAt: c.EffectiveAt,
	}
	if c.Final {
		ev.Back = m.letGo(now, c.Branch.Tenant, a, rest)
	}
	return ev, nil
}

// letGo decides where held points go that are not taken: those whose lot has expired meanwhile follow the rule.
func (m *Machine) letGo(now clock.Micros, tenant id.Tenant, a *Account, parts []Part) (back []Back) {
	p, days := placer{account: a}, m.rules.of(tenant).ReleaseDays
	for i := range parts {
		back = append(back, p.back(parts[i], now, days))
	}
	return back
}

func (m *Machine) decideCancel(now clock.Micros, c *tcc.CancelRequest, out *book.Decision) {
	if c.Branch.ID.Part() == 0 {
		out.Refuse(fault.InvalidID.New("a branch is a part of a payment, and this is none").WithParam("branch"))
		return
	}
	k := key(c.Branch)
	b := m.branches.Get(k)
	ev := &cancelled{branchOf: about(c.Branch, c.Account), NotAfter: c.NotAfter, EffectiveAt: c.EffectiveAt}
	switch {
	case b == nil: // the Try never came, and must not come any more
	case b.Status == Cancelled:
		out.Reply(b.Cancel.receipt(out.Book))
		return
	case b.Status == Refused: // nothing was set aside, and nothing ever will be
		out.Reply(b.First.receipt(out.Book))
		return
	case b.Status == Confirmed:
		out.Refuse(fault.AlreadyConfirmed.New(""))
		return
	case b.Status == Added || c.Account != b.On:
		out.Refuse(fault.IDReused.New("the branch was used for another request"))
		return
	default:
		a := m.customer(c.Branch.Tenant, c.Account)
		_, rest := b.take(nil, 0)
		ev.Back = m.letGo(now, c.Branch.Tenant, a, rest)
		ev.Day = businessDay(c.EffectiveAt, a)
	}
	out.Emit(ev)
	m.receipt(out, k, cancelAnswer)
}

func (m *Machine) decideAdd(now clock.Micros, c *tcc.AddRequest, out *book.Decision) {
	if err := checkRequest(c.Branch, c.Amount); err != nil {
		out.Refuse(err)
		return
	}
	k, print := key(c.Branch), printAdd(c)
	if b := m.branches.Get(k); b != nil && (planted.Bug != planted.AddTwice || b.Status != Added) {
		switch {
		case b.Print != print || b.Status != Added && b.Status != Refused:
			out.Refuse(fault.IDReused.New("the branch was used for another request"))
		case b.Status == Refused:
			out.Refuse(b.Refusal.fault())
		default:
			out.Reply(b.First.receipt(out.Book))
		}
		return
	}
	ev, err := m.planAdd(now, c)
	if err != nil {
		m.refuse(about(c.Branch, c.Account), print, err, out)
		return
	}
	ev.Print = print
	out.Emit(ev)
	m.receipt(out, k, firstAnswer)
}

// planAdd decides where added points go. It refuses only what contradicts itself, or what was done before.
func (m *Machine) planAdd(now clock.Micros, c *tcc.AddRequest) (*added, *fault.Error) {
	standard := Suspense
	if c.Purpose == tcc.Refund {
		standard = Redeemed
	}
	from, err := m.shares(nil, c.Branch.Tenant, c.Funding, standard, c.Amount, (*ledger.Account).CanTake)
	if err != nil {
		return nil, err.WithParam("funding")
	}
	ev := &added{
		branchOf: about(c.Branch, c.Account), Amount: c.Amount.Minor, Purpose: c.Purpose, From: from, Origin: c.Origin,
		EffectiveAt: c.EffectiveAt,
	}
	a := m.customer(c.Branch.Tenant, c.Account)
	if a == nil {
		ev.Day, ev.Suspense = businessDay(c.EffectiveAt, &Account{}), true
	} else {
		ev.Day = businessDay(c.EffectiveAt, a)
		ev.Suspense = a.CanReceive(c.Amount, ev.Day) != nil
	}
	if !c.Origin.IsNil() {
		return ev, m.planReturn(now, c, a, ev)
	}
	if expires := Until(now, m.rules.of(c.Branch.Tenant).AddDays); !ev.Suspense && a.hasRoom(Free, expires) {
		p := placer{account: a}
		ev.Lot = Part{p.place(Free, expires), Free, expires, c.Amount.Minor}
	} else {
		ev.Suspense = true
	}
	return ev, nil
}

// planReturn decides to which lots a refund gives points back. a is nil where there is no such account any more.
func (m *Machine) planReturn(now clock.Micros, c *tcc.AddRequest, a *Account, ev *added) *fault.Error {
	origin := m.branches.Get(book.Key{Tenant: c.Branch.Tenant, ID: c.Origin})
	if origin == nil || origin.Status != Confirmed || origin.On != c.Account {
		return fault.HoldNotFound.New("no points of this account were taken under the origin").WithParam("origin")
	}
	parts := origin.refund(c.Amount.Minor)
	if parts == nil {
		return fault.ExceedsCaptured.New("%v is more than is left of what was taken", c.Amount)
	}
	if planted.Bug == planted.RefundOneLot {
		parts[0].Amount, parts = c.Amount.Minor, parts[:1]
	}
	p, days := placer{account: a}, m.rules.of(c.Branch.Tenant).RefundDays
	for i := range parts {
		if ev.Suspense {
			ev.Back = append(ev.Back, Back{From: parts[i].Lot, Class: parts[i].Class, Amount: parts[i].Amount})
		} else {
			ev.Back = append(ev.Back, p.back(parts[i], now, days))
		}
	}
	return nil
}

// hasRoom reports whether points of a class and expiry can be added without too many lots.
func (a *Account) hasRoom(c Class, expires clock.Micros) bool {
	return len(a.Lots) < MaxLots || a.Lots.like(c, expires) != nil
}

// checkRequest refuses what is not well formed. That leaves no trace; any other refusal of a Try or an Add is an event,
// and a duplicate gets it again.
func checkRequest(b tcc.Branch, amount money.Amount) *fault.Error {
	if b.ID.Part() == 0 {
		return fault.InvalidID.New("a branch is a part of a payment, and this is none").WithParam("branch")
	}
	return checkAmount(amount)
}

func checkAmount(a money.Amount) *fault.Error {
	switch {
	case a.Currency != money.PT:
		return fault.CurrencyMismatch.New("points are counted in %v, not in %v", money.PT, a.Currency).WithParam("amount.currency")
	case a.Minor <= 0:
		return fault.InvalidAmount.New("the amount is %v, and must be more than zero", a).WithParam("amount")
	case a.Minor > money.MaxStored:
		return fault.AmountOverflow.New("the amount is more than can be stored").WithParam("amount")
	}
	return nil
}

// maxShares is the most shares of one amount.
const maxShares = 8

// shares reads how an amount is spread over the volume's own accounts, and appends it to out. None given means all of it on
// the standard one.
func (m *Machine) shares(out []share, tenant id.Tenant, given []tcc.Funding, standard Kind, amount money.Amount,
	can func(*ledger.Account, money.Amount, ledger.Day) *fault.Error,
) ([]share, *fault.Error) {
	if len(given) == 0 {
		given = []tcc.Funding{{From: standard.String(), Amount: amount}}
	}
	if len(given) > maxShares {
		return nil, fault.InvalidRequest.New("%d shares, at most %d", len(given), maxShares)
	}
	left := amount.Minor
	for _, g := range given {
		k, ok := ParseKind(g.From)
		if !ok || k != Redeemed && k != Suspense {
			return nil, fault.InvalidRequest.New("points have no way over %q", g.From)
		}
		if err := checkAmount(g.Amount); err != nil {
			return nil, err
		}
		if g.Amount.Minor > left {
			return nil, fault.SourcesMismatch.New("the shares add up to more than %v", amount)
		}
		left -= g.Amount.Minor
		if err := can(&m.ownAccount(tenant, k).Account, g.Amount, 0); err != nil {
			return nil, err
		}
		out = append(out, share{k, g.Amount.Minor})
	}
	if left != 0 {
		return nil, fault.SourcesMismatch.New("the shares add up to less than %v", amount)
	}
	return out, nil
}
