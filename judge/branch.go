package judge

import (
	"strings"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
)

// state is where a participant's branch stands, in one vocabulary for all of them.
type state uint8

const (
	absent state = iota
	held
	refused
	confirmed
	cancelled
	added
)

var stateWords = [...]string{"absent", "held", "refused", "confirmed", "cancelled", "added"}

func (s state) String() string { return stateWords[s] }

// word returns the state as the tables of all participants have it.
func (s state) word() string { return strings.ToUpper(stateWords[s]) }

// branch is what the journal says of one participant's part in one payment.
type branch struct {
	service  string
	state    state
	account  id.ID // the account, or the session
	currency money.Currency
	amount   int64 // asked for
	posted   int64
	released int64
	code     string // why it was refused, or stands in suspense
	at       clock.Micros
	moved    int64 // business time of what was taken or added; 0: not known
	seen     uint32
	rest     rest
	lots     []taken // of points
	customer id.ID   // of a session: who may pay, and whom; nil: not known
	merchant id.ID
}

// open returns what is still held.
func (b *branch) open() int64 { return b.amount - b.posted - b.released }

// holding returns what an open hold holds.
func (b *branch) holding() int64 {
	if b.state == held {
		return b.open()
	}
	return 0
}

// holds tells the ledger what a branch holds, after it held something else before.
func (j *Judge) holds(t id.Tenant, b *branch, before int64) {
	if l := j.ledgers[b.service]; l != nil && b.holding() != before {
		l.holds(book.Key{Tenant: t, ID: b.account}, b.holding()-before)
	}
}

// Branch names a part of a payment in a participant's event.
type Branch struct {
	Tenant  id.Tenant
	ID      id.ID
	Account id.ID // the account, or the session
	Table   string
	At      int64 // its business time; 0 where the event has none
}

func (b *Branch) key() book.Key { return book.Key{Tenant: b.Tenant, ID: b.ID} }

// enter returns the branch of an event, made if it is new; nil if it may be older than what is judged. The payment is
// judged at the next cut.
func (e *Event) enter(x *Branch) *branch {
	k := x.key()
	j := e.j
	root := book.Key{Tenant: k.Tenant, ID: k.ID.Root()}
	b := j.branches[k]
	if b == nil {
		if j.over(root) {
			e.Wrong("I12", j.Payment(k.ID), "part %d changes, and the payment ended long before", k.ID.Part())
			return nil
		}
		if p := j.payments[root]; j.old(k.ID) && (p == nil || p.old) {
			return nil // its row will say
		}
		b = &branch{service: e.at.service, account: x.Account}
		j.branches[k] = b
	}
	e.Check(b.service == e.at.service && b.account == x.Account, "I12", j.Payment(k.ID), "part %d is with %s on %s, and comes to %s on %s", k.ID.Part(),
		b.service, j.Account(b.account), e.at.service, j.Account(x.Account))
	j.touch(root)
	j.change(e.at.Book, x.Table, k)
	return b
}

// become moves a branch on. ways are the states it may come from.
func (e *Event) become(x *Branch, b *branch, to state, ways ...state) bool {
	for _, w := range ways {
		if b.state == w {
			b.state, b.at = to, e.At
			e.j.checked["I12"]++
			return true
		}
	}
	invariant := "I12" // each verb takes effect at most once, and Confirm and Cancel never both
	if b.state == cancelled && to == held {
		invariant = "I14"
	}
	return e.Check(false, invariant, e.j.Payment(x.ID), "part %d was %v and becomes %v", x.ID.Part(), b.state, to)
}

// Hold judges that an amount was set aside.
func (e *Event) Hold(x Branch, amount money.Amount) {
	if b := e.enter(&x); b != nil && e.become(&x, b, held, absent) {
		b.currency, b.amount = amount.Currency, amount.Minor
		e.j.holds(x.Tenant, b, 0)
		e.Check(amount.Minor > 0, "I6", e.j.Payment(x.ID), "part %d holds %d", x.ID.Part(), amount.Minor)
	}
}

// InTime judges that a Try came while it might (I14): later, its Cancel may have been forgotten.
func (e *Event) InTime(x Branch, notAfter int64) {
	e.Check(int64(e.At) <= notAfter, "I14", e.j.Payment(x.ID), "part %d is held at %v, and the Try might come until %v", x.ID.Part(), e.At, clock.Micros(notAfter))
}

// Refuse judges that a Try was refused.
func (e *Event) Refuse(x Branch, amount money.Amount, code string) {
	if b := e.enter(&x); b != nil && e.become(&x, b, refused, absent) {
		b.currency, b.amount, b.code = amount.Currency, amount.Minor, code
	}
}

// Take judges that a part of what was held was taken, and another released; the hold ends once nothing is left (I6).
func (e *Event) Take(x Branch, minor, released int64) {
	b := e.enter(&x)
	if b == nil {
		return
	}
	to, before := held, b.holding()
	if b.open() == minor+released {
		to = confirmed
	}
	if e.become(&x, b, to, held) {
		b.posted, b.released, b.moved = b.posted+minor, b.released+released, x.At
		e.j.holds(x.Tenant, b, before)
		e.ends(x.ID, b)
	}
}

// LetGo judges that what was held was released; without anything held it is the tombstone of a Try that never came (I13).
func (e *Event) LetGo(x Branch, released int64) {
	b := e.enter(&x)
	if b == nil {
		return
	}
	from, before := held, b.holding()
	if released == 0 && b.state != held {
		from = absent
	}
	if e.become(&x, b, cancelled, from) {
		b.released += released
		e.j.holds(x.Tenant, b, before)
		e.Check(b.posted == 0 && b.open() == 0, "I6", e.j.Payment(x.ID), "part %d was let go with %d of %d taken and %d left", x.ID.Part(), b.posted, b.amount, b.open())
	}
}

// Add judges that an amount was added. code says why it stands in suspense, "" if it does not.
func (e *Event) Add(x Branch, amount money.Amount, code string) {
	if b := e.enter(&x); b != nil && e.become(&x, b, added, absent) {
		b.currency, b.amount, b.code, b.moved = amount.Currency, amount.Minor, code, x.At
	}
}

func (e *Event) ends(x id.ID, b *branch) {
	e.Check(b.posted >= 0 && b.released >= 0 && b.open() >= 0 && (b.state == confirmed) == (b.open() == 0), "I6", e.j.Payment(x),
		"part %d held %d, of which %d were taken and %d released", x.Part(), b.amount, b.posted, b.released)
}
