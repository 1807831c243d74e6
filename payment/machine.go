package payment

import (
	"fmt"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
)

// Machine is the coordinator of one volume: it decides, and never calls anybody.
type Machine struct {
	volume     int
	volumes    int
	payments   *book.Rows[version]
	operations *book.Rows[Operation]
	keys       *book.Keys
	parts      []Part // room for a report to work out what a payment would become
	state      []byte // room for a row's state on its way to a snapshot
}

// NewMachine returns the machine of a volume.
func NewMachine(volume, volumes int) *Machine {
	m := &Machine{volume: volume, volumes: volumes, operations: book.NewRows(operationSchema), keys: book.NewKeys("payment_keys")}
	s := paymentSchema
	s.Args = m.paymentArgs
	m.payments = book.NewRows(s)
	return m
}

// foldVersion goes up when apply changes its meaning (rule B4).
const foldVersion = 1 + later

// Version implements book.Machine.
func (m *Machine) Version() uint32 { return foldVersion }

// Tables implements book.Machine.
func (m *Machine) Tables() []book.Table { return []book.Table{m.payments, m.operations, m.keys} }

// Caller is the idempotency of a command: a caller's key, as an HMAC in its scope, and the body it came with.
type Caller struct {
	Key         book.Key
	Fingerprint [16]byte
}

// Start accepts a charge. Payment carries everything but the parts, and its Sources are kept; Reply.New tells whether this
// command made it.
type Start struct {
	Caller
	Payment Payment
	Note    []byte // the caller's reference and metadata, nil if there are none
}

// StartRefund accepts a refund of a charge in the same book.
type StartRefund struct {
	Caller
	Tenant   id.Tenant
	ID       id.ID // of the refund, and of the operation if it is declined
	Parent   id.ID
	Amount   money.Amount // zero value: all that is left
	Merchant id.ID        // only a charge of this merchant, if not nil
	Marks    Marks
	Note     []byte // as Start's
}

// Operate captures or voids an authorized charge.
type Operate struct {
	Caller
	Tenant    id.Tenant
	Cause     Cause // ByCapture or ByVoid
	Operation id.ID
	Payment   id.ID
	Amount    money.Amount // of a capture; zero value: all
	Merchant  id.ID        // only a charge of this merchant, if not nil
}

// Report tells what participants answered.
type Report struct {
	Tenant  id.Tenant
	ID      id.ID
	Answers []Answer
}

// Defer gives the payment back to the queue (recovery layer 2). Jitter, 0 … 999, spreads what fell due together.
type Defer struct {
	Tenant id.Tenant
	ID     id.ID
	Code   fault.Code
	Jitter uint32
}

// Wake looks at a payment whose time has come, or that a recovery pass picked: it decides what time decides.
type Wake struct {
	Tenant id.Tenant
	ID     id.ID
}

// Get reads a payment.
type Get struct {
	Tenant id.Tenant
	ID     id.ID
}

// Known asks whether a caller's key is new (Reply.New); it changes nothing.
type Known struct{ Caller }

// Look reads a payment together with one of its operations.
type Look struct {
	Tenant    id.Tenant
	ID        id.ID
	Operation id.ID
}

// Reply is the answer to every command: the payment as it stands, and for operations the operation.
type Reply struct {
	Payment   *Payment
	Operation *Operation
	New       bool // this command made it; false: an earlier one with the same key did
}

// Touch implements book.Machine.
func (m *Machine) Touch(cmd any, t *book.Touch) {
	switch c := cmd.(type) {
	case Start:
		m.payments.Touch(t, book.Key{Tenant: c.Payment.Tenant, ID: c.Payment.ID})
		m.touchCaller(t, c.Caller)
	case StartRefund:
		m.payments.Touch(t, book.Key{Tenant: c.Tenant, ID: c.ID})
		m.payments.Touch(t, book.Key{Tenant: c.Tenant, ID: c.Parent})
		m.operations.Touch(t, book.Key{Tenant: c.Tenant, ID: c.ID})
		m.touchCaller(t, c.Caller)
	case Operate:
		m.payments.Touch(t, book.Key{Tenant: c.Tenant, ID: c.Payment})
		m.operations.Touch(t, book.Key{Tenant: c.Tenant, ID: c.Operation})
		m.touchCaller(t, c.Caller)
	case Report:
		m.touchFamily(t, c.Tenant, c.ID)
	case Defer:
		m.payments.Touch(t, book.Key{Tenant: c.Tenant, ID: c.ID})
	case Wake:
		m.touchFamily(t, c.Tenant, c.ID)
	case Get:
		m.payments.Touch(t, book.Key{Tenant: c.Tenant, ID: c.ID})
	case Known:
		m.keys.Touch(t, c.Key)
	case Look:
		m.payments.Touch(t, book.Key{Tenant: c.Tenant, ID: c.ID})
		if !c.Operation.IsNil() {
			m.operations.Touch(t, book.Key{Tenant: c.Tenant, ID: c.Operation})
		}
	default:
		panic(fmt.Sprintf("payment: unknown command %T", cmd))
	}
}

// touchCaller declares a key and whatever it stands for.
func (m *Machine) touchCaller(t *book.Touch, c Caller) {
	m.keys.Touch(t, c.Key)
	if e := m.keys.Peek(c.Key); e != nil {
		k := book.Key{Tenant: c.Key.Tenant, ID: e.Target}
		m.operations.Touch(t, k)
		m.payments.Touch(t, k)
		if o := m.operations.Peek(k); o != nil {
			m.payments.Touch(t, book.Key{Tenant: c.Key.Tenant, ID: o.Payment})
		}
	}
}

// touchFamily declares a payment, its operation and, of a refund, the charge that it gives back.
func (m *Machine) touchFamily(t *book.Touch, tenant id.Tenant, x id.ID) {
	k := book.Key{Tenant: tenant, ID: x}
	m.payments.Touch(t, k)
	if p := m.payments.Peek(k); p != nil {
		if !p.Parent.IsNil() {
			m.payments.Touch(t, book.Key{Tenant: tenant, ID: p.Parent})
		}
		if !p.Operation.IsNil() {
			m.operations.Touch(t, book.Key{Tenant: tenant, ID: p.Operation})
		}
	}
}

// Decide implements book.Machine.
func (m *Machine) Decide(now clock.Micros, cmd any, out *book.Decision) {
	switch c := cmd.(type) {
	case Start:
		m.start(now, c, out)
	case StartRefund:
		m.startRefund(now, c, out)
	case Operate:
		m.operate(now, c, out)
	case Report:
		m.report(now, c, out)
	case Defer:
		m.deferred(now, c, out)
	case Wake:
		m.wake(now, c, out)
	case Get:
		if p := m.payment(book.Key{Tenant: c.Tenant, ID: c.ID}); p != nil {
			out.Reply(Reply{Payment: p})
		} else {
			out.Refuse(fault.PaymentNotFound.New(""))
		}
	case Known:
		out.Reply(Reply{New: m.keys.Get(c.Key) == nil})
	case Look:
		m.look(c, out)
	default:
		panic(fmt.Sprintf("payment: unknown command %T", cmd))
	}
}

// payment returns a payment as it stands, nil if there is none.
func (m *Machine) payment(k book.Key) *Payment {
	if v := m.payments.Get(k); v != nil {
		return v.Payment
	}
	return nil
}

func (m *Machine) look(c Look, out *book.Decision) {
	p := m.payment(book.Key{Tenant: c.Tenant, ID: c.ID})
	if p == nil {
		out.Refuse(fault.PaymentNotFound.New(""))
		return
	}
	r := Reply{Payment: p}
	if !c.Operation.IsNil() {
		if o := m.operations.Get(book.Key{Tenant: c.Tenant, ID: c.Operation}); o != nil {
			done := *o
			r.Operation = &done
		}
	}
	out.Reply(r)
}

// Expire implements book.Machine.
func (m *Machine) Expire(t book.Table, k book.Key) any {
	if t != book.Table(m.payments) {
		return nil
	}
	return Wake{k.Tenant, k.ID}
}

// dueAt returns when a payment wants to be looked at: when it must be given up, when the queue has it next, or when an
// authorization lapses.
func dueAt(p *Payment) clock.Micros {
	switch {
	case p.Resource == Wait && p.Status == Authorized:
		return p.ExpiresAt
	case p.Resource != WorkInProgress:
		return 0
	case p.Decision != Undecided:
		return queuedUntil(p)
	case p.DeferredUntil > 0:
		return min(p.DeferredUntil, p.GiveUpAt)
	default:
		return p.GiveUpAt
	}
}

// EachPayment calls f for every payment in memory, for verify.
func (m *Machine) EachPayment(f func(*Payment)) {
	m.payments.Each(func(_ book.Key, v *version) { f(v.Payment) })
}
