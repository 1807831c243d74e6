package judge

import (
	base16 "encoding/hex"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/book"
	journalv1 "github.com/koban-pay/koban/gen/koban/payment/journal/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/wire"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/tcc"
)

// pay is what the journal says of one payment.
type pay struct {
	payment.Standing
	kind      payment.Kind
	amount    money.Amount
	captured  int64
	customer  id.ID
	merchant  id.ID
	session   id.ID
	parent    id.ID
	sources   []gives
	parts     []piece
	started   clock.Micros
	moved     clock.Micros // its last event
	owed      [3]int64     // what it counts in Judge.owed: clearing, funding, redeemed
	effective int64        // its business time; 0: not known
	capture   int64        // that of a capture that came later; 0 if none did
	old       bool         // it was believed as its row had it: its branches may not be known
	seen      uint32
	aging     bool
}

// gives is what was taken from a source, what was given back, and what refunds under way give back.
type gives struct {
	kind                                  payment.SourceType
	account                               id.ID
	amount, captured, refunded, refunding int64
}

// piece is one participant's part.
type piece struct {
	participant payment.Participant
	role        payment.Role
	state       payment.PartState
	source      uint8
	account     id.ID
	amount      money.Amount
	origin      id.ID
	funding     []tcc.Funding
}

// moves returns the business time of what is taken and added for it; 0 where it is not known.
func (p *pay) moves() int64 {
	if p.capture > 0 {
		return p.capture
	}
	return p.effective
}

// over reports whether nothing is owed any more; what is authorized still has its holds.
func (p *pay) over() bool { return p.Resource != payment.WorkInProgress }

// done reports whether nothing can happen any more but a refund.
func (p *pay) done() bool { return p.over() && p.Status != payment.Authorized }

func (p *pay) refunded() (n int64) {
	for i := range p.sources {
		n += p.sources[i].refunded
	}
	return n
}

// refundable reports whether something may still be given back.
func refundable(list []gives) bool {
	return slices.ContainsFunc(list, func(s gives) bool { return s.captured > s.refunded })
}

// edges are the changes of status that there are (docs/concepts/tcc.md). What refunds make of a charge is not among them: it
// follows from the refund.
var edges = map[[2]payment.Status]bool{
	{payment.Accepted, payment.Authorized}: true, {payment.Accepted, payment.Captured}: true, {payment.Accepted, payment.Succeeded}: true,
	{payment.Accepted, payment.Failed}: true, {payment.Authorized, payment.Captured}: true, {payment.Authorized, payment.Voided}: true,
	{payment.Authorized, payment.Expired}: true,
}

type payments struct{ j *Judge }

func newPayment(j *Judge) Witness { return &payments{j} }

// Event implements Witness.
func (w *payments) Event(e *Event, typ uint32, body []byte) error {
	switch typ {
	case 16:
		var m journalv1.Started
		if err := read(body, &m); err != nil {
			return err
		}
		w.started(e, &m)
	case 17:
		var m journalv1.Advanced
		if err := read(body, &m); err != nil {
			return err
		}
		w.advanced(e, &m)
	case 18:
		return read(body, &journalv1.Deferred{}) // nothing that counts
	case 19:
		var m journalv1.Decided
		if err := read(body, &m); err != nil {
			return err
		}
		w.decided(e, &m)
	case 20:
		var m journalv1.Declined
		if err := read(body, &m); err != nil {
			return err
		}
		e.Key("payment_keys", id.Tenant(m.Tenant), m.Key, m.Operation, m.Fingerprint)
	default:
		return errType
	}
	return nil
}

func (w *payments) started(e *Event, m *journalv1.Started) {
	k := book.Key{Tenant: id.Tenant(m.Tenant), ID: toID(m.Id)}
	e.Key("payment_keys", k.Tenant, m.Key, m.Id, m.Fingerprint)
	e.Check(w.j.payments[k] == nil && !w.j.over(k), "I21", w.j.Payment(k.ID), "it was started twice")
	if w.j.old(k.ID) {
		return
	}
	p := &pay{
		Standing: payment.Standing{Status: payment.Accepted, Resource: payment.WorkInProgress}, kind: payment.Kind(m.Kind),
		amount: money.Of(m.Amount, money.Currency(m.Currency)), customer: toID(m.Customer), merchant: toID(m.Merchant), session: toID(m.Session),
		parent: toID(m.Parent), sources: sourcesOf(m.Sources), parts: piecesOf(m.Parts), started: e.At, moved: e.At,
		effective: m.EffectiveAt,
	}
	w.j.payments[k] = p
	w.j.touch(k)
	w.j.change(e.at.Book, "payments", k)
	sum := int64(0)
	for _, s := range p.sources {
		sum += s.amount
	}
	e.Check(sum == p.amount.Minor && p.amount.Minor > 0, "I18", w.j.Payment(k.ID), "it is of %d, and its sources sum to %d", p.amount.Minor, sum)
	w.shares(e, k, p, func(s *gives, n int64) { s.refunding += n })
}

// shares calls f for every source of the charge that a refund gives back to, and judges what that leaves (I18). What is not
// known is older than what is judged.
func (w *payments) shares(e *Event, k book.Key, p *pay, f func(*gives, int64)) (list []gives) {
	if p.parent.IsNil() {
		return nil
	}
	at := book.Key{Tenant: k.Tenant, ID: p.parent}
	list, ok := w.j.charge(at)
	if !ok {
		e.Check(w.j.old(p.parent), "I18", w.j.Payment(k.ID), "it refunds %s, of which nothing can be given back", w.j.Payment(p.parent))
		return nil
	}
	w.j.touch(at)
	w.j.change(e.at.Book, "payments", at)
	for i := range p.parts {
		x := &p.parts[i]
		if x.role != payment.Add || int(x.source) > len(list) || x.source == 0 || i-1 >= len(p.sources) || i == 0 {
			continue
		}
		s := &list[x.source-1]
		f(s, p.sources[i-1].amount) // a refund's sources are in the order of its adding parts
		e.Check(s.refunded >= 0 && s.refunding >= 0 && s.refunded+s.refunding <= s.captured, "I18", w.j.Payment(p.parent),
			"of %d taken from source %d, %d were given back and %d are being given back", s.captured, x.source, s.refunded, s.refunding)
	}
	return list
}

// charge returns what of a charge may be given back; false if it is not known.
func (j *Judge) charge(k book.Key) ([]gives, bool) {
	j.revive(k)
	if p := j.payments[k]; p != nil {
		return p.sources, true
	}
	if g := j.charges[k]; g != nil {
		j.forget("payments", k) // its row is about to change
		return g, true
	}
	return nil, false
}

func (w *payments) advanced(e *Event, m *journalv1.Advanced) {
	k := book.Key{Tenant: id.Tenant(m.Tenant), ID: toID(m.Id)}
	p := w.known(e, k)
	if p == nil {
		return
	}
	for _, a := range m.Answers {
		if n := int(a.Number); n > 0 && n <= len(p.parts) {
			p.parts[n-1].merge(payment.Verb(a.Verb), tcc.Outcome(a.Outcome))
		}
	}
	w.stand(e, k, p, standingOf(m.Standing))
}

func (w *payments) decided(e *Event, m *journalv1.Decided) {
	k := book.Key{Tenant: id.Tenant(m.Tenant), ID: toID(m.Id)}
	if len(m.Operation) > 0 {
		e.Key("payment_keys", k.Tenant, m.Key, m.Operation, m.Fingerprint)
	}
	p := w.known(e, k)
	if p == nil {
		return
	}
	if m.EffectiveAt > 0 {
		p.capture = m.EffectiveAt
	}
	w.stand(e, k, p, standingOf(m.Standing))
}

// known returns the payment of an event; nil if it may be older than what is judged, or was never started (I10).
func (w *payments) known(e *Event, k book.Key) *pay {
	p := w.j.payments[k]
	if p == nil {
		e.Check(w.j.old(k.ID), "I10", w.j.Payment(k.ID), "it moves, and was never started or ended long before")
		return nil
	}
	p.moved = e.At
	w.j.touch(k)
	w.j.change(e.at.Book, "payments", k)
	return p
}

// merge counts an answer. A part that has ended does not go back, whatever arrives late.
func (x *piece) merge(v payment.Verb, o tcc.Outcome) {
	switch {
	case x.state == payment.Taken || x.state == payment.LetGo || x.state == payment.Added:
	case v == payment.VerbTry && o == tcc.Done:
		x.state = payment.Held
	case v == payment.VerbTry && o == tcc.Refused:
		x.state = payment.Refusing
	case v == payment.VerbTry:
		x.state = payment.Unsure
	case o != tcc.Done:
	case v == payment.VerbConfirm:
		x.state = payment.Taken
	case v == payment.VerbCancel:
		x.state = payment.LetGo
	case v == payment.VerbAdd:
		x.state = payment.Added
	}
}

// stand judges a payment's step from where it stood (I10, I16), and draws the consequences in amounts.
func (w *payments) stand(e *Event, k book.Key, p *pay, to payment.Standing) {
	name := w.j.Payment(k.ID)
	e.Check(to.Status == p.Status || edges[[2]payment.Status{p.Status, to.Status}], "I10", name, "it went from %v to %v", p.Status, to.Status)
	e.Check(!p.done(), "I10", name, "it moved on to %v %v after it had ended as %v", to.Status, to.Resource, p.Status)
	e.Check(to.Phase >= p.Phase && to.Rollback >= p.Rollback, "I10", name, "it fell back from %v %v to %v %v", p.Phase, p.Rollback, to.Phase, to.Rollback)
	final := p.Decision == payment.Confirm || p.Decision == payment.Cancel
	e.Check(to.Decision == p.Decision || !final && to.Decision > p.Decision, "I16", name, "it was decided %q and then %q", p.Decision, to.Decision)
	ends := !p.over() && to.Resource != payment.WorkInProgress
	p.Standing = to
	if !ends {
		return
	}
	if to.Status == payment.Captured || to.Status == payment.Succeeded {
		p.captured = p.amount.Minor
		for i := range p.sources {
			p.sources[i].captured = p.sources[i].amount
		}
	}
	w.j.age(k, p)
	if p.kind != payment.Refund {
		return
	}
	list := w.shares(e, k, p, func(s *gives, n int64) {
		s.refunding -= n
		if to.Status == payment.Succeeded {
			s.refunded += n
		}
	})
	if c := w.j.payments[book.Key{Tenant: k.Tenant, ID: p.parent}]; c != nil && list != nil {
		switch back := c.refunded(); {
		case back == c.captured:
			c.Status, c.Resource = payment.Refunded, payment.Completed
		case back > 0:
			c.Status = payment.PartiallyRefunded
		}
	}
}

func standingOf(m *journalv1.Standing) payment.Standing {
	if m == nil {
		return payment.Standing{}
	}
	return payment.Standing{
		Status: payment.Status(m.Status), Resource: payment.Resource(m.Resource), Phase: payment.Phase(m.Phase),
		Rollback: payment.Rollback(m.Rollback), Decision: payment.Decision(m.Decision), Aim: payment.Status(m.Aim),
	}
}

func sourcesOf(list []*journalv1.Source) (out []gives) {
	for _, s := range list {
		out = append(out, gives{payment.SourceType(s.Type), toID(s.Account), s.Amount, s.Captured, s.Refunded, s.Refunding})
	}
	return out
}

func piecesOf(list []*journalv1.Part) (out []piece) {
	for _, x := range list {
		y := piece{
			participant: payment.Participant(x.Participant), role: payment.Role(x.Role), state: payment.PartState(x.State), source: uint8(x.Source),
			account: toID(x.Account), amount: money.Of(x.Amount, money.Currency(x.Currency)), origin: toID(x.Origin),
		}
		for _, f := range x.Funding {
			y.funding = append(y.funding, tcc.Funding{From: f.Account, Amount: money.Of(f.Amount, money.Currency(f.Currency))})
		}
		out = append(out, y)
	}
	return out
}

// read reads a message. A field that this version does not know could be an outcome: the event is refused (rule B4).
func read(body []byte, m proto.Message) error {
	var r wire.Reader
	wire.Read(&r, body, m)
	return r.Err()
}

func toID(b []byte) (x id.ID) {
	copy(x[:], b)
	return x
}

func num[N ~uint8 | ~uint16 | ~uint32 | ~int64 | ~uint64 | ~int32](n N) string {
	return strconv.FormatInt(int64(n), 10)
}

func hex(b []byte) string { return base16.EncodeToString(b) }

// Tables implements Witness.
func (w *payments) Tables() []*Table { return append(w.paymentTables(), keyRows("payment_keys")) }
