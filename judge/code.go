package judge

import (
	"github.com/koban-pay/koban/book"
	journalv1 "github.com/koban-pay/koban/gen/koban/code/journal/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
)

// codes is the witness of the code service: what it holds is a session, for one branch at a time.
type codes struct {
	j        *Judge
	sessions map[book.Key]*session
	shops    map[shops]int64 // how many were registered
}

type shops struct {
	tenant id.Tenant
	volume int
}

// session is what the journal says of one scan that may still be paid.
type session struct {
	status             string
	customer, merchant id.ID
	currency           money.Currency
	amount             int64
	by                 id.ID
	since              clock.Micros
	seen               uint32
}

func newCode(j *Judge) Witness { return &codes{j, map[book.Key]*session{}, map[shops]int64{}} }

type sessionPart interface {
	GetTenant() uint32
	GetBranch() []byte
	GetSession() []byte
}

func claimOf(m sessionPart) Branch {
	return Branch{Tenant: id.Tenant(m.GetTenant()), ID: toID(m.GetBranch()), Account: toID(m.GetSession()), Table: "code_branches"}
}

// Event implements Witness.
func (w *codes) Event(e *Event, typ uint32, body []byte) error {
	switch typ {
	case 16:
		return with(body, &journalv1.ShopRegistered{}, func(m *journalv1.ShopRegistered) {
			e.Key("code_keys", id.Tenant(m.Tenant), m.Key, m.Merchant, m.Fingerprint)
			at := shops{id.Tenant(m.Tenant), e.Volume()}
			e.Check(m.Number == w.shops[at]+1 || e.based() && w.shops[at] == 0, "C5", Name{}, "a shop got number %d, after %d", m.Number, w.shops[at])
			w.shops[at] = m.Number
		})
	case 17:
		return with(body, &journalv1.SessionOpened{}, func(m *journalv1.SessionOpened) {
			k := book.Key{Tenant: id.Tenant(m.Tenant), ID: toID(m.Session)}
			e.Key("code_keys", k.Tenant, m.Key, m.Session, m.Fingerprint)
			w.sessions[k] = &session{
				status: "OPEN", customer: toID(m.Customer), merchant: toID(m.Merchant), currency: money.Currency(m.Currency),
				amount: m.Amount, since: e.At,
			}
			w.j.change(e.at.Book, "code_sessions", k)
		})
	case 18:
		return with(body, &journalv1.SessionExpired{}, func(m *journalv1.SessionExpired) {
			w.move(e, m.Tenant, m.Session, id.Nil, "EXPIRED", id.Nil)
		})
	case 19:
		return with(body, &journalv1.Tried{}, func(m *journalv1.Tried) {
			x := claimOf(m)
			e.Hold(x, money.Of(m.Amount.GetMinor(), money.Currency(m.Amount.GetCurrency())))
			e.InTime(x, m.NotAfter)
			if b, s := w.j.branches[x.key()], w.sessions[book.Key{Tenant: x.Tenant, ID: x.Account}]; b != nil && s != nil {
				b.customer, b.merchant = s.customer, s.merchant
			}
			w.move(e, m.Tenant, m.Session, id.Nil, "OPEN", toID(m.Branch))
		})
	case 20:
		return with(body, &journalv1.Refused{}, func(m *journalv1.Refused) { e.Refuse(claimOf(m), money.Amount{}, m.Refusal.GetCode()) })
	case 21:
		return with(body, &journalv1.Confirmed{}, func(m *journalv1.Confirmed) {
			x := claimOf(m)
			amount := int64(0)
			if b := w.j.branches[x.key()]; b != nil {
				amount = b.open()
			}
			e.Take(x, amount, 0)
			w.move(e, m.Tenant, m.Session, x.ID, "USED", x.ID)
		})
	case 22:
		return with(body, &journalv1.Cancelled{}, func(m *journalv1.Cancelled) {
			x, released := claimOf(m), int64(0)
			if b := w.j.branches[x.key()]; b != nil && m.Released {
				released = b.open()
			}
			e.LetGo(x, released)
			if m.Released {
				w.move(e, m.Tenant, m.Session, x.ID, "OPEN", id.Nil)
			}
		})
	}
	return errType
}

// move judges that a session was with one branch (nil: with none) and open, and notes where it is now (C1, C2).
func (w *codes) move(e *Event, tenant uint32, x []byte, was id.ID, to string, is id.ID) {
	k := book.Key{Tenant: id.Tenant(tenant), ID: toID(x)}
	s := w.sessions[k]
	if s == nil {
		e.Check(w.j.old(k.ID), "C1", Name{w.j, id.Session, k.ID}, "it becomes %s, and was never opened, or ended before", to)
		return
	}
	e.Check(s.status == "OPEN" && s.by == was, "C1", Name{w.j, id.Session, k.ID}, "it becomes %s with %s, and it is %s with %s", to, w.j.Payment(is), s.status,
		w.j.Payment(s.by))
	s.status, s.by = to, is
	w.j.change(e.at.Book, "code_sessions", k)
	if to != "OPEN" {
		w.j.remember("code_sessions", k)
		delete(w.sessions, k)
	}
}

func (s *session) facts() []string {
	return []string{hex(s.customer[:]), hex(s.merchant[:]), num(s.currency), num(s.amount), s.status, hex(s.by[:])}
}

// Tables implements Witness.
func (w *codes) Tables() []*Table {
	sessions := &Table{
		Name: "code_sessions", Columns: []string{"customer", "merchant", "currency", "amount", "status", "branch"},
		Want: func(k book.Key) []string {
			if s := w.sessions[k]; s != nil {
				return s.facts()
			}
			return nil
		},
		Believe: func(k book.Key, v []any) bool {
			if text(v[4]) != "OPEN" {
				return false
			}
			w.sessions[k] = &session{
				status: "OPEN", customer: idOf(v[0]), merchant: idOf(v[1]), currency: money.Currency(integer(v[2])),
				amount: integer(v[3]), by: idOf(v[5]), since: w.j.now, seen: w.j.sweep,
			}
			return true
		},
		Saw: func(k book.Key) { w.sessions[k].seen = w.j.sweep },
		Missing: func(volume int, began clock.Micros) (out []book.Key) {
			for k, s := range w.sessions {
				if k.ID.Volume(w.j.Volumes) == volume && s.since < began && s.seen < w.j.sweep {
					out = append(out, k)
				}
			}
			return out
		},
	}
	branches := w.j.branchRows("code_branches", []string{"session", "status", "amount", "currency", "refusal_code", "rest"}, func(b *branch) []string {
		return []string{hex(b.account[:]), b.state.word(), num(b.amount), num(b.currency), b.code}
	})
	branches.Stays = 1
	branches.Believe = func(k book.Key, v []any) bool {
		if text(v[1]) != held.word() {
			return false
		}
		w.j.believe(k, &branch{service: "code", state: held, account: idOf(v[0]), amount: integer(v[2]), currency: money.Currency(integer(v[3]))})
		return true
	}
	return []*Table{sessions, branches, keyRows("code_keys")}
}
