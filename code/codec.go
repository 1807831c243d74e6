package code

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	codejournalv1 "github.com/koban-pay/koban/gen/koban/code/journal/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
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
	if r.err != nil {
		return nil, fmt.Errorf("code: event of type %d: %w", typ, r.err)
	}
	return ev, nil
}

// reader collects the first thing that is wrong with an event.
type reader struct{ err error }

func (r *reader) event(typ uint32, body []byte) any {
	switch typ {
	case typeShopRegistered:
		msg := read(r, body, &codejournalv1.ShopRegistered{})
		return &shopRegistered{
			Tenant: id.Tenant(msg.Tenant), Merchant: r.id(msg.Merchant), Number: msg.Number, Key: r.id(msg.Key),
			Fingerprint: r.id(msg.Fingerprint), Note: msg.Note,
		}
	case typeSessionOpened:
		msg := read(r, body, &codejournalv1.SessionOpened{})
		return &sessionOpened{
			Tenant: id.Tenant(msg.Tenant), Session: r.id(msg.Session), Customer: r.id(msg.Customer), Merchant: r.id(msg.Merchant),
			Currency: money.Currency(msg.Currency), Minor: msg.Amount, ExpiresAt: clock.Micros(msg.ExpiresAt), Key: r.id(msg.Key),
			Fingerprint: r.id(msg.Fingerprint), Noted: msg.Noted,
		}
	case typeSessionExpired:
		msg := read(r, body, &codejournalv1.SessionExpired{})
		return &sessionExpired{
			Tenant: id.Tenant(msg.Tenant), Session: r.id(msg.Session), Customer: r.id(msg.Customer), Merchant: r.id(msg.Merchant),
			Currency: money.Currency(msg.Currency), Minor: msg.Amount, ExpiresAt: clock.Micros(msg.ExpiresAt),
		}
	case typeTried:
		msg := read(r, body, &codejournalv1.Tried{})
		return &tried{
			branchOf: r.branch(msg), Print: r.id(msg.Print),
			Amount:   money.Amount{Minor: msg.Amount.GetMinor(), Currency: money.Currency(msg.Amount.GetCurrency())},
			NotAfter: clock.Micros(msg.NotAfter), EffectiveAt: clock.Micros(msg.EffectiveAt),
		}
	case typeRefused:
		msg := read(r, body, &codejournalv1.Refused{})
		return &refused{
			branchOf: r.branch(msg), Print: r.id(msg.Print),
			Refusal: Refusal{Code: msg.Refusal.GetCode(), Message: msg.Refusal.GetMessage(), Param: msg.Refusal.GetParam()},
		}
	case typeConfirmed:
		msg := read(r, body, &codejournalv1.Confirmed{})
		return &confirmed{
			branchOf: r.branch(msg), Print: r.id(msg.Print), Capture: msg.Capture, Customer: r.id(msg.Customer), Merchant: r.id(msg.Merchant),
			Currency: money.Currency(msg.Currency), Minor: msg.Amount, ExpiresAt: clock.Micros(msg.ExpiresAt),
			EffectiveAt: clock.Micros(msg.EffectiveAt),
		}
	case typeCancelled:
		msg := read(r, body, &codejournalv1.Cancelled{})
		return &cancelled{
			branchOf: r.branch(msg), Released: msg.Released, ExpiresAt: clock.Micros(msg.ExpiresAt), NotAfter: clock.Micros(msg.NotAfter),
			EffectiveAt: clock.Micros(msg.EffectiveAt),
		}
	}
	r.fail(errors.New("this version does not know it"))
	return nil
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// read decodes a message. A field that this version does not know could be an outcome: the event is refused (rule B4).
func read[M proto.Message](r *reader, body []byte, msg M) M {
	if err := proto.Unmarshal(body, msg); err != nil {
		r.fail(err)
	} else if unknown(msg.ProtoReflect()) {
		r.fail(errors.New("it has a field that this version does not know"))
	}
	return msg
}

func unknown(m protoreflect.Message) bool {
	found := len(m.GetUnknown()) > 0
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				found = found || unknown(v.List().Get(i).Message())
			}
		default:
			found = found || unknown(v.Message())
		}
		return !found
	})
	return found
}

func (r *reader) id(b []byte) (x [16]byte) {
	if len(b) != len(x) {
		r.fail(fmt.Errorf("an id of %d bytes", len(b)))
	}
	copy(x[:], b)
	return x
}

func (r *reader) branch(msg interface {
	GetTenant() uint32
	GetBranch() []byte
	GetSession() []byte
},
) branchOf {
	return branchOf{Tenant: id.Tenant(msg.GetTenant()), Branch: r.id(msg.GetBranch()), Session: r.id(msg.GetSession())}
}
