package journal

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/clock"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// schema returns the migrations.
func schema() fs.FS {
	files, err := fs.Sub(schemaFiles, "schema")
	if err != nil {
		panic("journal: " + err.Error()) // the directory is embedded above
	}
	return files
}

// maxRows is the most rows that one statement takes; more go into further statements of the same transaction.
const maxRows = 128

// texts makes and keeps the statements that have a group of parameters per row. The engines differ in one word: what a
// parameter that holds bytes has to be cast to.
type texts struct {
	bytes string
	cas   sync.Map // by number of rows
	block sync.Map
	note  sync.Map
}

func newTexts(e store.Engine) *texts {
	if e == store.Postgres {
		return &texts{bytes: "BYTEA"}
	}
	return &texts{bytes: "BLOB"}
}

func (t *texts) get(m *sync.Map, rows int, make func(rows int) string) string {
	if s, ok := m.Load(rows); ok {
		return s.(string)
	}
	s := make(rows)
	m.Store(rows, s)
	return s
}

// values returns "($1, CAST($2 AS BIGINT)), ($3, …)" for rows of columns with these types; "" needs no cast. The first
// row's types hold for all.
func values(rows int, types ...string) string {
	var b strings.Builder
	n := 0
	for r := range rows {
		if r > 0 {
			b.WriteString(", ")
		}
		b.WriteString("(")
		for i, typ := range types {
			n++
			if i > 0 {
				b.WriteString(", ")
			}
			if typ == "" {
				fmt.Fprintf(&b, "$%d", n)
			} else {
				fmt.Fprintf(&b, "CAST($%d AS %s)", n, typ)
			}
		}
		b.WriteString(")")
	}
	return b.String()
}

func (t *texts) casText(rows int) string {
	return t.get(&t.cas, rows, func(rows int) string {
		return `WITH v (book, seq, prev, hash, epoch) AS (VALUES ` + values(rows, "TEXT", "BIGINT", t.bytes, t.bytes, "BIGINT") + `)
			UPDATE journal_heads SET seq = v.seq, hash = v.hash, epoch = v.epoch FROM v
			WHERE journal_heads.book = v.book AND journal_heads.seq = v.seq - 1 AND journal_heads.hash = v.prev
			  AND journal_heads.epoch <= v.epoch`
	})
}

func (t *texts) blockText(rows int) string {
	return t.get(&t.block, rows, func(rows int) string {
		return `INSERT INTO journal_blocks (book, seq, at, hash, body) VALUES ` + values(rows, "", "", "", "", "")
	})
}

func (t *texts) noteText(rows int) string {
	return t.get(&t.note, rows, func(rows int) string {
		return `INSERT INTO notes (tenant, service, id, body, book, seq) VALUES ` +
			values(rows, "", "", "", "", "", "") + ` ON CONFLICT DO NOTHING`
	})
}

// raise sets the heads of blocks, and returns how many of them were where the blocks say. Blocks are ordered by book.
func (t *texts) raise(ctx context.Context, db *store.DB, tx *sql.Tx, blocks []*Block) (int64, error) {
	args := make([]any, 0, 5*len(blocks))
	for _, b := range blocks {
		args = append(args, b.Book, int64(b.Seq), b.Prev[:], b.Hash[:], int64(b.Epoch))
	}
	r, err := db.Exec(ctx, tx, t.casText(len(blocks)), args)
	if err != nil {
		return 0, fmt.Errorf("journal: set heads: %w", err)
	}
	return r.RowsAffected()
}

// begin makes room for the heads of books that have no block yet.
func (t *texts) begin(ctx context.Context, tx *sql.Tx, blocks []*Block) error {
	for _, b := range blocks {
		if b.Seq != 1 {
			continue
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO journal_heads (book, seq, hash, epoch) VALUES ($1, 0, $2, 0)
			ON CONFLICT DO NOTHING`, b.Book, b.Prev[:])
		if err != nil {
			return fmt.Errorf("journal: begin a book: %w", err)
		}
	}
	return nil
}

func (t *texts) insert(ctx context.Context, db *store.DB, tx *sql.Tx, blocks []*Block) error {
	args := make([]any, 0, 5*len(blocks))
	for _, b := range blocks {
		args = append(args, b.Book, int64(b.Seq), int64(b.At), b.Hash[:], b.body)
	}
	if _, err := db.Exec(ctx, tx, t.blockText(len(blocks)), args); err != nil {
		return fmt.Errorf("journal: insert blocks: %w", err)
	}
	return t.putNotes(ctx, tx, blocks)
}

// putNotes inserts the notes of blocks that were inserted in the same transaction.
func (t *texts) putNotes(ctx context.Context, tx *sql.Tx, blocks []*Block) error {
	type placed struct {
		*Note
		of *Block
	}
	var all []placed
	for _, b := range blocks {
		for i := range b.Notes {
			all = append(all, placed{&b.Notes[i], b})
		}
	}
	for part := range slices.Chunk(all, maxRows) {
		args := make([]any, 0, 6*len(part))
		for _, n := range part {
			args = append(args, int64(n.Tenant), n.Service, n.ID, n.sealed(), n.of.Book, int64(n.of.Seq))
		}
		if _, err := tx.ExecContext(ctx, t.noteText(len(part)), args...); err != nil {
			return fmt.Errorf("journal: put notes: %w", err)
		}
	}
	return nil
}

// headOf returns the head of one book.
func headOf(ctx context.Context, tx *sql.Tx, book string) (Head, error) {
	h := Head{Book: book}
	var hash []byte
	err := tx.QueryRowContext(ctx, `SELECT seq, hash, epoch FROM journal_heads WHERE book = $1`, book).
		Scan(&h.Seq, &hash, &h.Epoch)
	if errors.Is(err, sql.ErrNoRows) {
		return h, nil
	}
	if err != nil {
		return h, fmt.Errorf("journal: read the head of %s: %w", book, err)
	}
	return h, setHash(&h.Hash, hash, book, h.Seq)
}

func allHeads(ctx context.Context, tx *sql.Tx) (out []Head, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT book, seq, hash, epoch FROM journal_heads ORDER BY book`)
	if err != nil {
		return nil, fmt.Errorf("journal: read heads: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var h Head
		var hash []byte
		if err := rows.Scan(&h.Book, &h.Seq, &hash, &h.Epoch); err != nil {
			return nil, fmt.Errorf("journal: read heads: %w", err)
		}
		if err := setHash(&h.Hash, hash, h.Book, h.Seq); err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, rows.Err()
}

// storedBlocks returns up to limit blocks from number from on as they are stored, or fewer, cut, where they are large.
// Nothing is checked but their form.
func storedBlocks(ctx context.Context, tx *sql.Tx, book string, from uint64, limit int) (out []*Block, cut bool, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT seq, at, hash, body FROM journal_blocks
		WHERE book = $1 AND seq >= $2 ORDER BY seq LIMIT $3`, book, int64(from), limit)
	if err != nil {
		return nil, false, fmt.Errorf("journal: read %s: %w", book, err)
	}
	defer rows.Close()
	size := 0
	for rows.Next() {
		b := &Block{Book: book}
		var at int64
		var hash, body []byte
		if err := rows.Scan(&b.Seq, &at, &hash, &body); err != nil {
			return nil, false, fmt.Errorf("journal: read %s: %w", book, err)
		}
		b.At = clock.Micros(at)
		if err := setHash(&b.Hash, hash, book, b.Seq); err != nil {
			return nil, false, err
		}
		if err := decode(b, body); err != nil {
			return nil, false, damaged(book, b.Seq, "%v", err)
		}
		out = append(out, b)
		if size += len(body); size > maxReadBytes {
			return out, true, nil
		}
	}
	return out, false, rows.Err()
}

func setHash(to *Hash, from []byte, book string, seq uint64) error {
	if len(from) != len(to) {
		return damaged(book, seq, "its hash has %d bytes", len(from))
	}
	copy(to[:], from)
	return nil
}

func fix(ctx context.Context, tx *sql.Tx, name string, value []byte) (stands []byte, err error) {
	_, err = tx.ExecContext(ctx, `INSERT INTO platform (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING`, name, value)
	if err != nil {
		return nil, fmt.Errorf("journal: fix %s: %w", name, err)
	}
	stands, _, err = constant(ctx, tx, name)
	return stands, err
}

func constant(ctx context.Context, tx *sql.Tx, name string) (value []byte, ok bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT value FROM platform WHERE name = $1`, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("journal: read %s: %w", name, err)
	}
	return value, true, nil
}

func note(ctx context.Context, tx *sql.Tx, tenant uint32, service string, id []byte) (body []byte, ok bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT body FROM notes WHERE tenant = $1 AND service = $2 AND id = $3`,
		int64(tenant), service, id).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("journal: read a note: %w", err)
	}
	n := Note{Tenant: tenant, Service: service, ID: id}
	if body, err = n.opened(body); err != nil {
		return nil, false, err
	}
	return body, true, nil
}

// notesPage is how many notes are checked in one transaction.
const notesPage = 1000

// checkNotes reads up to notesPage notes after last, in the order of their keys, and returns how many there were, the last one,
// and why some are not as they were written.
func checkNotes(ctx context.Context, tx *sql.Tx, last Note) (count int, end Note, damaged []error, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT n.tenant, n.service, n.id, n.body, n.book, n.seq, COALESCE(h.seq, 0) FROM notes n
		LEFT JOIN journal_heads h ON h.book = n.book
		WHERE n.tenant > $1 OR n.tenant = $1 AND (n.service > $2 OR n.service = $2 AND n.id > $3)
		ORDER BY n.tenant, n.service, n.id LIMIT $4`, int64(last.Tenant), last.Service, last.ID, notesPage)
	if err != nil {
		return 0, last, nil, fmt.Errorf("journal: read the notes: %w", err)
	}
	defer rows.Close()
	end = last
	for ; rows.Next(); count++ {
		var n Note
		var stored []byte
		var book string
		var seq, head int64
		if err := rows.Scan(&n.Tenant, &n.Service, &n.ID, &stored, &book, &seq, &head); err != nil {
			return count, end, damaged, fmt.Errorf("journal: read the notes: %w", err)
		}
		if _, err := n.opened(stored); err != nil {
			damaged = append(damaged, err)
		}
		if seq > head {
			damaged = append(damaged, n.orphan(book, seq))
		}
		end = n
	}
	return count, end, damaged, rows.Err()
}

func eraseNote(ctx context.Context, tx *sql.Tx, tenant uint32, service string, id []byte) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM notes WHERE tenant = $1 AND service = $2 AND id = $3`, int64(tenant), service, id)
	if err != nil {
		return fmt.Errorf("journal: erase a note: %w", err)
	}
	return nil
}

func strayBooks(ctx context.Context, tx *sql.Tx) (out []string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT DISTINCT book FROM journal_blocks
		WHERE book NOT IN (SELECT book FROM journal_heads) ORDER BY book`)
	if err != nil {
		return nil, fmt.Errorf("journal: look for strays: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var book string
		if err := rows.Scan(&book); err != nil {
			return nil, fmt.Errorf("journal: look for strays: %w", err)
		}
		out = append(out, book)
	}
	return out, rows.Err()
}
