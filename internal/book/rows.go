package book

import (
	"fmt"

	"github.com/koban-pay/koban/internal/clock"
)

// Schema says how the rows of one table are kept in SQL. It is declared in a service's sql.go; the table itself, with
// the columns tenant, volume and id as primary key, stands in the service's migrations.
type Schema[V any] struct {
	Table   string   // name of the SQL table
	Columns []string // value columns, in the order of Args and Scan
	// Args appends the values of the columns. int64, string, []byte and nil are the only types.
	Args func(v *V, args []any) []any
	// Scan reads the columns into v; scan takes one pointer per column.
	Scan func(scan func(dest ...any) error, v *V) error
	// Due returns when the row wants to be looked at (Machine.Expire), 0 for never. The table then has the columns
	// of Columns plus an indexed column "due". Nil: the table has no due times.
	Due func(v *V) clock.Micros
}

// Table is a table of a machine: a *Rows or a *Keys.
type Table interface {
	base() *tableBase
	resident(Key) bool
	install(k Key, raw any)
	scan(scan func(dest ...any) error) (any, error)
	snapshot(dst *TableSave)
	saved()
	evict(limit int, keepSince clock.Micros)
	count() int
	settle()
	dueRow(k Key) clock.Micros
}

// tableBase is what the kernel knows of every table.
type tableBase struct {
	table     string
	columns   []string
	timed     bool
	segmented bool         // the primary key is (tenant, volume, day, id); "day" is the first of columns
	fresh     clock.Micros // every row whose id was made at or after this time is in memory (rule B12)
	newest    clock.Micros // the latest time in any row's id
	due       dueHeap
}

// Rows holds the rows of one table: what is hot or not yet saved stays in memory, the rest is fetched when a command
// declares that it touches it (rule B11).
type Rows[V any] struct {
	tableBase
	schema Schema[V]
	m      map[Key]*row[V]
	dirty  []*row[V]
	saving []*row[V]
	edited []*row[V] // changed since settle: their due times may have moved
}

type row[V any] struct {
	v      V
	key    Key
	due    clock.Micros // as last told to the heap
	absent bool         // known not to exist
	dirty  bool         // changed since the last snapshot
	saving bool         // in the snapshot that is being saved
	hot    bool         // read since the last eviction pass
}

// NewRows returns an empty table.
func NewRows[V any](s Schema[V]) *Rows[V] {
	r := &Rows[V]{schema: s, m: make(map[Key]*row[V])}
	r.table, r.columns, r.timed = s.Table, s.Columns, s.Due != nil
	return r
}

func (r *Rows[V]) base() *tableBase { return &r.tableBase }

func (r *Rows[V]) count() int { return len(r.m) }

func (r *Rows[V]) resident(k Key) bool {
	if _, ok := r.m[k]; ok {
		return true
	}
	return k.ID.Time() >= r.fresh
}

// Touch declares that the row is going to be read or written. It reports whether the row is at hand: then it may be read
// at once, to declare what it leads to. Otherwise the core fetches it and asks again.
func (r *Rows[V]) Touch(t *Touch, k Key) bool {
	if r.resident(k) {
		return true
	}
	t.missing = append(t.missing, Want{Table: r, Key: k})
	return false
}

// Get returns the row, or nil if there is none. The row belongs to the table: Decide must not change it. Reading a
// row that was not declared panics, because the answer would depend on what happens to be in memory.
func (r *Rows[V]) Get(k Key) *V {
	w, ok := r.m[k]
	if !ok {
		if !r.resident(k) {
			panic(fmt.Sprintf("book: %s %v was read without being declared in Touch", r.table, k))
		}
		return nil
	}
	w.hot = true
	if w.absent {
		return nil
	}
	return &w.v
}

// Edit returns the row to be changed, and makes it if there is none. Only Apply may call it.
func (r *Rows[V]) Edit(k Key) *V {
	w, ok := r.m[k]
	if !ok {
		if !r.resident(k) {
			panic(fmt.Sprintf("book: %s %v was written without being declared in TouchEvent", r.table, k))
		}
		w = &row[V]{key: k}
		r.m[k] = w
		r.newest = max(r.newest, k.ID.Time())
	}
	w.absent, w.hot = false, true
	if !w.dirty {
		w.dirty = true
		r.dirty = append(r.dirty, w)
	}
	if r.timed {
		r.edited = append(r.edited, w)
	}
	return &w.v
}

// Each calls f for every row in memory; used by tests and by verify, which loads everything.
func (r *Rows[V]) Each(f func(Key, *V)) {
	for k, w := range r.m {
		if !w.absent {
			f(k, &w.v)
		}
	}
}

func (r *Rows[V]) scan(scan func(dest ...any) error) (any, error) {
	w := &row[V]{}
	err := r.schema.Scan(scan, &w.v)
	return w, err
}

// install puts a fetched row into memory; raw is nil where there is none. What is in memory already is newer.
func (r *Rows[V]) install(k Key, raw any) {
	if _, ok := r.m[k]; ok {
		return
	}
	w, ok := raw.(*row[V])
	if !ok {
		r.m[k] = &row[V]{key: k, absent: true, hot: true}
		return
	}
	w.key, w.hot = k, true
	r.m[k] = w
	r.newest = max(r.newest, k.ID.Time())
	if r.timed {
		r.expect(w)
	}
}

// settle tells the heap the due times of what was changed since the last call.
func (r *Rows[V]) settle() {
	for _, w := range r.edited {
		r.expect(w)
	}
	r.edited = r.edited[:0]
}

func (r *Rows[V]) expect(w *row[V]) {
	if at := r.schema.Due(&w.v); at != w.due {
		w.due = at
		if at > 0 {
			r.due.push(dueAt{at: at, key: w.key})
		}
	}
}

func (r *Rows[V]) dueRow(k Key) clock.Micros {
	if w, ok := r.m[k]; ok && !w.absent && r.timed {
		return r.schema.Due(&w.v)
	}
	return 0
}

func (r *Rows[V]) snapshot(dst *TableSave) {
	dst.table = &r.tableBase
	for _, w := range r.dirty {
		w.dirty, w.saving = false, true
		dst.Keys = append(dst.Keys, w.key)
		dst.Args = r.schema.Args(&w.v, dst.Args)
		if r.timed {
			dst.Args = append(dst.Args, int64(r.schema.Due(&w.v)))
		}
	}
	r.dirty, r.saving = r.saving[:0], r.dirty
}

func (r *Rows[V]) saved() {
	for _, w := range r.saving {
		w.saving = false
	}
	r.saving = r.saving[:0]
}

// evict drops rows that are saved and were not read since the last pass, until limit rows are left. Rows whose id was
// made at or after keepSince stay, so that a fresh id is known to be new without a read.
func (r *Rows[V]) evict(limit int, keepSince clock.Micros) {
	over := len(r.m) - limit
	if over <= 0 {
		return
	}
	for k, w := range r.m {
		if w.dirty || w.saving || k.ID.Time() >= keepSince {
			continue
		}
		if w.hot {
			w.hot = false
			continue
		}
		delete(r.m, k)
		r.fresh = max(r.fresh, k.ID.Time()+clock.Millisecond)
		if over--; over <= 0 {
			return
		}
	}
}
