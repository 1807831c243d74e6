package book

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// SQLState keeps the tables of a service's books in its own database. Every table has the columns tenant, volume and
// id as primary key, then the columns of its Schema, then "due" where it has due times.
type SQLState struct {
	db    *store.DB
	mu    sync.Mutex
	texts map[string]string
}

const savedTable = `CREATE TABLE IF NOT EXISTS book_saved (
	book TEXT NOT NULL PRIMARY KEY,
	seq BIGINT NOT NULL,
	hash BYTEA NOT NULL,
	epoch BIGINT NOT NULL,
	at BIGINT NOT NULL,
	newest BIGINT NOT NULL,
	fold BIGINT NOT NULL
)`

// Filters of the months of key indexes that are over: month is the day that it begins with.
const filterTable = `CREATE TABLE IF NOT EXISTS book_filters (
	tenant BIGINT NOT NULL,
	volume BIGINT NOT NULL,
	name TEXT NOT NULL,
	month BIGINT NOT NULL,
	keys BIGINT NOT NULL,
	sum BYTEA NOT NULL,
	bits BYTEA NOT NULL,
	PRIMARY KEY (tenant, volume, name, month)
)`

// NewSQLState returns the state of the service whose tables stand, migrated, in db.
func NewSQLState(ctx context.Context, db *store.DB) (*SQLState, error) {
	if db.ReadOnly() { // who only reads finds what there is
		return &SQLState{db: db, texts: make(map[string]string)}, nil
	}
	err := db.Write(ctx, func(tx *sql.Tx) error {
		for _, t := range []string{savedTable, filterTable} {
			if _, err := tx.ExecContext(ctx, t); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("book: prepare the state tables: %w", err)
	}
	return &SQLState{db: db, texts: make(map[string]string)}, nil
}

// DB returns the database the tables stand in.
func (s *SQLState) DB() *store.DB { return s.db }

// Saved implements State.
func (s *SQLState) Saved(ctx context.Context, book string) (p Position, err error) {
	err = s.db.Read(ctx, func(tx *sql.Tx) error {
		p, err = position(ctx, tx, book)
		return err
	})
	return p, err
}

func position(ctx context.Context, tx *sql.Tx, book string) (Position, error) {
	p := Position{Head: journal.Head{Book: book}}
	var hash []byte
	err := tx.QueryRowContext(ctx, `SELECT seq, hash, epoch, at, newest, fold FROM book_saved WHERE book = $1`, book).
		Scan(&p.Head.Seq, &hash, &p.Head.Epoch, &p.At, &p.Newest, &p.Fold)
	if errors.Is(err, sql.ErrNoRows) {
		return p, nil
	}
	copy(p.Head.Hash[:], hash)
	return p, err
}

// maxIn is the most ids in one read.
const maxIn = 200

// Load implements State.
func (s *SQLState) Load(ctx context.Context, book string, volume int, wants []Want) (out []any, p Position, err error) {
	out = make([]any, len(wants))
	groups := make(map[group][]int)
	for i, w := range wants {
		g := group{w.Table, w.Key.Tenant}
		groups[g] = append(groups[g], i)
	}
	err = s.db.Read(ctx, func(tx *sql.Tx) error {
		if p, err = position(ctx, tx, book); err != nil {
			return err
		}
		for g, at := range groups {
			for len(at) > 0 {
				n := min(len(at), maxIn)
				if err := s.load(ctx, tx, g, volume, wants, at[:n], out); err != nil {
					return err
				}
				at = at[n:]
			}
		}
		return nil
	})
	return out, p, err
}

type group struct {
	table  Table
	tenant id.Tenant
}

func (s *SQLState) load(ctx context.Context, tx *sql.Tx, g group, volume int, wants []Want, at []int, out []any) error {
	b := g.table.base()
	args := []any{int64(g.tenant), int64(volume)}
	byID := make(map[id.ID][]int, len(at))
	for _, i := range at {
		k := wants[i].Key.ID
		if byID[k] == nil {
			args = append(args, k[:])
		}
		byID[k] = append(byID[k], i)
	}
	n := len(byID)
	days := segmentsOf(wants, at)
	for _, d := range days {
		args = append(args, d)
	}
	text := s.text(fmt.Sprintf("load %d", len(days)), b, n, func() string {
		t := "SELECT id, " + strings.Join(b.columns, ", ") + " FROM " + b.table +
			" WHERE tenant = $1 AND volume = $2 AND id IN (" + params(3, n) + ")"
		if len(days) > 0 {
			t += " AND day IN (" + params(3+n, len(days)) + ")"
		}
		return t
	})
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return fmt.Errorf("book: load %s: %w", b.table, err)
	}
	defer rows.Close()
	for rows.Next() {
		var raw []byte
		v, err := g.table.scan(func(dest ...any) error {
			return rows.Scan(append([]any{&raw}, dest...)...)
		})
		if err != nil && ctx.Err() == nil && rows.Err() == nil {
			return fault.DataDamaged.New("table %s, row %d/%x cannot be understood", b.table, g.tenant, raw).Because(err)
		}
		if err != nil {
			return fmt.Errorf("book: load %s: %w", b.table, err)
		}
		for _, i := range byID[id.ID(raw)] {
			out[i] = v
		}
	}
	return rows.Err()
}

// segmentsOf returns the days that wants at the given places may be found in, none if all of them may.
func segmentsOf(wants []Want, at []int) (days []int64) {
	seen := make(map[int64]bool)
	for _, i := range at {
		if len(wants[i].Days) == 0 {
			return nil
		}
		for _, d := range wants[i].Days {
			if !seen[d] {
				seen[d] = true
				days = append(days, d)
			}
		}
	}
	for n := len(days); n&(n-1) != 0; n++ { // few numbers of days, few texts: a day may be named twice
		days = append(days, days[0])
	}
	return days
}

// Segments implements State. It hops along the primary keys, one seek per tenant, month that is kept, and other day.
func (s *SQLState) Segments(ctx context.Context, book string, volume int, k *Keys) (out []Segment, at Position, err error) {
	err = s.db.Read(ctx, func(tx *sql.Tx) error {
		if at, err = position(ctx, tx, book); err != nil {
			return err
		}
		for tenant := int64(-1); ; {
			var next sql.NullInt64
			err := tx.QueryRowContext(ctx, "SELECT MIN(tenant) FROM "+k.table+" WHERE tenant > $1", tenant).Scan(&next)
			if err != nil || !next.Valid {
				return err
			}
			tenant = next.Int64
			kept, err := keptMonths(ctx, tx, id.Tenant(tenant), volume, k)
			if err != nil {
				return err
			}
			out = append(out, kept...)
			for day := int64(-1); ; {
				var d sql.NullInt64
				err := tx.QueryRowContext(ctx, "SELECT MIN(day) FROM "+k.table+" WHERE tenant = $1 AND volume = $2 AND day > $3",
					tenant, int64(volume), day).Scan(&d)
				if err != nil {
					return err
				}
				if !d.Valid {
					break
				}
				day = d.Int64
				if n := slices.IndexFunc(kept, func(s Segment) bool { return s.First <= day && day <= s.Last }); n >= 0 {
					day = kept[n].Last
					continue
				}
				out = append(out, Segment{Tenant: id.Tenant(tenant), First: day, Last: day})
			}
		}
	})
	return out, at, err
}

// keptMonths returns a tenant's months whose filters are kept.
func keptMonths(ctx context.Context, tx *sql.Tx, tenant id.Tenant, volume int, k *Keys) (out []Segment, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT month FROM book_filters WHERE tenant = $1 AND volume = $2 AND name = $3 ORDER BY month",
		int64(tenant), int64(volume), k.table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var month int64
		if err := rows.Scan(&month); err != nil {
			return nil, err
		}
		first, last := monthOf(month)
		out = append(out, Segment{tenant, first, last, true})
	}
	return out, rows.Err()
}

// SegmentKeys implements State.
func (s *SQLState) SegmentKeys(ctx context.Context, book string, volume int, k *Keys, day Segment, after id.ID, limit int) (out []id.ID, at Position, err error) {
	err = s.db.Read(ctx, func(tx *sql.Tx) error {
		if at, err = position(ctx, tx, book); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, "SELECT id FROM "+k.table+" WHERE tenant = $1 AND volume = $2 AND day = $3 AND id > $4"+
			" ORDER BY id LIMIT $5", int64(day.Tenant), int64(volume), day.First, after[:], int64(limit))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var raw []byte
			if err := rows.Scan(&raw); err != nil {
				return err
			}
			out = append(out, id.ID(raw))
		}
		return rows.Err()
	})
	return out, at, err
}

// CountKeys implements State.
func (s *SQLState) CountKeys(ctx context.Context, volume int, k *Keys, g Segment) (n int, err error) {
	err = s.db.Read(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+k.table+" WHERE tenant = $1 AND volume = $2 AND day >= $3 AND day <= $4",
			int64(g.Tenant), int64(volume), g.First, g.Last).Scan(&n)
	})
	return n, err
}

// Filter implements State.
func (s *SQLState) Filter(ctx context.Context, volume int, k *Keys, month Segment) (f KeptFilter, err error) {
	err = s.db.Read(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT keys, sum, bits FROM book_filters WHERE tenant = $1 AND volume = $2 AND name = $3 AND month = $4",
			int64(month.Tenant), int64(volume), k.table, month.First).Scan(&f.Keys, &f.Sum, &f.Bits)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return KeptFilter{}, nil
	}
	return f, err
}

// KeepFilter implements State.
func (s *SQLState) KeepFilter(ctx context.Context, volume int, k *Keys, month Segment, f KeptFilter) error {
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO book_filters (tenant, volume, name, month, keys, sum, bits)
			VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (tenant, volume, name, month) DO UPDATE SET keys = excluded.keys, sum = excluded.sum, bits = excluded.bits`,
			int64(month.Tenant), int64(volume), k.table, month.First, f.Keys, f.Sum, f.Bits)
		return err
	})
}

// DueBefore implements State.
func (s *SQLState) DueBefore(ctx context.Context, volume int, t Table, after DueRow, before clock.Micros, limit int) (out []DueRow, err error) {
	b := t.base()
	err = s.db.Read(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, "SELECT tenant, id, due FROM "+b.table+
			" WHERE volume = $1 AND due > 0 AND due >= $2 AND due < $3 AND (due > $2 OR tenant > $4 OR tenant = $4 AND id > $5)"+
			" ORDER BY due, tenant, id LIMIT $6", int64(volume), int64(after.At), int64(before), int64(after.Key.Tenant),
			after.Key.ID[:], int64(limit))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var d DueRow
			var raw []byte
			if err := rows.Scan(&d.Key.Tenant, &raw, &d.At); err != nil {
				return err
			}
			d.Key.ID = id.ID(raw)
			out = append(out, d)
		}
		return rows.Err()
	})
	return out, err
}

// Save implements State. Each book's position is compared and set in the same transaction as its rows; after a lost
// reply the position already says so, and the retry finds nothing to do.
func (s *SQLState) Save(ctx context.Context, sets []*SaveSet) (lost []string, err error) {
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		lost = lost[:0]
		byTable := make(map[sheet]*merged)
		var order []sheet
		for _, set := range sets {
			ok, done, err := advance(ctx, tx, set)
			if err != nil {
				return err
			}
			if !ok {
				lost = append(lost, set.Book)
			}
			if !ok || done {
				continue
			}
			for i := range set.Tables {
				t := &set.Tables[i]
				for _, p := range t.parts(set) {
					if p.from == p.to {
						continue
					}
					g := sheet{t.Name(), p.how}
					if byTable[g] == nil {
						byTable[g] = &merged{base: t.table, how: p.how}
						order = append(order, g)
					}
					byTable[g].add(p)
				}
			}
		}
		for _, g := range order {
			if err := s.upsert(ctx, tx, byTable[g]); err != nil {
				return fmt.Errorf("book: save %s: %w", g.table, err)
			}
		}
		return nil
	})
	return lost, err
}

// advance moves a book's position. ok is false if the tables stand elsewhere than the snapshot started from; done is
// true if they stand at its end already.
func advance(ctx context.Context, tx *sql.Tx, set *SaveSet) (ok, done bool, err error) {
	text := `UPDATE book_saved SET seq = $2, hash = $3, epoch = $4, at = $5, newest = $6, fold = $7
		WHERE book = $1 AND seq = $8 AND hash = $9`
	args := []any{
		set.Book, int64(set.To.Seq), set.To.Hash[:], int64(set.To.Epoch), int64(set.At), int64(set.Newest),
		int64(set.Fold),
	}
	if set.From.Seq == 0 {
		text = `INSERT INTO book_saved (book, seq, hash, epoch, at, newest, fold) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (book) DO NOTHING`
	} else {
		args = append(args, int64(set.From.Seq), set.From.Hash[:])
	}
	r, err := tx.ExecContext(ctx, text, args...)
	if err != nil {
		return false, false, fmt.Errorf("book: save the position of %s: %w", set.Book, err)
	}
	if n, err := r.RowsAffected(); err != nil || n == 1 {
		return err == nil, false, err
	}
	p, err := position(ctx, tx, set.Book)
	if err != nil {
		return false, false, err
	}
	same := p.Head.Seq == set.To.Seq && p.Head.Hash == set.To.Hash
	return same, same, nil
}

// how says how rows are written.
type how uint8

const (
	insert how = iota // they are not in the table
	renew             // they are, with the same due time
	move              // they are, with another due time; or nobody knows whether they are
)

// parts cuts a table's changes into those that are written in one way.
func (t *TableSave) parts(set *SaveSet) []part {
	fresh, moved, end := t.Fresh, t.Fresh+t.Moved, len(t.Keys)
	if set.Whole {
		fresh, moved = 0, end
	}
	return []part{{set.Volume, t, insert, 0, fresh}, {set.Volume, t, move, fresh, moved}, {set.Volume, t, renew, moved, end}}
}

// part are some rows of one table of one book.
type part struct {
	volume   int
	save     *TableSave
	how      how
	from, to int
}

// sheet are the rows of one table that one statement can write.
type sheet struct {
	table string
	how   how
}

// merged is a sheet over several books.
type merged struct {
	base  *tableBase
	how   how
	rows  int
	parts []part
}

func (m *merged) add(p part) {
	m.parts = append(m.parts, p)
	m.rows += p.to - p.from
}

// each calls f with the parameters of every row, part by part. They are valid until the next call.
func (m *merged) each(f func(args []any) error) error {
	var room []any
	for _, p := range m.parts {
		w, volume := p.save.Width(), any(int64(p.volume))
		for n := p.from; n < p.to; n++ {
			k := &p.save.Keys[n]
			room = append(append(room[:0], int64(k.Tenant), volume, k.ID[:]), p.save.Args[n*w:(n+1)*w]...)
			if err := f(room); err != nil {
				return err
			}
		}
	}
	return nil
}

// chunks are the numbers of rows per statement: few texts to prepare, few calls.
var chunks = []int{64, 8, 1}

// rooms are for the arguments of statements.
var rooms = sync.Pool{New: func() any { return new([]any) }}

func (s *SQLState) upsert(ctx context.Context, tx *sql.Tx, m *merged) error {
	left, size := m.rows, 0 // of the statement that is being filled
	room := rooms.Get().(*[]any)
	args := (*room)[:0]
	defer func() {
		clear(args[:cap(args)])
		*room = args[:0]
		rooms.Put(room)
	}()
	return m.each(func(row []any) error {
		for i := 0; size == 0; i++ {
			if chunks[i] <= left {
				size = chunks[i]
			}
		}
		if args = append(args, row...); len(args) < size*len(row) {
			return nil
		}
		text := s.text(verbs[m.how], m.base, size, func() string { return s.saveText(m.base, size, m.how) })
		_, err := s.db.Exec(ctx, tx, text, args) // the store keeps the statement parsed, also between saves
		left, size, args = left-size, 0, args[:0]
		runtime.Gosched() // callers wait for answers, nobody for a save
		return err
	})
}

var verbs = [...]string{"insert", "renew", "move"}

// params returns the parameters of one row. To SQLite, $n is a name, which it and its driver look for among all others: in
// a statement with a thousand of them that takes longer than writing the rows. A plain mark has no name.
func (s *SQLState) params(from, n int) string {
	if s.db.Engine() == store.SQLite {
		return strings.Repeat("?, ", n-1) + "?"
	}
	return params(from, n)
}

// saveText returns the statement that writes n rows.
//
// To SQLite, a statement of several rows that can fail half-way must be able to take back its first rows, and copies every
// page it touches to that end. We take back the whole transaction in any case, hence OR FAIL; it does not reach what DO
// UPDATE does, so rows that are known to be new are written without that.
func (s *SQLState) saveText(b *tableBase, n int, way how) string {
	cols := b.columns
	if b.timed {
		cols = append(append([]string(nil), cols...), "due")
	}
	var t strings.Builder
	t.WriteString("INSERT ")
	if s.db.Engine() == store.SQLite {
		t.WriteString("OR FAIL ")
	}
	t.WriteString("INTO " + b.table + " (tenant, volume, id, " + strings.Join(cols, ", ") + ") VALUES ")
	for i := range n {
		if i > 0 {
			t.WriteString(", ")
		}
		t.WriteString("(" + s.params(1+i*(len(cols)+3), len(cols)+3) + ")")
	}
	switch {
	case b.segmented:
		t.WriteString(" ON CONFLICT (tenant, volume, day, id) DO NOTHING")
	case way != insert:
		t.WriteString(" ON CONFLICT (tenant, volume, id) DO UPDATE SET " + strings.Join(b.updates(cols, way), ", "))
	}
	return t.String()
}

// updates returns what a row that is there gets anew. To write an indexed column is to write its index, even if it stays
// the same; so the due time is written only where it has moved.
func (b *tableBase) updates(cols []string, way how) (set []string) {
	for _, c := range cols {
		if !slices.Contains(b.fixed, c) && (c != "due" || !b.timed || way == move) {
			set = append(set, c+" = excluded."+c)
		}
	}
	return set
}

func params(from, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", from+i)
	}
	return b.String()
}

func (s *SQLState) text(verb string, b *tableBase, n int, make func() string) string {
	key := fmt.Sprintf("%s %s %d", verb, b.table, n)
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.texts[key]
	if !ok {
		t = make()
		s.texts[key] = t
	}
	return t
}

// Wipe implements State.
func (s *SQLState) Wipe(ctx context.Context, book string, volume int, tables []Table) error {
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		for _, t := range tables {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+t.base().table+" WHERE volume = $1", int64(volume)); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM book_filters WHERE volume = $1 AND name = $2`, int64(volume), t.base().table); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM book_saved WHERE book = $1`, book)
		return err
	})
}
