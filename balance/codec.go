package balance

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	journalv1 "github.com/koban-pay/koban/gen/koban/balance/journal/v1"
	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
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
		w := &journalv1.AccountOpened{Tenant: uint32(e.Tenant), Account: e.Account[:], Currency: uint32(e.Terms.Currency),
			Amount: e.Opening, EffectiveAt: int64(e.EffectiveAt), Day: int32(e.Entry.Day), Legs: legsOut(&e.Entry), Cap: e.Terms.Cap,
			LimitDayIn: e.Terms.Limits.DayIn, LimitDayOut: e.Terms.Limits.DayOut,
			LimitMonthIn: e.Terms.Limits.MonthIn, LimitMonthOut: e.Terms.Limits.MonthOut}
		if !e.Key.IsNil() {
			w.Key, w.Fingerprint = e.Key[:], e.Print[:]
		}
		return typeAccountOpened, w
	case *statusChanged:
		return typeStatusChanged, &journalv1.StatusChanged{Tenant: uint32(e.Tenant), Account: e.Account[:],
			Currency: uint32(e.Currency), Status: journalv1.Status(e.Status), Posted: e.Posted, Available: e.Available}
	case *credited:
		return typeCredited, &journalv1.Credited{Tenant: uint32(e.Tenant), Credit: e.ID[:], Account: e.Account[:],
			Currency: uint32(e.Amount.Currency), Amount: e.Amount.Minor, EffectiveAt: int64(e.EffectiveAt),
			Status: journalv1.Status(e.Status), Day: int32(e.Entry.Day), Fingerprint: e.Print[:], Available: e.Available,
			Legs: legsOut(&e.Entry), Key: e.Key[:], Posted: e.Posted}
	case *creditRefused:
		return typeCreditRefused, &journalv1.CreditRefused{Tenant: uint32(e.Tenant), Credit: e.ID[:], Account: e.Account[:],
			Currency: uint32(e.Amount.Currency), Amount: e.Amount.Minor, EffectiveAt: int64(e.EffectiveAt),
			Fingerprint: e.Print[:], Code: e.Code, Message: e.Message, Key: e.Key[:]}
	case *tryRefused:
		return typeTryRefused, &journalv1.TryRefused{Tenant: uint32(e.Tenant), Branch: e.Branch[:], Account: e.Account[:],
			Currency: uint32(e.Amount.Currency), Amount: e.Amount.Minor, Purpose: journalv1.Purpose(e.Purpose),
			EffectiveAt: int64(e.EffectiveAt), Fingerprint: e.Print[:], Code: e.Code, Message: e.Message, NotAfter: int64(e.NotAfter)}
	case *cancelled:
		w := &journalv1.Cancelled{Tenant: uint32(e.Tenant), Branch: e.Branch[:], Account: e.Account[:], Currency: uint32(e.Currency),
			Purpose: journalv1.Purpose(e.Purpose), EffectiveAt: int64(e.EffectiveAt), Day: int32(e.Entry.Day), Available: e.Available,
			NotAfter: int64(e.NotAfter)}
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
	if r.err != nil {
		return nil, fmt.Errorf("balance: event of type %d: %w", typ, r.err)
	}
	return ev, nil
}

func (r *reader) event(typ uint32, body []byte) any {
	switch typ {
	case typeAccountOpened:
		return r.accountOpened(body)
	case typeStatusChanged:
		var w journalv1.StatusChanged
		r.unmarshal(body, &w)
		return &statusChanged{Tenant: id.Tenant(w.Tenant), Account: r.id(w.Account), Currency: r.currency(w.Currency),
			Status: r.status(w.Status), Posted: w.Posted, Available: w.Available}
	case typeCredited:
		var w journalv1.Credited
		r.unmarshal(body, &w)
		amount := r.amount(w.Amount, w.Currency)
		return &credited{Tenant: id.Tenant(w.Tenant), ID: r.id(w.Credit), Account: r.id(w.Account), Amount: amount,
			EffectiveAt: clock.Micros(w.EffectiveAt), Key: r.id(w.Key), Print: r.print(w.Fingerprint),
			Entry: r.entry(w.Day, w.Legs, amount.Currency), Status: r.status(w.Status), Posted: w.Posted, Available: w.Available}
	case typeCreditRefused:
		var w journalv1.CreditRefused
		r.unmarshal(body, &w)
		return &creditRefused{Tenant: id.Tenant(w.Tenant), ID: r.id(w.Credit), Account: r.id(w.Account),
			Amount: r.amount(w.Amount, w.Currency), EffectiveAt: clock.Micros(w.EffectiveAt), Key: r.id(w.Key),
			Print: r.print(w.Fingerprint), Code: w.Code, Message: w.Message}
	case typeTryHeld:
		return r.tryHeld(body)
	case typeTryRefused:
		var w journalv1.TryRefused
		r.unmarshal(body, &w)
		return &tryRefused{part: r.part(&w), Amount: r.amount(w.Amount, w.Currency), NotAfter: clock.Micros(w.NotAfter),
			Print: r.print(w.Fingerprint), Code: w.Code, Message: w.Message}
	case typeConfirmed:
		return r.confirmed(body)
	case typeCancelled:
		return r.cancelled(body)
	case typeAdded:
		return r.added(body)
	}
	r.fail("this version does not know the type")
	return nil
}

func (r *reader) accountOpened(body []byte) *accountOpened {
	var w journalv1.AccountOpened
	r.unmarshal(body, &w)
	e := &accountOpened{Tenant: id.Tenant(w.Tenant), Account: r.id(w.Account), Opening: w.Amount, EffectiveAt: clock.Micros(w.EffectiveAt),
		Terms: Terms{Currency: r.currency(w.Currency), Cap: w.Cap, Limits: ledger.Limits{DayIn: w.LimitDayIn, DayOut: w.LimitDayOut,
			MonthIn: w.LimitMonthIn, MonthOut: w.LimitMonthOut}}}
	if len(w.Key) > 0 {
		e.Key, e.Print = r.id(w.Key), r.print(w.Fingerprint)
	}
	e.Entry = r.entry(w.Day, w.Legs, e.Terms.Currency)
	return e
}

func (r *reader) tryHeld(body []byte) *tryHeld {
	var w journalv1.Held
	r.unmarshal(body, &w)
	e := &tryHeld{part: r.part(&w), Amount: r.amount(w.Amount, w.Currency), NotAfter: clock.Micros(w.NotAfter),
		Print: r.print(w.Fingerprint), Entry: r.entry(w.Day, nil, 0), Available: w.Available}
	e.Entry.Holds = []ledger.HoldChange[id.ID]{e.hold(w.HeldOn)}
	e.Entry.Holds[0].Opened = w.Amount
	return e
}

func (r *reader) confirmed(body []byte) *confirmed {
	var w journalv1.Confirmed
	r.unmarshal(body, &w)
	amount := r.amount(w.Amount, w.Currency)
	e := &confirmed{part: r.part(&w), Capture: w.Capture, Amount: amount, Print: r.print(w.Fingerprint),
		Entry: r.entry(w.Day, w.Legs, amount.Currency), Available: w.Available}
	h := e.hold(w.HeldOn)
	h.Posted, h.Released = w.Amount, w.Released
	e.Entry.Holds = []ledger.HoldChange[id.ID]{h}
	return e
}

func (r *reader) cancelled(body []byte) *cancelled {
	var w journalv1.Cancelled
	r.unmarshal(body, &w)
	e := &cancelled{part: r.part(&w), NotAfter: clock.Micros(w.NotAfter), Entry: r.entry(w.Day, nil, 0), Available: w.Available}
	if w.Released != 0 {
		e.Currency = r.currency(w.Currency)
		e.Entry.Holds = []ledger.HoldChange[id.ID]{e.hold(w.HeldOn)}
		e.Entry.Holds[0].Released = w.Released
	}
	return e
}

func (r *reader) added(body []byte) *added {
	var w journalv1.Added
	r.unmarshal(body, &w)
	amount := r.amount(w.Amount, w.Currency)
	e := &added{part: r.part(&w), Amount: amount, Print: r.print(w.Fingerprint), Entry: r.entry(w.Day, w.Legs, amount.Currency),
		Available: w.Available, Code: w.Code, Message: w.Message}
	if len(w.Origin) > 0 {
		e.Origin = r.id(w.Origin)
	}
	return e
}

// hold returns a change of the branch's hold that says nothing yet.
func (p *part) hold(heldOn int32) ledger.HoldChange[id.ID] {
	return ledger.HoldChange[id.ID]{Hold: p.Branch, Account: p.Account, Side: ledger.Debit, HeldOn: ledger.Day(heldOn)}
}

// reader turns messages into events and remembers what was wrong first.
type reader struct{ err error }

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// unmarshal refuses what it does not know: a field that a newer version added may change what the event means.
func (r *reader) unmarshal(body []byte, w proto.Message) {
	if err := proto.Unmarshal(body, w); err != nil {
		r.fail("broken body: %w", err)
	} else if len(w.ProtoReflect().GetUnknown()) > 0 {
		r.fail("fields that this version does not know")
	}
}

func (r *reader) id(b []byte) (x id.ID) {
	if len(b) != len(x) {
		r.fail("an id of %d bytes", len(b))
		return x
	}
	return id.ID(b)
}

func (r *reader) print(b []byte) (p Print) {
	if len(b) != len(p) {
		r.fail("a fingerprint of %d bytes", len(b))
		return p
	}
	return Print(b)
}

func (r *reader) currency(n uint32) money.Currency {
	c, err := money.CurrencyByNumeric(int(n))
	if err != nil {
		r.fail("%w", err)
	}
	return c
}

func (r *reader) status(s journalv1.Status) ledger.Status {
	if s < 0 || s > journalv1.Status(ledger.Closed) {
		r.fail("a status of %d", s)
	}
	return ledger.Status(s)
}

func (r *reader) amount(minor int64, currency uint32) money.Amount {
	if minor <= 0 || minor > money.MaxStored {
		r.fail("an amount of %d", minor)
	}
	return money.Of(minor, r.currency(currency))
}

func (r *reader) entry(day int32, legs []*journalv1.Leg, c money.Currency) entry {
	e := entry{Day: ledger.Day(day)}
	for _, w := range legs {
		if len(w.ProtoReflect().GetUnknown()) > 0 {
			r.fail("a leg with fields that this version does not know")
		}
		side := ledger.Debit
		if w.Credit {
			side = ledger.Credit
		}
		e.Legs = append(e.Legs, ledger.Leg[id.ID]{Account: r.id(w.Account), Side: side, Amount: money.Of(w.Amount, c)})
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
	if p := w.GetPurpose(); p < 0 || p > math.MaxUint8 {
		r.fail("a purpose of %d", p)
	}
	return part{id.Tenant(w.GetTenant()), r.id(w.GetBranch()), r.id(w.GetAccount()), tcc.Purpose(w.GetPurpose()),
		clock.Micros(w.GetEffectiveAt())}
}
