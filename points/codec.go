package points

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	pointsjournalv1 "github.com/koban-pay/koban/gen/koban/points/journal/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/wire"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

// The numbers of the events' types. They are for ever (rule B15).
const (
	typeOpened       = 16
	typeGranted      = 17
	typeGrantRefused = 18
	typeStatusSet    = 19
	typeExpired      = 20
	typeTried        = 21
	typeRefused      = 22
	typeConfirmed    = 23
	typeCancelled    = 24
	typeAdded        = 25
)

// Encode implements book.Machine.
func (m *Machine) Encode(ev any) (typ uint32, body []byte) {
	switch e := ev.(type) { // what every payment writes
	case *tried:
		return typeTried, e.encode()
	case *confirmed:
		return typeConfirmed, e.encode()
	}
	typ, msg := message(ev)
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(msg)
	if err != nil {
		panic("points: encode: " + err.Error()) // only text that is not UTF-8 could do that
	}
	return typ, body
}

func message(ev any) (uint32, proto.Message) {
	switch e := ev.(type) {
	case *opened:
		return typeOpened, &pointsjournalv1.Opened{Tenant: uint32(e.Tenant), Account: e.Account[:], Owner: e.Owner[:]}
	case *granted:
		return typeGranted, &pointsjournalv1.Granted{
			Tenant: uint32(e.Tenant), Grant: e.ID[:], Account: e.Account[:], Key: e.Key[:], Fingerprint: e.Fingerprint[:], Lot: partOut(e.Lot),
			Day: int32(e.Day), EffectiveAt: int64(e.EffectiveAt), Owner: e.Owner[:], Posted: e.Posted, Held: e.Held,
		}
	case *grantRefused:
		return typeGrantRefused, &pointsjournalv1.GrantRefused{
			Tenant: uint32(e.Tenant), Grant: e.ID[:], Account: e.Account[:], Key: e.Key[:], Fingerprint: e.Fingerprint[:], Amount: e.Amount,
			Refusal: refusalOut(e.Refusal),
		}
	case *statusSet:
		return typeStatusSet, &pointsjournalv1.StatusSet{Tenant: uint32(e.Tenant), Account: e.Account[:], Status: uint32(e.Status)}
	case *expired:
		return typeExpired, &pointsjournalv1.Expired{
			Tenant: uint32(e.Tenant), Account: e.Account[:], Lots: each(e.Lots, partOut), Day: int32(e.Day), Owner: e.Owner[:],
			Posted: e.Posted, Held: e.Held,
		}
	default:
		return branchMessage(ev)
	}
}

func branchMessage(ev any) (uint32, proto.Message) {
	switch e := ev.(type) {
	case *refused:
		return typeRefused, &pointsjournalv1.Refused{
			Tenant: uint32(e.Tenant), Branch: e.Branch[:], Account: e.Account[:], Print: e.Print[:], Refusal: refusalOut(e.Refusal),
		}
	case *cancelled:
		return typeCancelled, &pointsjournalv1.Cancelled{
			Tenant: uint32(e.Tenant), Branch: e.Branch[:], Account: e.Account[:], Back: each(e.Back, backOut), Day: int32(e.Day),
			NotAfter: int64(e.NotAfter), EffectiveAt: int64(e.EffectiveAt),
		}
	case *added:
		msg := &pointsjournalv1.Added{
			Tenant: uint32(e.Tenant), Branch: e.Branch[:], Account: e.Account[:], Print: e.Print[:], Amount: e.Amount,
			Purpose: uint32(e.Purpose), From: each(e.From, shareOut), Back: each(e.Back, backOut), Suspense: e.Suspense,
			Day: int32(e.Day), EffectiveAt: int64(e.EffectiveAt),
		}
		if !e.Origin.IsNil() {
			msg.Origin = e.Origin[:]
		}
		if e.Lot.Amount > 0 {
			msg.Lot = partOut(e.Lot)
		}
		return typeAdded, msg
	}
	panic(fmt.Sprintf("points: there is no event %T", ev))
}

func each[A, B any](list []A, f func(A) B) []B {
	if len(list) == 0 {
		return nil
	}
	out := make([]B, len(list))
	for i, x := range list {
		out[i] = f(x)
	}
	return out
}

func partOut(p Part) *pointsjournalv1.Part {
	return &pointsjournalv1.Part{Lot: p.Lot, Class: pointsjournalv1.Class(p.Class), ExpiresAt: int64(p.ExpiresAt), Amount: p.Amount}
}

func backOut(b Back) *pointsjournalv1.Back {
	return &pointsjournalv1.Back{
		From: b.From, To: b.To, Class: pointsjournalv1.Class(b.Class), ExpiresAt: int64(b.ExpiresAt), Amount: b.Amount,
	}
}

func shareOut(s share) *pointsjournalv1.Share {
	return &pointsjournalv1.Share{Kind: uint32(s.Kind), Amount: s.Amount}
}

func refusalOut(r branch.Refusal) *pointsjournalv1.Refusal {
	return &pointsjournalv1.Refusal{Code: r.Code, Message: r.Message, Param: r.Param}
}

// Decode implements book.Machine.
func (m *Machine) Decode(typ uint32, body []byte) (any, error) {
	var r reader
	var ev any
	switch typ {
	case typeOpened:
		msg := wire.Read(&r.Reader, body, &pointsjournalv1.Opened{})
		ev = &opened{Tenant: id.Tenant(msg.Tenant), Account: r.ID(msg.Account), Owner: r.ID(msg.Owner)}
	case typeGranted:
		msg := wire.Read(&r.Reader, body, &pointsjournalv1.Granted{})
		ev = &granted{
			Tenant: id.Tenant(msg.Tenant), ID: r.ID(msg.Grant), Account: r.ID(msg.Account), Key: r.ID(msg.Key),
			Fingerprint: r.ID(msg.Fingerprint), Lot: r.part(msg.Lot), Day: ledger.Day(msg.Day), EffectiveAt: clock.Micros(msg.EffectiveAt),
			Owner: r.ID(msg.Owner), Posted: r.sum(msg.Posted), Held: r.sum(msg.Held),
		}
	case typeGrantRefused:
		msg := wire.Read(&r.Reader, body, &pointsjournalv1.GrantRefused{})
		ev = &grantRefused{
			Tenant: id.Tenant(msg.Tenant), ID: r.ID(msg.Grant), Account: r.ID(msg.Account), Key: r.ID(msg.Key),
			Fingerprint: r.ID(msg.Fingerprint), Amount: r.amount(msg.Amount), Refusal: refusalIn(msg.Refusal),
		}
	case typeStatusSet:
		msg := wire.Read(&r.Reader, body, &pointsjournalv1.StatusSet{})
		ev = &statusSet{Tenant: id.Tenant(msg.Tenant), Account: r.ID(msg.Account), Status: wire.Word(&r.Reader, "status", msg.Status, ledger.Open, ledger.Closed)}
	case typeExpired:
		msg := wire.Read(&r.Reader, body, &pointsjournalv1.Expired{})
		ev = &expired{
			Tenant: id.Tenant(msg.Tenant), Account: r.ID(msg.Account), Lots: each(msg.Lots, r.part), Day: ledger.Day(msg.Day),
			Owner: r.ID(msg.Owner), Posted: r.sum(msg.Posted), Held: r.sum(msg.Held),
		}
	default:
		ev = r.branchEvent(typ, body)
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("points: event of type %d: %w", typ, err)
	}
	return ev, nil
}

func (r *reader) branchEvent(typ uint32, body []byte) any {
	switch typ {
	case typeTried:
		msg := wire.Read(&r.Reader, body, &pointsjournalv1.Tried{})
		return &tried{
			branchOf: r.branch(msg), Print: r.ID(msg.Print), Amount: r.amount(msg.Amount), Lots: each(msg.Lots, r.part), Day: ledger.Day(msg.Day),
			NotAfter: clock.Micros(msg.NotAfter), EffectiveAt: clock.Micros(msg.EffectiveAt),
		}
	case typeRefused:
		msg := wire.Read(&r.Reader, body, &pointsjournalv1.Refused{})
		return &refused{branchOf: r.branch(msg), Print: r.ID(msg.Print), Refusal: refusalIn(msg.Refusal)}
	case typeConfirmed:
		msg := wire.Read(&r.Reader, body, &pointsjournalv1.Confirmed{})
		return &confirmed{
			branchOf: r.branch(msg), Print: r.ID(msg.Print), Capture: msg.Capture, Final: msg.Final, Taken: each(msg.Taken, r.part),
			To: each(msg.To, r.share), Back: each(msg.Back, r.back), Day: ledger.Day(msg.Day), EffectiveAt: clock.Micros(msg.EffectiveAt),
		}
	case typeCancelled:
		msg := wire.Read(&r.Reader, body, &pointsjournalv1.Cancelled{})
		return &cancelled{
			branchOf: r.branch(msg), Back: each(msg.Back, r.back), Day: ledger.Day(msg.Day), NotAfter: clock.Micros(msg.NotAfter),
			EffectiveAt: clock.Micros(msg.EffectiveAt),
		}
	case typeAdded:
		msg := wire.Read(&r.Reader, body, &pointsjournalv1.Added{})
		ev := &added{
			branchOf: r.branch(msg), Print: r.ID(msg.Print), Amount: r.amount(msg.Amount), Purpose: wire.Word(&r.Reader, "purpose", msg.Purpose, tcc.Charge, tcc.Credit),
			From: each(msg.From, r.share), Back: each(msg.Back, r.back), Suspense: msg.Suspense, Day: ledger.Day(msg.Day),
			EffectiveAt: clock.Micros(msg.EffectiveAt),
		}
		if len(msg.Origin) > 0 {
			ev.Origin = r.ID(msg.Origin)
		}
		if msg.Lot != nil {
			ev.Lot = r.part(msg.Lot)
		}
		return ev
	}
	r.Fail("this version does not know the type")
	return nil
}

// reader turns messages into events. It refuses every word that this version has no rule for.
type reader struct{ wire.Reader }

func (r *reader) branch(msg interface {
	GetTenant() uint32
	GetBranch() []byte
	GetAccount() []byte
},
) branchOf {
	return branchOf{Tenant: id.Tenant(msg.GetTenant()), Branch: r.ID(msg.GetBranch()), Account: r.ID(msg.GetAccount())}
}

func (r *reader) part(p *pointsjournalv1.Part) Part {
	if p == nil {
		r.Fail("a lot is missing")
		return Part{}
	}
	return Part{Lot: r.lot(p.Lot), Class: wire.Word(&r.Reader, "class", p.Class, Free, Paid), ExpiresAt: r.time(p.ExpiresAt), Amount: r.amount(p.Amount)}
}

func (r *reader) back(b *pointsjournalv1.Back) Back {
	to := r.Number("a lot", b.To, 0, math.MaxInt64)
	return Back{
		From: r.lot(b.From), To: to, Class: wire.Word(&r.Reader, "class", b.Class, Free, Paid), ExpiresAt: r.time(b.ExpiresAt),
		Amount: r.amount(b.Amount),
	}
}

func (r *reader) share(s *pointsjournalv1.Share) share {
	return share{Kind: wire.Word(&r.Reader, "account", s.Kind, Redeemed, Suspense), Amount: r.amount(s.Amount)}
}

// lot reads the number of a lot: they count from 1.
func (r *reader) lot(n int64) int64 { return r.Number("a lot", n, 1, math.MaxInt64) }

// amount reads points that move: more than none.
func (r *reader) amount(n int64) int64 { return r.Number("an amount", n, 1, money.MaxStored) }

// sum reads what stands somewhere: it may be nothing.
func (r *reader) sum(n int64) int64 { return r.Number("an amount", n, 0, money.MaxStored) }

func (r *reader) time(n int64) clock.Micros {
	return clock.Micros(r.Number("a time", n, 0, math.MaxInt64))
}

func refusalIn(r *pointsjournalv1.Refusal) branch.Refusal {
	return branch.Refusal{Code: r.GetCode(), Message: r.GetMessage(), Param: r.GetParam()}
}
