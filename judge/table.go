package judge

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
)

// Table is a state table of which Row compares rows.
type Table struct {
	Name    string
	Columns []string // that are compared, behind tenant, volume and id
	// Stays is how many of Columns, the last ones, no rule gives. As they were when they were first seen, so they stay until an
	// event changes the row.
	Stays int
	// Want returns what the journal gives for a row that is kept in full, as text in the order of Columns but for those that stay;
	// nil for one that is not.
	Want func(book.Key) []string
	// Read makes text of the values of Columns but for those that stay; nil: each value is its own text.
	Read func(values []any) ([]string, error)
	// Believe takes a row for what it says, where it is older than what is judged, and reports whether it is kept in full
	// from now on; nil: never.
	Believe func(k book.Key, values []any) bool
	// Rest returns where the digest of the columns that stay is noted; nil if the row is not kept in full.
	Rest func(book.Key) *rest
	// Saw notes that the sweep has seen a row that is kept in full; nil: no row of the table is.
	Saw func(book.Key)
	// Missing returns the rows of a volume that are kept in full and that the sweep has not seen, of those that were there before a
	// time.
	Missing func(volume int, before clock.Micros) []book.Key

	Stands bool // value stands on its rows, however long nobody has touched them

	service string
	keys    bool // callers' keys
}

// rest is the digest of what no rule gives of a row, as it was when it was first seen.
type rest struct {
	sum  digest
	seen bool
}

// RowKey names a row of a state table.
type RowKey struct {
	Table string
	Key   book.Key
}

// Tables returns the state tables of a service, ordered by name.
func (j *Judge) Tables(service string) (out []*Table) {
	for _, t := range j.tables {
		if t.service == service {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b *Table) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// maxChanged is how many changed rows of one book are listed; what is beyond that, the sweep sees.
const maxChanged = 4096

// change notes that an event changed a row.
func (j *Judge) change(book, table string, k book.Key) {
	if j.Remember == 0 || table == "" {
		return
	}
	if t := j.tables[table]; t != nil && t.Rest != nil {
		if r := t.Rest(k); r != nil {
			*r = rest{}
		}
	}
	if j.Deep {
		return // every row is shown once
	}
	list := j.changed[book]
	if list == nil {
		list = map[RowKey]struct{}{}
		j.changed[book] = list
	}
	if len(list) < maxChanged {
		list[RowKey{table, k}] = struct{}{}
	}
}

// Changed returns rows that the book's blocks have changed since the last call, up to 4,096 of them, those of one table
// together.
func (j *Judge) Changed(name string) (out []RowKey) {
	for k := range j.changed[name] {
		out = append(out, k)
	}
	delete(j.changed, name)
	slices.SortFunc(out, func(a, b RowKey) int {
		if c := strings.Compare(a.Table, b.Table); c != 0 {
			return c
		}
		return compareKeys(a.Key, b.Key)
	})
	return out
}

// Row compares a row of a state table with what the journal says of it. Values are those of the table's Columns, nil if there is
// no such row. The tables must have stood for exactly the block that the book was fed to. Config.Remember must be above 0.
//
// Invariants: I24, or I3 for what stands on an account.
func (j *Judge) Row(name string, r RowKey, values []any) {
	t := j.tables[r.Table]
	if t == nil {
		return
	}
	want := t.Want(r.Key)
	if values == nil {
		_, ended := j.rows.get(t.Name, r.Key)
		j.row(want == nil && !ended, name, r, "the journal gives it, and the table has no such row")
		return
	}
	n := len(t.Columns) - t.Stays
	got, err := t.text(values[:n])
	if err != nil {
		j.row(false, name, r, "it cannot be read: %v", err)
		return
	}
	if want != nil {
		if t.Saw != nil {
			t.Saw(r.Key)
		}
		j.checked["I24"] += int64(len(t.Columns))
		for i, c := range t.Columns[:n] {
			if got[i] != want[i] {
				j.row(false, name, r, "%s is %s, and the journal gives %s", c, got[i], want[i])
			}
		}
		if t.Stays > 0 {
			was, is := t.Rest(r.Key), j.rest(r.Key, values[n:])
			if !was.seen {
				*was = rest{is, true}
			}
			j.row(was.sum == is, name, r, "one of %v has changed, and no event has changed the row", t.Columns[n:])
		}
		return
	}
	if t.keys {
		have, ok := j.keys.get(t.Name, r.Key)
		j.row(!ok && j.since > 0 || have == j.digest("", r.Key, got...), name, r, "it stands for %s, and the journal gives something else, or no such key", got[0])
		return
	}
	sum := j.digest("", r.Key, got...)
	have, ok := j.rows.get(t.Name, r.Key)
	switch {
	case ok:
		whole := (sum<<1 ^ j.rest(r.Key, values[n:])) | seenWhole
		right := have == whole
		if have&seenWhole == 0 {
			if right = have == sum&^seenWhole; right && t.Stays > 0 && !j.Deep {
				j.rows.put(t.Name, r.Key, whole)
			}
		}
		j.row(right, name, r, "it ended, and what it says since then is not what the journal gives: %v", pairs{t.Columns[:n], got})
	case j.believes(r.Key):
		if t.Believe == nil || !t.Believe(r.Key, values) {
			j.keep(t.Name, r.Key, sum)
		}
	default:
		j.row(false, name, r, "the journal gives no such row")
	}
}

// seenWhole marks the digest of a row that ended and was seen since: it is of all columns, and no longer of those alone that the
// journal gives.
const seenWhole = digest(1)

// rest returns the digest of the columns that stay.
func (j *Judge) rest(k book.Key, values []any) digest {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = text(v)
	}
	return j.digest("", k, out...)
}

// believes reports whether a row that is not known may be one that the judge gave up, or never saw.
func (j *Judge) believes(k book.Key) bool {
	return j.dropped > 0 || j.since > 0 || !j.Deep && j.over(book.Key{Tenant: k.Tenant, ID: k.ID.Root()})
}

func (j *Judge) row(ok bool, name string, r RowKey, format string, args ...any) {
	j.checked["I24"]++
	if !ok {
		j.Found(Violation{Invariant: "I24", Book: name, Subject: fmt.Sprintf("%s %s", r.Table, j.rowName(r)), Message: fmt.Sprintf(format, args...)})
	}
}

func (j *Judge) rowName(r RowKey) string {
	switch {
	case strings.HasSuffix(r.Table, "_accounts"):
		return j.Account(r.Key.ID).String()
	case strings.HasSuffix(r.Table, "_branches"):
		return fmt.Sprintf("%s part %d", j.Payment(r.Key.ID), r.Key.ID.Part())
	case r.Table == "payments":
		return j.Payment(r.Key.ID).String()
	}
	return fmt.Sprintf("%x of tenant %d", r.Key.ID, r.Key.Tenant)
}

// text returns a row's values as text.
func (t *Table) text(values []any) ([]string, error) {
	if t.Read != nil {
		return t.Read(values)
	}
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = text(v)
	}
	return out, nil
}

func text(v any) string {
	switch v := v.(type) {
	case int64:
		return strconv.FormatInt(v, 10)
	case string:
		return v
	case []byte:
		return hex(v)
	case nil: // SQLite's driver reads empty bytes as none
		return ""
	}
	return fmt.Sprint(v)
}

// pairs are the columns of a row and what they say. They are put into words only where something is wrong.
type pairs struct{ columns, values []string }

// String returns them on one line.
func (p pairs) String() string {
	out := make([]string, len(p.columns))
	for i := range p.columns {
		out[i] = p.columns[i] + " " + p.values[i]
	}
	return strings.Join(out, ", ")
}

// Once judges that a row was made that never changes: the digest of what it says is kept, for Row.
func (e *Event) Once(table string, k book.Key, facts ...string) {
	if e.j.Remember > 0 {
		e.j.keep(table, k, e.j.digest("", k, facts...))
	}
}

// remember keeps the digest of a row that is about to be given up.
func (j *Judge) remember(table string, k book.Key) {
	if t := j.tables[table]; t != nil && j.Remember > 0 {
		if want := t.Want(k); want != nil {
			j.keep(table, k, j.digest("", k, want...))
		}
	}
}

func (j *Judge) keep(table string, k book.Key, sum digest) {
	if j.rows.size() >= j.Remember {
		j.dropped++
		return
	}
	j.rows.put(table, k, sum&^seenWhole)
}

// forget gives up what a row said that is about to change, and is not kept in full.
func (j *Judge) forget(table string, k book.Key) { j.rows.drop(table, k) }

// Sweep begins a sweep: every row of every table is going to be shown to Row.
func (j *Judge) Sweep() {
	j.sweep++
	for _, l := range j.ledgers {
		l.accounts.sweep()
	}
}

// Swept says that the sweep which Sweep began at a time has shown all rows of a volume's tables: one that is kept in full and was
// not shown is missing.
func (j *Judge) Swept(service string, volume int, began clock.Micros) {
	name := book.Name(service, volume)
	for _, t := range j.Tables(service) {
		if t.Missing == nil {
			continue
		}
		missing := t.Missing(volume, began)
		slices.SortFunc(missing, compareKeys)
		for _, k := range missing {
			j.row(false, name, RowKey{t.Name, k}, "the journal gives it, and the table has no such row")
		}
	}
}

// Size says how much a judge keeps.
type Size struct {
	Accounts, Branches, Payments int   // in full
	Ended                        int   // payments of which little is kept
	Rows                         int   // of which a digest is kept
	Dropped                      int64 // rows of which nothing is kept, for want of room
}

// Size returns how much the judge keeps.
func (j *Judge) Size() Size {
	s := Size{
		Branches: len(j.branches), Payments: len(j.payments), Ended: len(j.ended), Rows: j.rows.size() + j.keys.size(),
		Dropped: j.dropped,
	}
	for _, l := range j.ledgers {
		s.Accounts += l.accounts.len()
	}
	return s
}

// ByDay reports whether the table's primary key has the day before the id, as those of callers' keys have.
func (t *Table) ByDay() bool { return t.keys }
