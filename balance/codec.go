package balance

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/book"
	journalv1 "github.com/koban-pay/koban/gen/koban/balance/journal/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/wire"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

// The type numbers of events: the field numbers of koban.balance.journal.v1.Event.
const (
	typeAccountOpened = book.FirstEventType + iota
	typeStatusChanged
	typeCredited
	typeCreditRefused
	typeTryHeld
	typeTryRefused
	typeConfirmed
	typeCancelled
	typeAdded
)

// Encode implements book.Machine.
func (m *Machine) Encode(ev any) (uint32, []byte) {
	switch e := ev.(type) { // what every payment writes
	case *tryHeld:
		return typeTryHeld, e.encode()
	case *confirmed:
		return typeConfirmed, e.encode()
	case *added:
		return typeAdded, e.encode()
	}
	typ, msg := message(ev)
	body, err := proto.Marshal(msg)
	if err != nil {
		panic(fmt.Sprintf("balance: encode %T: %v", ev, err))
	}
	return typ, body
}

func message(ev any) (uint32, proto.Message) {
	switch e := ev.(type) {
	case *accountOpened:
		w := &journalv1.AccountOpened{
			Tenant: uint32(e.Tenant), Account: e.Account[:], Currency: uint32(e.Terms.Currency),
			Amount: e.Opening, EffectiveAt: int64(e.EffectiveAt), Day: int32(e.Entry.Day), Legs: legsOut(&e.Entry), Cap: e.Terms.Cap,
			LimitDayIn: e.Terms.Limits.DayIn, LimitDayOut: e.Terms.Limits.DayOut,
			LimitMonthIn: e.Terms.Limits.MonthIn, LimitMonthOut: e.Terms.Limits.MonthOut,
		}
		if !e.Key.IsNil() {
			w.Key, w.Fingerprint = e.Key[:], e.Print[:]
		}
		return typeAccountOpened, w
	case *statusChanged:
		return typeStatusChanged, &journalv1.StatusChanged{
			Tenant: uint32(e.Tenant), Account: e.Account[:],
			Currency: uint32(e.Currency), Status: journalv1.Status(e.Status), Posted: e.Posted, Available: e.Available,
		}
	case *credited:
		return typeCredited, &journalv1.Credited{
			Tenant: uint32(e.Tenant), Credit: e.ID[:], Account: e.Account[:],
			Currency: uint32(e.Amount.Currency), Amount: e.Amount.Minor, EffectiveAt: int64(e.EffectiveAt),
			Status: journalv1.Status(e.Status), Day: int32(e.Entry.Day), Fingerprint: e.Print[:], Available: e.Available,
			Legs: legsOut(&e.Entry), Key: e.Key[:], Posted: e.Posted,
		}
	case *creditRefused:
		return typeCreditRefused, &journalv1.CreditRefused{
			Tenant: uint32(e.Tenant), Credit: e.ID[:], Account: e.Account[:],
			Currency: uint32(e.Amount.Currency), Amount: e.Amount.Minor, EffectiveAt: int64(e.EffectiveAt),
			Fingerprint: e.Print[:], Code: e.Code, Message: e.Message, Key: e.Key[:],
		}
	case *tryRefused:
		return typeTryRefused, &journalv1.TryRefused{
			Tenant: uint32(e.Tenant), Branch: e.Branch[:], Account: e.Account[:],
			Currency: uint32(e.Amount.Currency), Amount: e.Amount.Minor, Purpose: journalv1.Purpose(e.Purpose),
			EffectiveAt: int64(e.EffectiveAt), Fingerprint: e.Print[:], Code: e.Refusal.Code, Message: e.Refusal.Message, Param: e.Refusal.Param,
			NotAfter: int64(e.NotAfter),
		}
	case *cancelled:
		w := &journalv1.Cancelled{
			Tenant: uint32(e.Tenant), Branch: e.Branch[:], Account: e.Account[:], Currency: uint32(e.Currency),
			Purpose: journalv1.Purpose(e.Purpose), EffectiveAt: int64(e.EffectiveAt), Day: int32(e.Entry.Day), Available: e.Available,
			NotAfter: int64(e.NotAfter),
		}
		if len(e.Entry.Holds) > 0 {
			w.HeldOn, w.Released = int32(e.Entry.Holds[0].HeldOn), e.Entry.Holds[0].Released
		}
		return typeCancelled, w
	}
	panic(fmt.Sprintf("balance: event %T", ev))
}

func legsOut(e *entry) []*journalv1.Leg {
	list := make([]*journalv1.Leg, len(e.Legs))
	for i := range e.Legs {
		l := &e.Legs[i]
		list[i] = &journalv1.Leg{Account: l.Account[:], Credit: l.Side == ledger.Credit, Amount: l.Amount.Minor}
	}
	return list
}

// Decode implements book.Machine. It may be called by several goroutines at once.
func (m *Machine) Decode(typ uint32, body []byte) (any, error) { return decode(typ, body) }

func decode(typ uint32, body []byte) (any, error) {
	var r reader
	ev := r.event(typ, body)
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("balance: event of type %d: %w", typ, err)
	}
	return ev, nil
}

func (r *reader) event(typ uint32, body []byte) any {
	switch typ {
	case typeAccountOpened:
		return r.accountOpened(body)
	case typeStatusChanged:
		w := wire.Read(&r.Reader, body, &journalv1.StatusChanged{})
		return &statusChanged{
			Tenant: id.Tenant(w.Tenant), Account: r.ID(w.Account), Currency: r.currency(w.Currency),
			Status: r.status(w.Status), Posted: w.Posted, Available: w.Available,
		}
	case typeCredited:
		w := wire.Read(&r.Reader, body, &journalv1.Credited{})
		amount := r.amount(w.Amount, w.Currency)
		return &credited{
			Tenant: id.Tenant(w.Tenant), ID: r.ID(w.Credit), Account: r.ID(w.Account), Amount: amount,
			EffectiveAt: clock.Micros(w.EffectiveAt), Key: r.ID(w.Key), Print: r.ID(w.Fingerprint),
			Entry: r.entry(w.Day, w.Legs, amount.Currency), Status: r.status(w.Status), Posted: w.Posted, Available: w.Available,
		}
	case typeCreditRefused:
		w := wire.Read(&r.Reader, body, &journalv1.CreditRefused{})
		return &creditRefused{
			Tenant: id.Tenant(w.Tenant), ID: r.ID(w.Credit), Account: r.ID(w.Account),
			Amount: r.amount(w.Amount, w.Currency), EffectiveAt: clock.Micros(w.EffectiveAt), Key: r.ID(w.Key),
			Print: r.ID(w.Fingerprint), Code: w.Code, Message: w.Message,
		}
	case typeTryHeld:
		return r.tryHeld(body)
	case typeTryRefused:
		w := wire.Read(&r.Reader, body, &journalv1.TryRefused{})
		return &tryRefused{
			part: r.part(w), Amount: r.amount(w.Amount, w.Currency), NotAfter: clock.Micros(w.NotAfter),
			Print: r.ID(w.Fingerprint), Refusal: branch.Refusal{Code: w.Code, Message: w.Message, Param: w.Param},
		}
	case typeConfirmed:
		return r.confirmed(body)
	case typeCancelled:
		return r.cancelled(body)
	case typeAdded:
		return r.added(body)
	}
	r.Fail("this version does not know the type")
	return nil
}

func (r *reader) accountOpened(body []byte) *accountOpened {
	w := wire.Read(&r.Reader, body, &journalv1.AccountOpened{})
	term := func(n int64) int64 { return r.Number("a cap or limit", n, 0, money.MaxStored) }
	e := &accountOpened{
		Tenant: id.Tenant(w.Tenant), Account: r.ID(w.Account), EffectiveAt: clock.Micros(w.EffectiveAt),
		Opening: r.Number("an amount", w.Amount, 0, money.MaxStored),
		Terms: Terms{Currency: r.currency(w.Currency), Cap: term(w.Cap), Limits: ledger.Limits{
			DayIn:  term(w.LimitDayIn),
			DayOut: term(w.LimitDayOut), MonthIn: term(w.LimitMonthIn), MonthOut: term(w.LimitMonthOut),
		}},
	}
	if len(w.Key) > 0 {
		e.Key, e.Print = r.ID(w.Key), r.ID(w.Fingerprint)
	}
	e.Entry = r.entry(w.Day, w.Legs, e.Terms.Currency)
	return e
}

func (r *reader) tryHeld(body []byte) *tryHeld {
	w := wire.Read(&r.Reader, body, &journalv1.Held{})
	e := &tryHeld{
		part: r.part(w), Amount: r.amount(w.Amount, w.Currency), NotAfter: clock.Micros(w.NotAfter),
		Print: r.ID(w.Fingerprint), Entry: r.entry(w.Day, nil, 0), Available: w.Available,
	}
	e.Entry.Holds = []ledger.HoldChange[id.ID]{e.hold(w.HeldOn)}
	e.Entry.Holds[0].Opened = w.Amount
	return e
}

func (r *reader) confirmed(body []byte) *confirmed {
	w := wire.Read(&r.Reader, body, &journalv1.Confirmed{})
	amount := r.amount(w.Amount, w.Currency)
	e := &confirmed{
		part: r.part(w), Capture: w.Capture, Amount: amount, Print: r.ID(w.Fingerprint),
		Entry: r.entry(w.Day, w.Legs, amount.Currency), Available: w.Available,
	}
	h := e.hold(w.HeldOn)
	h.Posted, h.Released = w.Amount, r.Number("an amount", w.Released, 0, money.MaxStored)
	e.Entry.Holds = []ledger.HoldChange[id.ID]{h}
	return e
}

func (r *reader) cancelled(body []byte) *cancelled {
	w := wire.Read(&r.Reader, body, &journalv1.Cancelled{})
	e := &cancelled{part: r.part(w), NotAfter: clock.Micros(w.NotAfter), Entry: r.entry(w.Day, nil, 0), Available: w.Available}
	if w.Released != 0 {
		e.Currency = r.currency(w.Currency)
		e.Entry.Holds = []ledger.HoldChange[id.ID]{e.hold(w.HeldOn)}
		e.Entry.Holds[0].Released = r.Number("an amount", w.Released, 1, money.MaxStored)
	}
	return e
}

func (r *reader) added(body []byte) *added {
	w := wire.Read(&r.Reader, body, &journalv1.Added{})
	amount := r.amount(w.Amount, w.Currency)
	e := &added{
		part: r.part(w), Amount: amount, Print: r.ID(w.Fingerprint), Entry: r.entry(w.Day, w.Legs, amount.Currency),
		Available: w.Available, Refusal: branch.Refusal{Code: w.Code, Message: w.Message},
	}
	if len(w.Origin) > 0 {
		e.Origin = r.ID(w.Origin)
	}
	return e
}

// hold returns a change of the branch's hold that says nothing yet.
func (p *part) hold(heldOn int32) ledger.HoldChange[id.ID] {
	return ledger.HoldChange[id.ID]{Hold: p.Branch, Account: p.Account, Side: ledger.Debit, HeldOn: ledger.Day(heldOn)}
}

// reader turns messages into events. It refuses every word that this version has no rule for.
type reader struct{ wire.Reader }

func (r *reader) currency(n uint32) money.Currency {
	c, err := money.CurrencyByNumeric(int(n))
	if err != nil {
		r.Fail("%w", err)
	}
	return c
}

func (r *reader) status(s journalv1.Status) ledger.Status {
	return wire.Word(&r.Reader, "status", s, ledger.Open, ledger.Closed)
}

func (r *reader) amount(minor int64, currency uint32) money.Amount {
	return money.Of(r.Number("an amount", minor, 1, money.MaxStored), r.currency(currency))
}

func (r *reader) entry(day int32, legs []*journalv1.Leg, c money.Currency) entry {
	e := entry{Day: ledger.Day(day)}
	for _, w := range legs {
		side := ledger.Debit
		if w.Credit {
			side = ledger.Credit
		}
		e.Legs = append(e.Legs, ledger.Leg[id.ID]{Account: r.ID(w.Account), Side: side, Amount: money.Of(r.Number("a leg", w.Amount, 1, money.MaxStored), c)})
	}
	return e
}

// branchMessage is what the messages about a branch have in common.
type branchMessage interface {
	GetTenant() uint32
	GetBranch() []byte
	GetAccount() []byte
	GetPurpose() journalv1.Purpose
	GetEffectiveAt() int64
}

func (r *reader) part(w branchMessage) part {
	purpose := wire.Word(&r.Reader, "purpose", w.GetPurpose(), 0, tcc.Credit) // none in a tombstone
	return part{
		id.Tenant(w.GetTenant()), r.ID(w.GetBranch()), r.ID(w.GetAccount()), purpose,
		clock.Micros(w.GetEffectiveAt()),
	}
}
