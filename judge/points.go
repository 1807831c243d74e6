package judge

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/koban-pay/koban/book"
	journalv1 "github.com/koban-pay/koban/gen/koban/points/journal/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/points"
)

// pointsBook is the witness of the points service: its messages say which lots, and the legs follow.
type pointsBook struct {
	j      *Judge
	ledger *Ledger
}

// lot is a number of points of one class and expiry on an account.
type lot struct {
	n, left, held, expires int64
	class                  uint32
}

// taken is what a branch did with one lot. The names are those of the table.
type taken struct {
	Lot      int64 `json:"lot"`
	Held     int64 `json:"held"`
	Posted   int64 `json:"posted"`
	Released int64 `json:"released"`
	Returned int64 `json:"returned"`
}

func newPoints(j *Judge) Witness {
	own := func(x id.ID) (string, bool) {
		k := points.Kind(x.Part())
		return k.String(), k < points.Customer && x == points.OwnAccount(k, x.Volume(j.Volumes), j.Volumes)
	}
	return &pointsBook{j, j.newLedger("points", "points_accounts", own)}
}

const pointsBranches = "points_branches"

// Event implements Witness.
func (w *pointsBook) Event(e *Event, typ uint32, body []byte) error {
	switch typ {
	case 16:
		return with(body, &journalv1.Opened{}, func(m *journalv1.Opened) {
			w.ledger.Open(e, id.Tenant(m.Tenant), toID(m.Account), money.PT).nextLot = 1
		})
	case 17:
		return with(body, &journalv1.Granted{}, func(m *journalv1.Granted) {
			f := w.on(e, m.Tenant, m.Account)
			f.own(points.Suspense, m.Lot.GetAmount())
			f.leg(f.x, -m.Lot.GetAmount())
			f.put(m.Lot)
			f.book()
			w.ledger.Says(e, f.t, f.x, "posted", m.Posted, (*Account).Posted)
			w.ledger.Says(e, f.t, f.x, "held", m.Held, func(a *Account) int64 { return a.Held })
			e.Key("points_keys", f.t, m.Key, m.Grant, m.Fingerprint)
			e.Once("points_grants", book.Key{Tenant: f.t, ID: toID(m.Grant)}, hex(m.Account), num(m.Lot.GetLot()), num(m.Lot.GetExpiresAt()), num(m.Lot.GetAmount()),
				num(m.Posted), num(m.Held), "")
		})
	case 18:
		return with(body, &journalv1.GrantRefused{}, func(m *journalv1.GrantRefused) {
			e.Key("points_keys", id.Tenant(m.Tenant), m.Key, m.Grant, m.Fingerprint)
			e.Once("points_grants", book.Key{Tenant: id.Tenant(m.Tenant), ID: toID(m.Grant)}, hex(m.Account), "0", "0", num(m.Amount), "0", "0", m.Refusal.GetCode())
		})
	case 19:
		return with(body, &journalv1.StatusSet{}, func(m *journalv1.StatusSet) {
			k := book.Key{Tenant: id.Tenant(m.Tenant), ID: toID(m.Account)}
			if a := w.ledger.accounts.get(k); a != nil {
				a.Status, a.changed = ledger.Status(m.Status), true
				w.j.change(e.at.Book, "points_accounts", k)
			}
		})
	case 20:
		return with(body, &journalv1.Expired{}, func(m *journalv1.Expired) {
			f := w.on(e, m.Tenant, m.Account)
			for _, p := range m.Lots {
				f.lots(p.Lot, -p.Amount, 0)
				f.leg(f.x, p.Amount)
				f.own(points.Expired, -p.Amount)
			}
			f.book()
			w.ledger.Says(e, f.t, f.x, "posted", m.Posted, (*Account).Posted)
		})
	}
	return w.verb(e, typ, body)
}

// verb reads the messages about a branch.
func (w *pointsBook) verb(e *Event, typ uint32, body []byte) error {
	switch typ {
	case 21:
		return with(body, &journalv1.Tried{}, func(m *journalv1.Tried) {
			x, f := branchOf(m, pointsBranches), w.on(e, m.Tenant, m.Account)
			e.Hold(x, money.Of(m.Amount, money.PT))
			e.InTime(x, m.NotAfter)
			w.ledger.gives(e, x.Tenant, x.Account)
			b := w.j.branches[x.key()]
			for _, p := range m.Lots {
				f.lots(p.Lot, 0, p.Amount)
				f.fresh(p.Lot)
				if b != nil {
					b.lots = append(b.lots, taken{Lot: p.Lot, Held: p.Amount})
				}
			}
			f.book(HeldChange{f.x, m.Amount})
		})
	case 22:
		return with(body, &journalv1.Refused{}, func(m *journalv1.Refused) {
			e.Refuse(branchOf(m, pointsBranches), money.Amount{}, m.Refusal.GetCode())
		})
	case 23:
		return with(body, &journalv1.Confirmed{}, func(m *journalv1.Confirmed) { w.confirmed(e, m) })
	case 24:
		return with(body, &journalv1.Cancelled{}, func(m *journalv1.Cancelled) {
			x, f := branchOf(m, pointsBranches), w.on(e, m.Tenant, m.Account)
			all := f.release(w.j.branches[x.key()], m.Back)
			e.LetGo(x, all)
			if len(m.Back) > 0 {
				f.book(HeldChange{f.x, -all})
			}
		})
	case 25:
		return with(body, &journalv1.Added{}, func(m *journalv1.Added) { w.added(e, m) })
	}
	return errType
}

func (w *pointsBook) confirmed(e *Event, m *journalv1.Confirmed) {
	x, f := branchOf(m, pointsBranches), w.on(e, m.Tenant, m.Account)
	b := w.j.branches[x.key()]
	sum := int64(0)
	for _, p := range m.Taken {
		f.lots(p.Lot, -p.Amount, -p.Amount)
		f.leg(f.x, p.Amount)
		b.lot(e, p.Lot, func(l *taken) { l.Posted += p.Amount })
		sum += p.Amount
	}
	for _, s := range m.To {
		f.own(points.Kind(s.Kind), -s.Amount)
	}
	all := f.release(b, m.Back)
	e.Take(x, sum, all)
	f.book(HeldChange{f.x, -sum - all})
}

func (w *pointsBook) added(e *Event, m *journalv1.Added) {
	x, f := branchOf(m, pointsBranches), w.on(e, m.Tenant, m.Account)
	code := ""
	if m.Suspense {
		code = "suspense"
	}
	e.Add(x, money.Of(m.Amount, money.PT), code)
	for _, s := range m.From {
		f.own(points.Kind(s.Kind), s.Amount)
	}
	w.returned(e, m)
	if m.Suspense {
		f.own(points.Suspense, -m.Amount)
		f.book()
		return
	}
	rest := m.Amount
	for _, r := range m.Back {
		if r.To == 0 {
			f.own(points.Expired, -r.Amount)
			rest -= r.Amount
			continue
		}
		f.put(&journalv1.Part{Lot: r.To, Class: r.Class, ExpiresAt: r.ExpiresAt, Amount: r.Amount})
	}
	if m.Lot.GetAmount() > 0 {
		f.put(m.Lot)
	}
	f.leg(f.x, -rest)
	f.book()
}

// returned counts on the branch that took the points what comes back of them (P4).
func (w *pointsBook) returned(e *Event, m *journalv1.Added) {
	k := book.Key{Tenant: id.Tenant(m.Tenant), ID: toID(m.Origin)}
	if len(m.Back) == 0 || k.ID.IsNil() {
		return
	}
	w.j.revive(book.Key{Tenant: k.Tenant, ID: k.ID.Root()})
	b := w.j.branches[k]
	if b == nil {
		w.j.forget(pointsBranches, k) // it ended long before, and changes now
		return
	}
	for _, r := range m.Back {
		b.lot(e, r.From, func(l *taken) {
			l.Returned += r.Amount
			e.Check(l.Returned <= l.Posted, "P4", w.j.Payment(k.ID), "of lot %d, %d were taken and %d come back", l.Lot, l.Posted, l.Returned)
		})
	}
	w.j.change(e.at.Book, pointsBranches, k)
}

// lot changes what a branch did with one lot. A branch that is not known is older than what is judged.
func (b *branch) lot(e *Event, n int64, f func(*taken)) {
	if b == nil {
		return
	}
	for i := range b.lots {
		if l := &b.lots[i]; l.Lot == n {
			f(l)
			e.Check(l.Posted+l.Released <= l.Held, "P3", Name{}, "of lot %d a branch held %d, took %d and released %d", n, l.Held, l.Posted, l.Released)
			return
		}
	}
	e.Wrong("P3", Name{}, "a branch takes of lot %d, of which it holds nothing", n)
}

// flow collects what one message moves. The legs on one account are added up, as an entry has them.
type flow struct {
	w    *pointsBook
	e    *Event
	t    id.Tenant
	x    id.ID
	a    *Account // nil: older than what is judged
	legs []Leg
}

func (w *pointsBook) on(e *Event, tenant uint32, account []byte) *flow {
	f := &flow{w: w, e: e, t: id.Tenant(tenant), x: toID(account)}
	if f.a = w.ledger.accounts.get(book.Key{Tenant: f.t, ID: f.x}); f.a != nil {
		f.a.changed = true
	}
	return f
}

func (f *flow) leg(x id.ID, minor int64) {
	for i := range f.legs {
		if f.legs[i].Account == x {
			f.legs[i].Amount.Minor += minor
			return
		}
	}
	f.legs = append(f.legs, Leg{x, money.Of(minor, money.PT)})
}

func (f *flow) own(k points.Kind, minor int64) {
	f.leg(points.OwnAccount(k, f.e.Volume(), f.w.j.Volumes), minor)
}

// book judges the entry, and that the lots sum to the account (P1).
func (f *flow) book(held ...HeldChange) {
	f.legs = slices.DeleteFunc(f.legs, func(l Leg) bool { return l.Amount.Minor == 0 })
	f.w.ledger.Entry(f.e, f.t, f.legs, held...)
	if f.a == nil {
		return
	}
	left, in := int64(0), int64(0)
	for _, l := range f.a.lots {
		left, in = left+l.left, in+l.held
		f.e.Check(l.left >= 0 && l.held >= 0 && l.held <= l.left, "P2", f.w.j.Account(f.x), "of lot %d are left %d, and %d held", l.n, l.left, l.held)
	}
	f.e.Check(left == f.a.Posted() && in == f.a.Held, "P1", f.w.j.Account(f.x), "its lots have %d, %d of it held, and it has %d, %d of it held", left, in,
		f.a.Posted(), f.a.Held)
}

// put adds points to a lot, which is made if it is not there.
func (f *flow) put(p *journalv1.Part) {
	if f.a == nil || p == nil {
		return
	}
	f.a.nextLot = max(f.a.nextLot, p.Lot+1)
	for i := range f.a.lots {
		if l := &f.a.lots[i]; l.n == p.Lot {
			l.left += p.Amount
			return
		}
	}
	f.a.lots = append(f.a.lots, lot{n: p.Lot, left: p.Amount, expires: p.ExpiresAt, class: uint32(p.Class)})
}

// lots changes what is left and held of a lot, and drops it when nothing is left.
func (f *flow) lots(n, left, in int64) {
	if f.a == nil {
		return
	}
	i := slices.IndexFunc(f.a.lots, func(l lot) bool { return l.n == n })
	if !f.e.Check(i >= 0, "P3", f.w.j.Account(f.x), "points of lot %d move, and there is no such lot", n) {
		return
	}
	l := &f.a.lots[i]
	l.left, l.held = l.left+left, l.held+in
	if l.left == 0 {
		f.a.lots = slices.Delete(f.a.lots, i, i+1)
	}
}

// fresh judges that a lot which points are held on has not expired (P6).
func (f *flow) fresh(n int64) {
	if f.a == nil {
		return
	}
	for _, l := range f.a.lots {
		if l.n == n {
			f.e.Check(l.expires == 0 || l.expires > int64(f.e.At), "P6", f.w.j.Account(f.x), "points are held on lot %d at %v, which expired at %v", n, f.e.At,
				clock.Micros(l.expires))
		}
	}
}

// release lets held points go, to where the message says, and returns how many.
func (f *flow) release(b *branch, back []*journalv1.Back) (all int64) {
	for _, r := range back {
		all += r.Amount
		b.lot(f.e, r.From, func(l *taken) { l.Released += r.Amount })
		switch r.To {
		case r.From:
			f.lots(r.From, 0, -r.Amount)
			continue
		case 0:
			f.leg(f.x, r.Amount)
			f.own(points.Expired, -r.Amount)
		}
		f.lots(r.From, -r.Amount, -r.Amount)
		if r.To != 0 {
			f.put(&journalv1.Part{Lot: r.To, Class: r.Class, ExpiresAt: r.ExpiresAt, Amount: r.Amount})
		}
	}
	return all
}

// lotRow is a lot as the table has it.
type lotRow struct {
	N         int64           `json:"lot"`
	Class     json.RawMessage `json:"class"` // its word, or its number
	Left      int64           `json:"left"`
	Held      int64           `json:"held"`
	ExpiresAt int64           `json:"expires_at"`
}

// lotText writes lots in one order, for comparing.
func lotText(list []lot) string {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b lot) int { return int(a.n - b.n) })
	var s strings.Builder
	for _, l := range list {
		fmt.Fprintf(&s, "[lot %d class %d left %d held %d until %d]", l.n, l.class, l.left, l.held, l.expires)
	}
	return s.String()
}

func takenText(list []taken) string { return fmt.Sprint(list) }

func readLots(text string) (out []lot, err error) {
	var rows []lotRow
	if err := json.Unmarshal([]byte(text), &rows); err != nil {
		return nil, err
	}
	for _, r := range rows {
		class := map[string]uint32{`"free"`: 1, `"paid"`: 2, "1": 1, "2": 2}[string(r.Class)]
		out = append(out, lot{r.N, r.Left, r.Held, r.ExpiresAt, class})
	}
	return out, nil
}

func readTaken(text string) (out []taken, err error) {
	err = json.Unmarshal([]byte(text), &out)
	return out, err
}

// readLast reads the values of a row, of which the last is a list in JSON.
func readLast[T any](values []any, read func(string) ([]T, error), write func([]T) string) ([]string, error) {
	n := len(values) - 1
	list, err := read(text(values[n]))
	out := make([]string, 0, len(values))
	for _, v := range values[:n] {
		out = append(out, text(v))
	}
	return append(out, write(list)), err
}

// Tables implements Witness.
func (w *pointsBook) Tables() []*Table {
	accounts := w.ledger.rows([]string{"status", "debits_posted", "credits_posted", "debits_pending", "version", "next_lot", "credits_pending", "lots", "rest"}, func(a *Account) []string {
		return []string{a.Status.String(), num(a.Debits), num(a.Credits), num(a.Held), num(a.Version), num(max(a.nextLot, 1)), "0", lotText(a.lots)}
	})
	accounts.Stays = 1
	accounts.Read = func(v []any) ([]string, error) { return readLast(v, readLots, lotText) }
	accounts.Believe = func(k book.Key, v []any) bool {
		status, _ := ledger.ParseStatus(text(v[0]))
		lots, err := readLots(text(v[7]))
		w.ledger.believe(k, &Account{
			Currency: money.PT, Status: status, Debits: integer(v[1]), Credits: integer(v[2]), Held: integer(v[3]),
			Version: uint64(integer(v[4])), nextLot: integer(v[5]), lots: lots,
		})
		return err == nil
	}
	branches := w.j.branchRows(pointsBranches, []string{"account", "status", "amount", "posted", "released", "refusal_code", "lots", "rest"}, func(b *branch) []string {
		amount, code := b.amount, b.code
		if b.state == added {
			amount, code = 0, "" // the table has the amount of holds
		}
		return []string{hex(b.account[:]), b.state.word(), num(amount), num(b.posted), num(b.released), code, takenText(b.lots)}
	})
	branches.Stays = 1
	branches.Read = func(v []any) ([]string, error) { return readLast(v, readTaken, takenText) }
	branches.Believe = func(k book.Key, v []any) bool {
		lots, err := readTaken(text(v[6]))
		if text(v[1]) != held.word() || err != nil {
			return false
		}
		w.j.believe(k, &branch{
			service: "points", state: held, account: idOf(v[0]), currency: money.PT, amount: integer(v[2]),
			posted: integer(v[3]), released: integer(v[4]), lots: lots,
		})
		return true
	}
	grants := once("points_grants", "account", "lot", "expires_at", "amount", "posted", "held", "refusal_code", "available")
	grants.Stays = 1
	return []*Table{accounts, branches, keyRows("points_keys"), grants}
}
