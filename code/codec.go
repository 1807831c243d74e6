package code

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	codejournalv1 "github.com/koban-pay/koban/gen/koban/code/journal/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/wire"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc/branch"
)

// The numbers of the events' types. They are for ever (rule B15).
const (
	typeShopRegistered = 16
	typeSessionOpened  = 17
	typeSessionExpired = 18
	typeTried          = 19
	typeRefused        = 20
	typeConfirmed      = 21
	typeCancelled      = 22
)

// Encode implements book.Machine.
func (m *Machine) Encode(ev any) (typ uint32, body []byte) {
	typ, msg := message(ev)
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(msg)
	if err != nil {
		panic("code: encode: " + err.Error()) // only text that is not UTF-8 could do that
	}
	return typ, body
}

func message(ev any) (uint32, proto.Message) {
	switch e := ev.(type) {
	case *shopRegistered:
		return typeShopRegistered, &codejournalv1.ShopRegistered{
			Tenant: uint32(e.Tenant), Merchant: e.Merchant[:], Number: e.Number, Key: e.Key[:], Fingerprint: e.Fingerprint[:], Note: e.Note,
		}
	case *sessionOpened:
		return typeSessionOpened, &codejournalv1.SessionOpened{
			Tenant: uint32(e.Tenant), Session: e.Session[:], Customer: e.Customer[:], Merchant: e.Merchant[:], Currency: uint32(e.Currency),
			Amount: e.Minor, ExpiresAt: int64(e.ExpiresAt), Key: e.Key[:], Fingerprint: e.Fingerprint[:], Noted: e.Noted,
		}
	case *sessionExpired:
		return typeSessionExpired, &codejournalv1.SessionExpired{
			Tenant: uint32(e.Tenant), Session: e.Session[:], Customer: e.Customer[:], Merchant: e.Merchant[:], Currency: uint32(e.Currency),
			Amount: e.Minor, ExpiresAt: int64(e.ExpiresAt),
		}
	case *tried:
		return typeTried, &codejournalv1.Tried{
			Tenant: uint32(e.Tenant), Branch: e.Branch[:], Session: e.Session[:], Print: e.Print[:],
			Amount:   &codejournalv1.Money{Minor: e.Amount.Minor, Currency: uint32(e.Amount.Currency)},
			NotAfter: int64(e.NotAfter), EffectiveAt: int64(e.EffectiveAt),
		}
	case *refused:
		return typeRefused, &codejournalv1.Refused{
			Tenant: uint32(e.Tenant), Branch: e.Branch[:], Session: e.Session[:], Print: e.Print[:],
			Refusal: &codejournalv1.Refusal{Code: e.Refusal.Code, Message: e.Refusal.Message, Param: e.Refusal.Param},
		}
	case *confirmed:
		return typeConfirmed, &codejournalv1.Confirmed{
			Tenant: uint32(e.Tenant), Branch: e.Branch[:], Session: e.Session[:], Print: e.Print[:], Capture: e.Capture,
			EffectiveAt: int64(e.EffectiveAt), Customer: e.Customer[:], Merchant: e.Merchant[:], Currency: uint32(e.Currency), Amount: e.Minor,
			ExpiresAt: int64(e.ExpiresAt),
		}
	case *cancelled:
		return typeCancelled, &codejournalv1.Cancelled{
			Tenant: uint32(e.Tenant), Branch: e.Branch[:], Session: e.Session[:], Released: e.Released, ExpiresAt: int64(e.ExpiresAt),
			NotAfter: int64(e.NotAfter), EffectiveAt: int64(e.EffectiveAt),
		}
	}
	panic(fmt.Sprintf("code: there is no event %T", ev))
}

// Decode implements book.Machine.
func (m *Machine) Decode(typ uint32, body []byte) (any, error) {
	var r reader
	ev := r.event(typ, body)
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("code: event of type %d: %w", typ, err)
	}
	return ev, nil
}

// reader turns messages into events. It refuses every word that this version has no rule for.
type reader struct{ wire.Reader }

func (r *reader) event(typ uint32, body []byte) any {
	switch typ {
	case typeShopRegistered:
		msg := wire.Read(&r.Reader, body, &codejournalv1.ShopRegistered{})
		return &shopRegistered{
			Tenant: id.Tenant(msg.Tenant), Merchant: r.ID(msg.Merchant), Number: msg.Number, Key: r.ID(msg.Key),
			Fingerprint: r.ID(msg.Fingerprint), Note: msg.Note,
		}
	case typeSessionOpened:
		msg := wire.Read(&r.Reader, body, &codejournalv1.SessionOpened{})
		return &sessionOpened{
			Tenant: id.Tenant(msg.Tenant), Session: r.ID(msg.Session), Customer: r.ID(msg.Customer), Merchant: r.ID(msg.Merchant),
			Currency: r.currency(msg.Currency), Minor: r.minor(msg.Amount), ExpiresAt: clock.Micros(msg.ExpiresAt), Key: r.ID(msg.Key),
			Fingerprint: r.ID(msg.Fingerprint), Noted: msg.Noted,
		}
	case typeSessionExpired:
		msg := wire.Read(&r.Reader, body, &codejournalv1.SessionExpired{})
		return &sessionExpired{
			Tenant: id.Tenant(msg.Tenant), Session: r.ID(msg.Session), Customer: r.ID(msg.Customer), Merchant: r.ID(msg.Merchant),
			Currency: r.currency(msg.Currency), Minor: r.minor(msg.Amount), ExpiresAt: clock.Micros(msg.ExpiresAt),
		}
	case typeTried:
		msg := wire.Read(&r.Reader, body, &codejournalv1.Tried{})
		return &tried{
			branchOf: r.branch(msg), Print: r.ID(msg.Print),
			Amount:   money.Of(r.minor(msg.Amount.GetMinor()), r.currency(msg.Amount.GetCurrency())),
			NotAfter: clock.Micros(msg.NotAfter), EffectiveAt: clock.Micros(msg.EffectiveAt),
		}
	case typeRefused:
		msg := wire.Read(&r.Reader, body, &codejournalv1.Refused{})
		return &refused{
			branchOf: r.branch(msg), Print: r.ID(msg.Print),
			Refusal: branch.Refusal{Code: msg.Refusal.GetCode(), Message: msg.Refusal.GetMessage(), Param: msg.Refusal.GetParam()},
		}
	case typeConfirmed:
		msg := wire.Read(&r.Reader, body, &codejournalv1.Confirmed{})
		return &confirmed{
			branchOf: r.branch(msg), Print: r.ID(msg.Print), Capture: msg.Capture, Customer: r.ID(msg.Customer), Merchant: r.ID(msg.Merchant),
			Currency: r.currency(msg.Currency), Minor: r.minor(msg.Amount), ExpiresAt: clock.Micros(msg.ExpiresAt),
			EffectiveAt: clock.Micros(msg.EffectiveAt),
		}
	case typeCancelled:
		msg := wire.Read(&r.Reader, body, &codejournalv1.Cancelled{})
		return &cancelled{
			branchOf: r.branch(msg), Released: msg.Released, ExpiresAt: clock.Micros(msg.ExpiresAt), NotAfter: clock.Micros(msg.NotAfter),
			EffectiveAt: clock.Micros(msg.EffectiveAt),
		}
	}
	r.Fail("this version does not know the type")
	return nil
}

// minor reads the amount that a code carries, 0 for none.
func (r *reader) minor(n int64) int64 { return r.Number("an amount", n, 0, money.MaxStored) }

func (r *reader) currency(n uint32) money.Currency {
	c, err := money.CurrencyByNumeric(int(n))
	if err != nil {
		r.Fail("%w", err)
	}
	return c
}

func (r *reader) branch(msg interface {
	GetTenant() uint32
	GetBranch() []byte
	GetSession() []byte
},
) branchOf {
	return branchOf{Tenant: id.Tenant(msg.GetTenant()), Branch: r.ID(msg.GetBranch()), Session: r.ID(msg.GetSession())}
}
