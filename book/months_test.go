package book

import (
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// register is a machine that knows keys and nothing else: each stands for what it was first claimed for.
type register struct{ keys *Keys }

// claim is command and event; its reply is what the key stands for.
type claim struct {
	Key    Key
	Target id.ID
}

func newRegister() *register { return &register{NewKeys("toy_keys")} }

func (m *register) Tables() []Table                { return []Table{m.keys} }
func (m *register) Version() uint32                { return 1 }
func (m *register) Public(any) (id.Tenant, bool)   { return 0, false }
func (m *register) Expire(Table, Key) any          { return nil }
func (m *register) Touch(cmd any, t *Touch)        { m.keys.Touch(t, cmd.(claim).Key) }
func (m *register) TouchEvent(any, *Touch)         {}
func (m *register) Encode(ev any) (uint32, []byte) { c := ev.(claim); return FirstEventType, c.bytes() }
func (m *register) Apply(at clock.Micros, _ uint64, ev any) {
	c := ev.(claim)
	m.keys.Put(c.Key, KeyEntry{Target: c.Target, At: at})
}

func (m *register) Decide(_ clock.Micros, cmd any, out *Decision) {
	c := cmd.(claim)
	if e := m.keys.Get(c.Key); e != nil {
		out.Reply(e.Target)
		return
	}
	out.Emit(c)
	out.Reply(c.Target)
}

func (c claim) bytes() []byte {
	return append(append([]byte{byte(c.Key.Tenant)}, c.Key.ID[:]...), c.Target[:]...)
}

func (m *register) Decode(typ uint32, b []byte) (any, error) {
	if typ != FirstEventType || len(b) != 33 {
		return nil, errors.New("no claim")
	}
	return claim{Key{id.Tenant(b[0]), id.ID(b[1:17])}, id.ID(b[17:])}, nil
}

// desk is a register that is used day by day, beside a map that says what has to come out.
type desk struct {
	*rig
	p    *proc
	book *Book
	keys *Keys
	rnd  *rand.Rand
	want map[Key]id.ID
	all  []Key // in the order they were claimed
}

const deskTenants = 3

func newDesk(r *rig, seed uint64) *desk {
	r.limits = Limits{Rows: 10, Keep: clock.Millisecond}
	return &desk{rig: r, rnd: rand.New(rand.NewPCG(seed, 1)), want: make(map[Key]id.ID)}
}

// open starts a process; prepare may tap its state before that is used.
func (d *desk) open(prepare func(*tapState)) {
	d.t.Helper()
	p, m := d.process(), newRegister()
	if prepare != nil {
		prepare(p.state)
	}
	p.writer, p.saver = NewWriter(p.log, p.clk, p.shared, nil, p.hooks), NewSaver(p.state)
	b, err := Open(background, Config{
		Service: "toy", Machine: m, Log: p.log, State: p.state, Clock: p.clk, Writer: p.writer,
		Saver: p.saver, Limits: p.limits,
	})
	if err != nil {
		d.t.Fatal(err)
	}
	p.books = append(p.books, b)
	d.p, d.book, d.keys = p, b, m.keys
}

// restart ends the process, by a crash or in order, and starts another.
func (d *desk) restart(crash bool, prepare func(*tapState)) {
	d.t.Helper()
	if crash {
		d.p.crash()
	} else {
		d.p.close()
	}
	d.open(prepare)
}

// claim claims new keys of each tenant.
func (d *desk) claim(n int) {
	d.t.Helper()
	for tenant := range id.Tenant(deskTenants) {
		d.claimOf(tenant+1, n)
	}
}

func (d *desk) claimOf(tenant id.Tenant, n int) {
	d.t.Helper()
	for range n {
		k := Key{tenant, d.key()}
		d.want[k] = d.id()
		d.all = append(d.all, k)
		if got := d.p.must(claim{k, d.want[k]}); got != d.want[k] {
			d.t.Fatalf("a new key stands for %v", got)
		}
	}
}

// ask claims a key again, for something else; it has to stand for what it stood for first.
func (d *desk) ask(k Key) {
	d.t.Helper()
	if got := d.p.must(claim{k, d.id()}); got != d.want[k] {
		d.t.Fatalf("key %v, which was used, stands for %v, not %v", k, got, d.want[k])
	}
}

// askAround asks for every so many of the keys there are, starting anywhere.
func (d *desk) askAround(every int) {
	d.t.Helper()
	for i := d.rnd.IntN(every); i < len(d.all); i += every {
		d.ask(d.all[i])
	}
}

// settle waits until the tables hold everything and the filters are looked after.
func (d *desk) settle() {
	d.t.Helper()
	if err := d.p.sync(); err != nil {
		d.t.Fatal(err)
	}
	eventually(d.t, "the filters are looked after", func() bool {
		d.book.mu.Lock()
		defer d.book.mu.Unlock()
		return !d.book.tending
	})
}

// filters returns how many filters a tenant's new key asks: of days and of months.
func (d *desk) filters(t id.Tenant) (days, months int) {
	d.book.mu.Lock()
	defer d.book.mu.Unlock()
	return len(d.keys.of(t).days), len(d.keys.of(t).months)
}

// kept returns the filters that the state keeps, as text.
func (d *desk) kept() (out []string) {
	d.t.Helper()
	found, _, err := d.state.Segments(background, "toy/00", 0, newRegister().keys)
	for _, s := range found {
		if s.Kept {
			f, ferr := d.state.Filter(background, 0, newRegister().keys, s)
			err = errors.Join(err, ferr)
			out = append(out, fmt.Sprintf("%v %d %x %x", s, f.Keys, f.Sum, f.Bits))
		}
	}
	if err != nil {
		d.t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

func onAllStates(t *testing.T, fn func(t *testing.T, r *rig)) {
	t.Run("memory", func(t *testing.T) { fn(t, newRig(t)) })
	onStores(t, fn)
}

// A key is found on every day after it was used, whatever the filters are going through: cold, loaded, joined into a month,
// being joined. A new one asks the filters of two days and of the months, and reads nothing.
func TestB12_DaysAreJoinedIntoMonths(t *testing.T) {
	onAllStates(t, func(t *testing.T, r *rig) {
		const days, perDay = 70, 2
		d := newDesk(r, 1)
		d.open(nil)
		for day := range days {
			d.claim(perDay)
			d.askAround(11)
			switch day % 14 {
			case 5: // cold for a while
				hold := make(chan struct{})
				d.restart(true, func(s *tapState) { s.holdFill = hold })
				d.claim(1)
				d.askAround(11)
				close(hold)
			case 9:
				d.restart(false, nil)
				d.askAround(11)
			}
			d.settle()
			for tenant := range id.Tenant(deskTenants) {
				if n, m := d.filters(tenant + 1); n > openDays || m > 4 {
					t.Fatalf("on day %d a new key asks the filters of %d days and %d months", day, n, m)
				}
			}
			r.clk.Advance(24 * time.Hour)
		}
		before := d.p.state.loads.Load()
		d.claim(20)
		if n := d.p.state.loads.Load() - before; n > 5 { // a filter may be wrong once in a hundred
			t.Errorf("%d new keys took %d reads", 20*deskTenants, n)
		}
		d.askAround(1)
		if n := len(d.kept()); n < 2*deskTenants {
			t.Errorf("%d filters of months are kept", n)
		}
	})
}

// While a day is being joined, commands go on, and its keys are found.
func TestB12_JoiningHoldsNobodyUp(t *testing.T) {
	d := newDesk(newRig(t), 2)
	d.open(nil)
	came, let := make(chan Segment, 100), make(chan struct{})
	for range 4 {
		d.claim(3)
		d.settle()
		d.clk.Advance(24 * time.Hour)
	}
	d.p.state.tapKeys(func(s Segment) { came <- s; <-let }, nil)
	d.claim(3)
	if err := d.p.sync(); err != nil {
		t.Fatal(err)
	}
	s := receive(t, "a day is being joined", came)
	if s.First > Day(d.clk.Now())-openDays {
		t.Errorf("%v is being joined on day %d", s, Day(d.clk.Now()))
	}
	d.claim(3)
	d.askAround(1)
	if n, _ := d.filters(s.Tenant); n != openDays+1 {
		t.Errorf("%d days have a filter while one of them is being joined", n)
	}
	d.p.state.tapKeys(nil, nil)
	close(let)
	d.settle()
	d.askAround(1)
	if n, _ := d.filters(s.Tenant); n != openDays {
		t.Errorf("%d days have a filter", n)
	}
}

// Tables that another process empties while a day is being joined make no filter that lacks keys.
func TestB12_EmptiedTablesAreNotJoined(t *testing.T) {
	d := newDesk(newRig(t), 3)
	d.open(nil)
	for range 3 {
		d.claim(3)
		d.settle()
		d.clk.Advance(24 * time.Hour)
	}
	came, let := make(chan Segment, 100), make(chan struct{})
	d.p.state.tapKeys(func(s Segment) { came <- s; <-let }, nil)
	d.claim(3)
	if err := d.p.sync(); err != nil {
		t.Fatal(err)
	}
	receive(t, "a day is being joined", came)
	before, _ := d.filters(1)
	m := d.state.(*MemState)
	stood := m.stand(Position{})
	close(let)
	d.settle()
	if n, _ := d.filters(1); n != before || before != openDays+1 {
		t.Errorf("%d days have a filter, and had %d", n, before)
	}
	m.stand(stood)
	d.p.state.tapKeys(nil, nil)
	d.askAround(1)
}

// stand lets the tables claim to stand for another position, and returns what they did.
func (m *MemState) stand(p Position) Position {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.at["toy/00"]
	m.at["toy/00"] = p
	return was
}

// Months that are over are written once and read as filters: a start after more than a year reads the keys of the last days
// and of the month that goes on, and of no other.
func TestB12_StartReadsMonthsAsFilters(t *testing.T) {
	onAllStates(t, startReadsMonths)
}

func startReadsMonths(t *testing.T, r *rig) {
	d := newDesk(r, 4)
	d.open(nil)
	for day := range 400 {
		d.claim(1)
		if day%20 == 0 {
			d.settle()
		}
		d.clk.Advance(24 * time.Hour)
	}
	d.claim(1)
	d.settle()
	d.p.close()
	today := Day(d.clk.Now())
	month, _ := monthOf(today - openDays)
	want := d.kept()
	found, _, err := r.state.Segments(background, "toy/00", 0, newRegister().keys)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range found {
		if !g.Kept && g.First < month {
			t.Errorf("%v is listed, and the filter of its month is kept", g)
		}
	}
	var mu sync.Mutex
	var days, months []Segment
	d.open(func(s *tapState) {
		s.tapKeys(func(g Segment) { mu.Lock(); days = append(days, g); mu.Unlock() },
			func(g Segment) { mu.Lock(); months = append(months, g); mu.Unlock() })
	})
	d.settle()
	mu.Lock()
	for _, g := range days {
		if g.First < month {
			t.Errorf("the keys of %v are read, and %d begins the month", g, month)
		}
	}
	if len(months) != len(want) || len(want) < 13*deskTenants {
		t.Errorf("%d filters of months are read, of %d", len(months), len(want))
	}
	mu.Unlock()
	if n, m := d.filters(1); n > openDays || m > 15 {
		t.Errorf("a new key asks the filters of %d days and %d months", n, m)
	}
	before := d.p.state.loads.Load()
	d.claim(20)
	if n := d.p.state.loads.Load() - before; n > 6 { // 15 filters, each wrong once in a thousand
		t.Errorf("%d new keys took %d reads", 20*deskTenants, n)
	}
	d.askAround(7)
}

// The month of a tenant who is seldom seen is kept once it is over, although nothing is left to be joined to it by then.
func TestB12_QuietMonthsAreKept(t *testing.T) {
	d := newDesk(newRig(t), 8)
	d.open(nil)
	d.claimOf(1, 2)
	for range 30 {
		d.claimOf(2, 1)
		d.settle()
		d.clk.Advance(24 * time.Hour)
	}
	for _, s := range []Segment{{1, 20697, 20726, true}, {2, 20697, 20726, true}} { // September 2026
		f, err := d.state.Filter(background, 0, d.keys, s)
		if err != nil || f.Bits == nil {
			t.Errorf("tenant %d: %v", s.Tenant, err)
		}
	}
	d.restart(false, nil)
	d.askAround(1)
}

func TestMonthOf(t *testing.T) {
	for _, month := range []struct{ from, to string }{
		{"1970-01-01", "1970-01-31"},
		{"2026-09-01", "2026-09-30"},
		{"2026-12-01", "2026-12-31"},
		{"2027-02-01", "2027-02-28"},
		{"2028-02-01", "2028-02-29"},
		{"2100-02-01", "2100-02-28"},
	} {
		from, _ := time.Parse(time.DateOnly, month.from)
		to, _ := time.Parse(time.DateOnly, month.to)
		first, last := Day(clock.FromTime(from)), Day(clock.FromTime(to))
		for day := first; day <= last; day++ {
			if f, l := monthOf(day); f != first || l != last {
				t.Fatalf("day %d is in %d-%d, not %d-%d", day, f, l, first, last)
			}
		}
	}
}

// A kept filter that does not fit is made again from the keys, and so are those of tables that are made again.
func TestB12_KeptFiltersAreDerived(t *testing.T) {
	spoils := map[string]string{
		"bits":           "UPDATE book_filters SET bits = (SELECT f.bits FROM book_filters f WHERE f.tenant = 2 ORDER BY f.month LIMIT 1)",
		"half":           "UPDATE book_filters SET bits = sum",
		"sum":            "UPDATE book_filters SET sum = bits",
		"count":          "UPDATE book_filters SET keys = keys + 1",
		"missing":        "DELETE FROM book_filters WHERE tenant < 3",
		"another tenant": "UPDATE book_filters SET (keys, sum, bits) = (SELECT keys, sum, bits FROM book_filters f WHERE f.tenant = 3 AND f.month = book_filters.month)",
	}
	onStores(t, func(t *testing.T, r *rig) {
		d := newDesk(r, 5)
		d.open(nil)
		for range 24 {
			d.claim(2)
			d.settle()
			r.clk.Advance(3 * 24 * time.Hour)
		}
		d.claim(1)
		d.settle()
		want := d.kept()
		if len(want) < 2*deskTenants {
			t.Fatalf("%d filters are kept", len(want))
		}
		for name, text := range spoils {
			d.p.close()
			err := r.state.(*SQLState).DB().Write(background, func(tx *sql.Tx) error { _, err := tx.Exec(text); return err })
			if err != nil {
				t.Fatal(err)
			}
			if slices.Equal(d.kept(), want) {
				t.Fatalf("%s: nothing was spoilt", name)
			}
			d.open(nil)
			d.askAround(5)
			d.settle()
			d.askAround(1)
			if !slices.Equal(d.kept(), want) {
				t.Errorf("%s: other filters are kept than before", name)
			}
		}
		d.p.close()
		if err := r.state.Wipe(background, "toy/00", 0, newRegister().Tables()); err != nil {
			t.Fatal(err)
		}
		var left int
		err := r.state.(*SQLState).DB().Read(background, func(tx *sql.Tx) error {
			return tx.QueryRow("SELECT COUNT(*) FROM book_filters").Scan(&left)
		})
		if err != nil || left != 0 {
			t.Errorf("%d filters of no keys are kept, %v", left, err)
		}
		d.open(nil)
		d.askAround(5)
		d.claim(1) // what was replayed is saved
		d.settle()
		if !slices.Equal(d.kept(), want) {
			t.Error("tables made again keep other filters")
		}
	})
}

// A kept filter of another fold version, table or volume is not believed.
func TestKeptFilterIsForOneThing(t *testing.T) {
	r := newRig(t)
	d := newDesk(r, 6)
	d.open(nil)
	for range 3 {
		d.claim(2)
		d.settle()
		r.clk.Advance(20 * 24 * time.Hour)
	}
	for at, f := range r.state.(*MemState).kept {
		first, last := monthOf(at.month)
		l := label{at.table, 0, 1, Segment{at.tenant, first, last, true}}
		if got, ok := f.open(l); !ok || got.Len() != int(f.Keys) {
			t.Fatalf("the filter of %+v does not open", l)
		}
		for _, other := range []label{
			{"other", 0, 1, l.month},
			{at.table, 1, 1, l.month},
			{at.table, 0, 2, l.month},
			{at.table, 0, 1, Segment{at.tenant + 1, first, last, true}},
			{at.table, 0, 1, Segment{at.tenant, first, last - 1, true}},
		} {
			if _, ok := f.open(other); ok {
				t.Errorf("the filter of %+v opens as that of %+v", l, other)
			}
		}
	}
}

// Whatever happens in whatever order, the index answers as a map does.
func TestB12_KeysAnswerAsAMap(t *testing.T) {
	onAllStates(t, func(t *testing.T, r *rig) { answersAsAMap(r, 0) })
	for seed := range uint64(6) {
		answersAsAMap(newRig(t), seed+1)
	}
}

func answersAsAMap(r *rig, seed uint64) {
	d := newDesk(r, seed)
	d.open(nil)
	for range 120 {
		switch d.rnd.IntN(12) {
		case 0, 1, 2:
			d.claim(1 + d.rnd.IntN(2))
		case 3, 4:
			r.clk.Advance(time.Duration(d.rnd.IntN(40)) * time.Hour)
		case 5:
			r.clk.Advance(time.Duration(d.rnd.IntN(30)) * 24 * time.Hour)
		case 6:
			d.restart(d.rnd.IntN(2) == 0, nil)
		case 7:
			d.settle()
		case 8:
			d.spoil()
		default:
			d.askAround(1 + len(d.all)/10)
		}
	}
	d.settle()
	d.askAround(1)
	d.p.close()
}

// spoil changes a byte of some of the filters that are kept.
func (d *desk) spoil() {
	d.t.Helper()
	k := newRegister().keys
	found, _, err := d.state.Segments(background, "toy/00", 0, k)
	for _, s := range found {
		if s.Kept && d.rnd.IntN(2) == 0 {
			f, ferr := d.state.Filter(background, 0, k, s)
			f.Bits = slices.Clone(f.Bits)
			f.Bits[d.rnd.IntN(len(f.Bits))]++
			err = errors.Join(err, ferr, d.state.KeepFilter(background, 0, k, s, f))
		}
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// Nothing is filed under a day that is over: its filter is not asked any more.
func TestB12_DaysThatAreOverGetNoKey(t *testing.T) {
	d := newDesk(newRig(t), 7)
	d.open(nil)
	for range 4 {
		d.claim(1)
		d.settle()
		d.clk.Advance(24 * time.Hour)
	}
	defer func() {
		if recover() == nil {
			t.Error("a key was filed under a day that is over")
		}
	}()
	d.book.mu.Lock()
	defer d.book.mu.Unlock()
	d.keys.Put(Key{1, d.key()}, KeyEntry{At: start})
}
