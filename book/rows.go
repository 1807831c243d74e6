package book

import (
	"encoding/binary"
	"fmt"

	"github.com/koban-pay/koban/internal/clock"
)

// Schema says how the rows of one table are kept in SQL. It is declared in a service's sql.go; the table itself, with
// the columns tenant, volume and id as primary key, stands in the service's migrations.
type Schema[V any] struct {
	Table   string   // name of the SQL table
	Columns []string // value columns, in the order of Args and Scan
	Fixed   []string // those of Columns that never change once the row is made: a later save leaves them and their indexes alone
	// Args appends the values of the columns. int64, string, []byte and nil are the only types. Bytes are copied before the
	// next call: they may be the row's own, or memory that is used again.
	Args func(v *V, args []any) []any
	// Scan reads the columns into v; scan takes one pointer per column.
	Scan func(scan func(dest ...any) error, v *V) error
	// Due returns when the row wants to be looked at (Machine.Expire), 0 for never. The table then has the columns
	// of Columns plus an indexed column "due". Nil: the table has no due times.
	Due func(v *V) clock.Micros
	// Passing says that what a row stands for ends soon and is hardly asked for afterwards, as a payment is and an account is
	// not. Of such rows fewer stay in memory (Limits.Passing).
	Passing bool
}

// Table is a table of a machine: a *Rows or a *Keys.
type Table interface {
	base() *tableBase
	resident(Key) bool
	install(k Key, raw any)
	scan(scan func(dest ...any) error) (any, error)
	snapshot(dst *TableSave)
	saved()
	unsaved() int
	evict(limit int, keepSince clock.Micros)
	forget()
	restore(stored bool)
	count() int
	settle()
	expect(Key) bool
	expectUnsaved()
	dueNow(d *dueAt, now clock.Micros) bool
}

// tableBase is what the kernel knows of every table.
type tableBase struct {
	table     string
	columns   []string
	fixed     []string
	timed     bool
	passing   bool         // Schema.Passing
	segmented bool         // the primary key is (tenant, volume, day, id); "day" is the first of columns
	fresh     clock.Micros // every row whose id was made at or after this time is in memory (rule B12)
	newest    clock.Micros // the latest time in any row's id
	due       dueHeap
	at        uint64      // the block that Apply changes rows for
	seen      uint64      // the latest block that changed a row which the decision under way has read
	added     int         // rows that came into memory since the last eviction
	awaited   map[Key]int // rows that somebody reads or is going to read: how many times
}

// await says that a row is going to be read. If it comes into memory meanwhile it stays there until arrived is called: what
// the read finds may be older, and must not take its place.
func (b *tableBase) await(k Key) {
	if b.awaited == nil {
		b.awaited = make(map[Key]int)
	}
	b.awaited[k]++
}

func (b *tableBase) arrived(k Key) {
	if b.awaited[k]--; b.awaited[k] == 0 {
		delete(b.awaited, k)
	}
}

// Rows holds the rows of one table: what is hot or not yet saved stays in memory, the rest is fetched when a command
// declares that it touches it (rule B11).
type Rows[V any] struct {
	tableBase
	schema Schema[V]
	m      map[Key]*row[V]
	near   [nearRows]*row[V] // of m, some that were looked for last: a command looks for each of its rows several times
	dirty  []*row[V]
	saving []*row[V]
	edited []*row[V] // changed since settle: their due times may have moved
	order  queue[*row[V]]
}

type row[V any] struct {
	v      V
	key    Key
	queued *dueAt       // its entry in the heap, nil for none
	seq    uint64       // the block that changed it last; 0 if that was saved when it came into memory
	stands clock.Micros // the due time that the tables have, or will with the save under way
	stored bool         // the tables have the row, or will
	absent bool         // known not to exist
	dirty  bool         // changed since the last snapshot
	saving bool         // in the snapshot that is being saved
	hot    bool         // read since the last eviction pass
}

// NewRows returns an empty table.
func NewRows[V any](s Schema[V]) *Rows[V] {
	r := &Rows[V]{schema: s, m: make(map[Key]*row[V])}
	r.table, r.columns, r.fixed, r.timed, r.passing = s.Table, s.Columns, s.Fixed, s.Due != nil, s.Passing
	return r
}

// nearRows is a power of two.
const nearRows = 512

// spot returns where a row may be found without the map.
func spot(k *Key) uint64 {
	x := binary.LittleEndian.Uint64(k.ID[:8]) ^ binary.LittleEndian.Uint64(k.ID[8:])
	return x * 0x9e3779b97f4a7c15 >> 32 % nearRows // Fibonacci hashing: Knuth, volume 3, 6.4
}

// find returns the row if it is in memory.
func (r *Rows[V]) find(k Key) (*row[V], bool) {
	at := &r.near[spot(&k)]
	if w := *at; w != nil && w.key == k {
		return w, true
	}
	w, ok := r.m[k]
	if ok {
		*at = w
	}
	return w, ok
}

func (r *Rows[V]) base() *tableBase { return &r.tableBase }

func (r *Rows[V]) count() int { return len(r.m) }

func (r *Rows[V]) resident(k Key) bool {
	if _, ok := r.find(k); ok {
		return true
	}
	return k.ID.Time() >= r.fresh
}

// Touch declares that the row is going to be read or written. It reports whether the row is at hand: then it may be read
// at once, to declare what it leads to. Otherwise the core fetches it and asks again.
func (r *Rows[V]) Touch(t *Touch, k Key) bool {
	if w, ok := r.find(k); ok {
		w.hot = true // it must not make way for the other rows that the command waits for
		return true
	}
	if r.resident(k) {
		return true
	}
	t.missing = append(t.missing, Want{Table: r, Key: k})
	return false
}

// Get returns the row, or nil if there is none. The row belongs to the table: Decide must not change it. Reading a
// row that was not declared panics, because the answer would depend on what happens to be in memory.
func (r *Rows[V]) Get(k Key) *V {
	w, ok := r.find(k)
	if !ok {
		if !r.resident(k) {
			panic(fmt.Sprintf("book: %s %v was read without being declared in Touch", r.table, k))
		}
		return nil
	}
	w.hot = true
	r.seen = max(r.seen, w.seq)
	if w.absent {
		return nil
	}
	return &w.v
}

// Edit returns the row to be changed, and makes it if there is none. Only Apply may call it.
func (r *Rows[V]) Edit(k Key) *V {
	w, ok := r.find(k)
	if !ok {
		if !r.resident(k) {
			panic(fmt.Sprintf("book: %s %v was written without being declared in TouchEvent", r.table, k))
		}
		w = &row[V]{key: k}
		r.add(w)
	}
	w.absent, w.hot, w.seq = false, true, r.at
	if !w.dirty {
		w.dirty = true
		r.dirty = append(r.dirty, w)
	}
	if r.timed {
		r.edited = append(r.edited, w)
	}
	return &w.v
}

// Have returns a row that an earlier event has made, to be changed. Only Apply may call it. If there is none, the tables are not
// what the book has left: it panics with a *MissingError.
func (r *Rows[V]) Have(k Key) *V {
	if w, ok := r.find(k); ok && w.absent || !ok && r.resident(k) {
		panic(&MissingError{Table: r.table, Key: k})
	}
	return r.Edit(k)
}

// MissingError says that a row is not there which an earlier event has made.
type MissingError struct {
	Table string
	Key   Key
}

// Error implements error.
func (e *MissingError) Error() string {
	return fmt.Sprintf("table %s has no row %d/%x, which an earlier block has made", e.Table, e.Key.Tenant, e.Key.ID)
}

func (r *Rows[V]) add(w *row[V]) {
	r.m[w.key] = w
	r.order.push(w)
	r.added++
	r.newest = max(r.newest, w.key.ID.Time())
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
	w := &row[V]{stored: true}
	err := r.schema.Scan(scan, &w.v)
	if err == nil && r.timed {
		w.stands = r.schema.Due(&w.v)
	}
	return w, err
}

// install puts a fetched row into memory; raw is nil where there is none. What is in memory already is newer.
func (r *Rows[V]) install(k Key, raw any) {
	if _, ok := r.find(k); ok {
		return
	}
	w, ok := raw.(*row[V])
	if !ok {
		w = &row[V]{absent: true}
	}
	w.key, w.hot = k, true
	r.add(w)
	r.expectRow(w)
}

// settle tells the heap the due times of what was changed since the last call.
func (r *Rows[V]) settle() {
	for _, w := range r.edited {
		r.expectRow(w)
	}
	r.edited = r.edited[:0]
}

// expect tells the heap when the row is due, if it is in memory.
func (r *Rows[V]) expect(k Key) bool {
	w, ok := r.m[k]
	if ok {
		r.expectRow(w)
	}
	return ok
}

func (r *Rows[V]) expectUnsaved() {
	for _, list := range [][]*row[V]{r.dirty, r.saving} {
		for _, w := range list {
			r.expectRow(w)
		}
	}
}

// expectRow has the heap say when the row is due: at no other time, and never if it is not due any more.
func (r *Rows[V]) expectRow(w *row[V]) {
	if !r.timed || w.absent {
		return
	}
	at := r.schema.Due(&w.v)
	switch soon := at != 0 && at < r.due.horizon; {
	case soon && w.queued == nil:
		w.queued = &dueAt{at: at, key: w.key}
		r.due.push(w.queued)
	case soon && w.queued.at != at:
		r.due.move(w.queued, at)
	case !soon && w.queued != nil:
		r.due.remove(w.queued)
		w.queued = nil
	}
}

// dueNow reports whether the row of an entry that was taken out of the heap is due. If so, it comes up again after a
// while, should the command that is made for it fail.
func (r *Rows[V]) dueNow(d *dueAt, now clock.Micros) bool {
	w, ok := r.m[d.key]
	if !ok || w.absent || w.queued != d {
		return false // another entry stands for it, or none has to
	}
	w.queued = nil
	if at := r.schema.Due(&w.v); at == 0 || at > now {
		r.expectRow(w)
		return false
	}
	d.at, w.queued = now+dueRetry, d
	r.due.push(d)
	return true
}

func (r *Rows[V]) snapshot(dst *TableSave) {
	dst.table = &r.tableBase
	dst.Keys, dst.Args = make([]Key, 0, len(r.dirty)), make([]any, 0, len(r.dirty)*r.width())
	for _, w := range r.dirty {
		if !w.stored {
			r.encode(dst, w)
		}
	}
	dst.Fresh = len(dst.Keys)
	if r.timed {
		for _, w := range r.dirty {
			if w.dirty && w.stands != r.schema.Due(&w.v) {
				r.encode(dst, w)
			}
		}
		dst.Moved = len(dst.Keys) - dst.Fresh
	}
	for i, w := range r.dirty {
		if !saves(i, len(r.dirty)) {
			w.dirty = false
		}
		if w.dirty {
			r.encode(dst, w)
		}
	}
	r.dirty, r.saving = r.saving[:0], r.dirty
}

// encode adds a row to a snapshot.
func (r *Rows[V]) encode(dst *TableSave, w *row[V]) {
	w.dirty, w.saving, w.stored = false, true, true
	dst.Keys = append(dst.Keys, w.key)
	from := len(dst.Args)
	dst.Args = r.schema.Args(&w.v, dst.Args)
	for i := from; i < len(dst.Args); i++ {
		if b, ok := dst.Args[i].([]byte); ok {
			dst.Args[i] = dst.keep(b)
		}
	}
	if r.timed {
		w.stands = r.schema.Due(&w.v)
		dst.Args = append(dst.Args, int64(w.stands))
	}
}

func (r *Rows[V]) saved() {
	for _, w := range r.saving {
		w.saving = false
	}
	r.saving = r.saving[:0]
}

func (r *Rows[V]) unsaved() int { return len(r.dirty) + len(r.saving) }

// evict drops rows that are saved and were not read since it last met them, until limit rows are left. Rows whose id
// was made at or after keepSince stay, so that a fresh id is known to be new without a read, up to twice the limit.
func (r *Rows[V]) evict(limit int, keepSince clock.Micros) {
	budget := sweepBudget(r.added)
	r.added = 0
	r.order.sweep(len(r.m)-limit, budget, func(w *row[V]) bool {
		switch {
		case w.dirty || w.saving, r.isAwaited(w.key), w.key.ID.Time() >= keepSince && len(r.m) <= 2*limit:
			return false
		case w.hot:
			w.hot = false
			return false
		}
		r.drop(w)
		return true
	})
}

func (r *Rows[V]) forget() {
	r.order.sweep(len(r.m), len(r.m), func(w *row[V]) bool {
		if unsaved(w.dirty, w.saving) || r.isAwaited(w.key) {
			return false
		}
		r.drop(w)
		return true
	})
}

func (r *Rows[V]) drop(w *row[V]) {
	delete(r.m, w.key)
	if at := &r.near[spot(&w.key)]; *at == w {
		*at = nil
	}
	r.fresh = max(r.fresh, w.key.ID.Time()+clock.Millisecond)
}

func (r *Rows[V]) restore(bool) {
	clear(r.m)
	r.near = [nearRows]*row[V]{}
	r.dirty, r.saving, r.edited, r.order, r.due = nil, nil, nil, queue[*row[V]]{}, dueHeap{}
}
