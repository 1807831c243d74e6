package book

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sort"
	"sync"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// MemState keeps the tables of books in memory: for the simulator, for tests of machines, and to rebuild tables beside
// the real ones.
type MemState struct {
	mu     sync.Mutex
	at     map[string]Position
	tables map[string]map[memKey][]any
	kept   map[memFilter]KeptFilter
}

// memFilter names the filter of a tenant's month.
type memFilter struct {
	table  string
	volume int
	tenant id.Tenant
	month  int64
}

type memKey struct {
	volume int
	key    Key
}

// NewMemState returns empty tables.
func NewMemState() *MemState {
	return &MemState{
		at: make(map[string]Position), tables: make(map[string]map[memKey][]any),
		kept: make(map[memFilter]KeptFilter),
	}
}

// Saved implements State.
func (m *MemState) Saved(_ context.Context, book string) (Position, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.position(book), nil
}

func (m *MemState) position(book string) Position {
	p := m.at[book]
	p.Head.Book = book
	return p
}

// Load implements State.
func (m *MemState) Load(_ context.Context, book string, volume int, wants []Want) ([]any, Position, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]any, len(wants))
	for i, w := range wants {
		args, ok := m.tables[TableName(w.Table)][memKey{volume, w.Key}]
		if !ok {
			continue
		}
		raw, err := w.Table.scan(func(dest ...any) error { return assign(dest, args) })
		if err != nil {
			return nil, Position{}, err
		}
		out[i] = raw
	}
	return out, m.position(book), nil
}

// assign copies stored values into the destinations of a scan, as database/sql would.
func assign(dest, args []any) error {
	for i, d := range dest {
		if args[i] == nil {
			continue
		}
		arg := args[i]
		if b, ok := arg.([]byte); ok {
			arg = bytes.Clone(b) // the row may change it
		}
		switch d := d.(type) {
		case *int64:
			if v, ok := arg.(int64); ok {
				*d = v
				continue
			}
		case *string:
			if v, ok := arg.(string); ok {
				*d = v
				continue
			}
		case *[]byte:
			if v, ok := arg.([]byte); ok {
				*d = v
				continue
			}
		}
		to, from := reflect.ValueOf(d).Elem(), reflect.ValueOf(arg)
		if !from.CanConvert(to.Type()) {
			return fmt.Errorf("book: column %d: %s does not fit %s", i, from.Type(), to.Type())
		}
		to.Set(from.Convert(to.Type()))
	}
	return nil
}

// DueBefore implements State.
func (m *MemState) DueBefore(_ context.Context, volume int, t Table, after DueRow, before clock.Micros, limit int) (out []DueRow, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, args := range m.tables[TableName(t)] {
		d := DueRow{k.key, clock.Micros(args[len(args)-1].(int64))}
		if k.volume == volume && d.At > 0 && d.At < before && d.Compare(after) > 0 {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, DueRow.Compare)
	return out[:min(len(out), limit)], nil
}

// Segments implements State.
func (m *MemState) Segments(_ context.Context, book string, volume int, k *Keys) (out []Segment, at Position, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := make(map[Segment]bool)
	for f := range m.kept {
		if f.table == k.table && f.volume == volume {
			first, last := monthOf(f.month)
			seen[Segment{f.tenant, first, last, true}] = true
		}
	}
	for key, args := range m.tables[k.table] {
		day := args[0].(int64)
		first, last := monthOf(day)
		if key.volume == volume && !seen[Segment{key.key.Tenant, first, last, true}] {
			seen[Segment{key.key.Tenant, day, day, false}] = true
		}
	}
	return slices.AppendSeq(out, maps.Keys(seen)), m.position(book), nil
}

// SegmentKeys implements State.
func (m *MemState) SegmentKeys(_ context.Context, book string, volume int, k *Keys, day Segment, after id.ID, limit int) (out []id.ID, at Position, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range m.keys(volume, k, day) {
		if x.Compare(after) > 0 {
			out = append(out, x)
		}
	}
	slices.SortFunc(out, id.ID.Compare)
	return out[:min(len(out), limit)], m.position(book), nil
}

// CountKeys implements State.
func (m *MemState) CountKeys(_ context.Context, volume int, k *Keys, s Segment) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.keys(volume, k, s)), nil
}

func (m *MemState) keys(volume int, k *Keys, s Segment) (out []id.ID) {
	for key, args := range m.tables[k.table] {
		day := args[0].(int64)
		if key.volume == volume && key.key.Tenant == s.Tenant && s.First <= day && day <= s.Last {
			out = append(out, key.key.ID)
		}
	}
	return out
}

// Filter implements State.
func (m *MemState) Filter(_ context.Context, volume int, k *Keys, month Segment) (KeptFilter, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kept[memFilter{k.table, volume, month.Tenant, month.First}], nil
}

// KeepFilter implements State.
func (m *MemState) KeepFilter(_ context.Context, volume int, k *Keys, month Segment, f KeptFilter) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept[memFilter{k.table, volume, month.Tenant, month.First}] = f
	return nil
}

// Save implements State.
func (m *MemState) Save(_ context.Context, sets []*SaveSet) (lost []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, set := range sets {
		p := m.at[set.Book]
		if p.Head.Seq == set.To.Seq && p.Head.Hash == set.To.Hash {
			continue
		}
		if p.Head.Seq != set.From.Seq || p.Head.Hash != set.From.Hash {
			lost = append(lost, set.Book)
			continue
		}
		m.at[set.Book] = Position{Head: set.To, At: set.At, Newest: set.Newest, Fold: set.Fold}
		for i := range set.Tables {
			m.put(set.Volume, &set.Tables[i])
		}
	}
	return lost, nil
}

func (m *MemState) put(volume int, t *TableSave) {
	rows := m.tables[t.Name()]
	if rows == nil {
		rows = make(map[memKey][]any)
		m.tables[t.Name()] = rows
	}
	w := t.Width()
	for i, k := range t.Keys {
		args := make([]any, w)
		for j, a := range t.Args[i*w : (i+1)*w] {
			if b, ok := a.([]byte); ok {
				a = append([]byte(nil), b...)
			}
			args[j] = a
		}
		rows[memKey{volume, k}] = args
	}
}

// Wipe implements State.
func (m *MemState) Wipe(_ context.Context, book string, volume int, tables []Table) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.at, book)
	for _, t := range tables {
		name := TableName(t)
		maps.DeleteFunc(m.tables[name], func(k memKey, _ []any) bool { return k.volume == volume })
		maps.DeleteFunc(m.kept, func(f memFilter, _ KeptFilter) bool { return f.table == name && f.volume == volume })
	}
	return nil
}

// Dump returns every row as a line of text, in order, to compare two states.
func (m *MemState) Dump() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for name, rows := range m.tables {
		for k, args := range rows {
			out = append(out, fmt.Sprintf("%s %02d %v %x", name, k.volume, k.key, fmt.Sprint(args...)))
		}
	}
	sort.Strings(out)
	return out
}

// MemLog is a journal in memory, for the simulator and for tests of machines.
type MemLog struct {
	mu    sync.Mutex
	books map[string][]*journal.Block
}

// NewMemLog returns an empty journal.
func NewMemLog() *MemLog { return &MemLog{books: make(map[string][]*journal.Block)} }

// Write implements Log, with the same compare-and-set as the real journal.
func (m *MemLog) Write(_ context.Context, w journal.Batch) (journal.Fate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fate := journal.Fate{Fenced: make([]bool, len(w.Blocks)), Stale: make([]bool, len(w.Check))}
	for i, b := range w.Blocks {
		h := m.head(b.Book)
		switch {
		case h.Seq == b.Seq && h.Hash == b.Hash: // offered again after a lost reply
		case h.Seq+1 == b.Seq && h.Hash == b.Prev:
			m.books[b.Book] = append(m.books[b.Book], b)
		case forks():
			m.books[b.Book] = append(m.books[b.Book], b)
		default:
			fate.Fenced[i] = true
		}
	}
	for i, c := range w.Check {
		fate.Stale[i] = stale(m.head(c.Book), c)
	}
	return fate, nil
}

func (m *MemLog) head(book string) journal.Head {
	if list := m.books[book]; len(list) > 0 {
		return list[len(list)-1].Head()
	}
	return journal.Head{Book: book}
}

// Head implements Log.
func (m *MemLog) Head(_ context.Context, book string) (journal.Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.head(book), nil
}

// Read implements Log.
func (m *MemLog) Read(_ context.Context, book string, from uint64, limit int) ([]*journal.Block, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.books[book]
	if from < 1 || from > uint64(len(list)) {
		return nil, nil
	}
	list = list[from-1:]
	list = append([]*journal.Block(nil), list[:min(len(list), limit)]...)
	return inOrder(list), nil
}
