package bench

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
)

// transfers is the machine of a book that holds nothing but accounts in yen, and moves money between them: what a book
// and the ledger cost by themselves. Account 0 is the bank, from which all the money comes.
type transfers struct {
	accounts *book.Rows[ledger.Account]
}

// Commands and events of the book.
type (
	// openAccounts opens the accounts From … To-1.
	openAccounts struct{ From, To uint32 }
	// moveAll moves money as every one of the list says that can stand, each by itself. The reply is how many could.
	moveAll struct {
		ID    id.ID
		Moves []moveOne
	}
	// sumUp adds up the accounts 0 … To-1. The reply is a sums.
	sumUp struct{ To uint32 }

	moveOne struct {
		From, To uint32
		Minor    int64
	}
	sums struct {
		debits, credits int64 // posted, in all
		touched         uint64
	}

	moved struct {
		ID      id.ID
		Entries []ledger.Entry[id.ID]
	}
)

// The numbers of the events, as they are stored.
const (
	openedEvent = book.FirstEventType + iota
	movedEvent
)

func newTransfers() *transfers { return &transfers{book.NewRows(accountSchema)} }

// account returns the id of the account with a number.
func account(n uint32) id.ID {
	var r [9]byte
	binary.BigEndian.PutUint32(r[:], n)
	return id.Compose(0, 0, r)
}

func accountKey(x id.ID) book.Key { return book.Key{Tenant: tenant, ID: x} }

// Account, Hold, EditAccount and EditHold lend the rows to the ledger.
func (m *transfers) Account(x id.ID) *ledger.Account { return m.accounts.Get(accountKey(x)) }

// Hold returns none: there are no holds here.
func (m *transfers) Hold(id.ID) *ledger.Hold[id.ID] { return nil }

// EditAccount returns a row to be changed.
func (m *transfers) EditAccount(x id.ID) *ledger.Account { return m.accounts.Edit(accountKey(x)) }

// EditHold is never called.
func (m *transfers) EditHold(id.ID) *ledger.Hold[id.ID] { panic("bench: a transfer made a hold") }

// Touch implements book.Machine.
func (m *transfers) Touch(cmd any, t *book.Touch) {
	switch c := cmd.(type) {
	case openAccounts:
		m.touchRange(c.From, c.To, t)
	case sumUp:
		m.touchRange(0, c.To, t)
	case moveAll:
		for i := range c.Moves {
			m.accounts.Touch(t, accountKey(account(c.Moves[i].From)))
			m.accounts.Touch(t, accountKey(account(c.Moves[i].To)))
		}
	}
}

func (m *transfers) touchRange(from, to uint32, t *book.Touch) {
	for n := from; n < to; n++ {
		m.accounts.Touch(t, accountKey(account(n)))
	}
}

// Decide implements book.Machine.
func (m *transfers) Decide(now clock.Micros, cmd any, out *book.Decision) {
	switch c := cmd.(type) {
	case openAccounts:
		out.Emit(c)
	case sumUp:
		out.Reply(m.sum(c.To))
	case moveAll:
		day := ledger.Day(now / clock.Day)
		batch := ledger.NewBatch[id.ID](m)
		ev := moved{ID: c.ID, Entries: make([]ledger.Entry[id.ID], 0, len(c.Moves))}
		for _, x := range c.Moves {
			if e, err := batch.Plan(day, ledger.Move(account(x.From), account(x.To), money.Yen(x.Minor))); err == nil {
				ev.Entries = append(ev.Entries, e)
			}
		}
		if len(ev.Entries) > 0 {
			out.Emit(ev)
		}
		out.Reply(len(ev.Entries))
	default:
		out.Refuse(fault.Bug.New("unknown command %T", cmd))
	}
}

func (m *transfers) sum(to uint32) (s sums) {
	for n := range to {
		a := m.Account(account(n))
		s.debits, s.credits, s.touched = s.debits+a.DebitsPosted, s.credits+a.CreditsPosted, s.touched+a.Version
	}
	return s
}

// TouchEvent implements book.Machine.
func (m *transfers) TouchEvent(ev any, t *book.Touch) {
	switch e := ev.(type) {
	case openAccounts:
		m.touchRange(e.From, e.To, t)
	case moved:
		for i := range e.Entries {
			for _, l := range e.Entries[i].Legs {
				m.accounts.Touch(t, accountKey(l.Account))
			}
		}
	}
}

// Apply implements book.Machine.
func (m *transfers) Apply(_ clock.Micros, _ uint64, ev any) {
	switch e := ev.(type) {
	case openAccounts:
		for n := e.From; n < e.To; n++ {
			*m.EditAccount(account(n)) = ledger.Account{Currency: money.JPY, Normal: ledger.Credit, Status: ledger.Open, MayGoNegative: n == 0}
		}
	case moved:
		for i := range e.Entries {
			ledger.Apply(m, e.Entries[i])
		}
	}
}

// moveBytes is a transfer as it is stored: debited and credited account, amount, day.
const moveBytes = 16 + 16 + 8 + 4

// Encode implements book.Machine. The layout is fixed, for these books do not outlive the run.
func (m *transfers) Encode(ev any) (uint32, []byte) {
	switch e := ev.(type) {
	case openAccounts:
		return openedEvent, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, e.From), e.To)
	case moved:
		b := append(make([]byte, 0, len(e.ID)+len(e.Entries)*moveBytes), e.ID[:]...)
		for i := range e.Entries {
			legs := e.Entries[i].Legs // debited, then credited
			b = append(append(b, legs[0].Account[:]...), legs[1].Account[:]...)
			b = binary.BigEndian.AppendUint64(b, uint64(legs[0].Amount.Minor))
			b = binary.BigEndian.AppendUint32(b, uint32(e.Entries[i].Day))
		}
		return movedEvent, b
	}
	panic(fmt.Sprintf("bench: unknown event %T", ev))
}

// Decode implements book.Machine.
func (m *transfers) Decode(typ uint32, body []byte) (any, error) {
	switch {
	case typ == openedEvent && len(body) == 8:
		return openAccounts{binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:])}, nil
	case typ == movedEvent && len(body) >= 16 && (len(body)-16)%moveBytes == 0:
		e := moved{ID: id.ID(body[:16])}
		for b := body[16:]; len(b) > 0; b = b[moveBytes:] {
			amount := money.Yen(int64(binary.BigEndian.Uint64(b[32:])))
			e.Entries = append(e.Entries, ledger.Entry[id.ID]{Day: ledger.Day(binary.BigEndian.Uint32(b[40:])), Legs: []ledger.Leg[id.ID]{
				{Account: id.ID(b[:16]), Side: ledger.Debit, Amount: amount}, {Account: id.ID(b[16:32]), Side: ledger.Credit, Amount: amount},
			}})
		}
		return e, nil
	}
	return nil, errors.New("no event of this book")
}

// Public, Tables, Expire and Version implement book.Machine.
func (m *transfers) Public(any) (id.Tenant, bool) { return 0, false }

// Tables lists the one table.
func (m *transfers) Tables() []book.Table { return []book.Table{m.accounts} }

// Expire is never called: nothing is ever due.
func (m *transfers) Expire(book.Table, book.Key) any { return nil }

// Version is the fold version.
func (m *transfers) Version() uint32 { return 1 }
