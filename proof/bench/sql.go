package bench

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
)

// place is where one mode's databases stand: a folder, and on PostgreSQL a database of their own.
type place struct {
	dir   string
	url   string // "" for SQLite
	admin string
	name  string
	keep  bool // the folder stays
}

// place makes a place. remove removes it.
func (b *bench) place(ctx context.Context) (*place, error) {
	p := &place{dir: filepath.Join(b.dir, string(b.mode)), keep: b.Keep}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return nil, err
	}
	if b.StoreURL == "" {
		return p, nil
	}
	u, err := url.Parse(b.StoreURL)
	if err != nil || !strings.HasPrefix(u.Scheme, "postgres") {
		return nil, errors.New("the store is not a URL such as postgres://user@host:port/database")
	}
	if err := store.CheckURL(b.StoreURL); err != nil {
		return nil, err
	}
	fresh := make([]byte, 8)
	rand.Read(fresh) // never fails: it ends the process instead
	p.admin, p.name = b.StoreURL, "koban_bench_"+hex.EncodeToString(fresh)
	u.Path = "/" + p.name
	p.url = u.String()
	return p, p.administer(ctx, "CREATE DATABASE "+p.name)
}

func (p *place) administer(ctx context.Context, statement string) error {
	db, err := sql.Open("pgx", p.admin)
	if err != nil {
		return errors.New("the URL of the store cannot be read") // it may hold a password
	}
	defer func() { _ = db.Close() }() // what it was to do is done, or has failed
	if _, err := db.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("make a database for the run, which the role must be allowed to (CREATEDB): %w", err)
	}
	return nil
}

func (p *place) remove() error {
	var err error
	if !p.keep {
		err = os.RemoveAll(p.dir)
	}
	if p.url == "" {
		return err
	}
	return errors.Join(err, p.administer(context.Background(), "DROP DATABASE "+p.name+" WITH (FORCE)"))
}

func (p *place) engine() string {
	if p.url == "" {
		return store.SQLite.String()
	}
	return store.Postgres.String()
}

// open opens a database as the platform opens its own.
func (p *place) open(ctx context.Context, name string, d store.Durability, readOnly bool) (*store.DB, error) {
	c := store.Config{URL: p.url, Schema: strings.ReplaceAll(name, "/", "_"), Durability: d, ReadOnly: readOnly}
	if p.url == "" {
		c.Path, c.Schema = filepath.Join(p.dir, name+".db"), ""
		if err := os.MkdirAll(filepath.Dir(c.Path), 0o700); err != nil {
			return nil, err
		}
	}
	return store.Open(ctx, c)
}

// accountSchema is the table of the book of transfers.
var accountSchema = book.Schema[ledger.Account]{
	Table: "transfer_accounts",
	Columns: []string{
		"may_go_negative", "debits_posted", "credits_posted", "used_day", "used_day_in", "used_day_out", "used_month_in",
		"used_month_out", "version",
	},
	Args: func(a *ledger.Account, args []any) []any {
		free := int64(0)
		if a.MayGoNegative {
			free = 1
		}
		return append(args, free, a.DebitsPosted, a.CreditsPosted, int64(a.Used.Day), a.Used.DayIn, a.Used.DayOut, a.Used.MonthIn, a.Used.MonthOut,
			int64(a.Version))
	},
	Scan: func(scan func(...any) error, a *ledger.Account) error {
		*a = ledger.Account{Currency: money.JPY, Normal: ledger.Credit, Status: ledger.Open}
		var free int64
		err := scan(&free, &a.DebitsPosted, &a.CreditsPosted, &a.Used.Day, &a.Used.DayIn, &a.Used.DayOut, &a.Used.MonthIn, &a.Used.MonthOut, &a.Version)
		a.MayGoNegative = free != 0
		return err
	},
}

func createAccounts(ctx context.Context, db *store.DB) error {
	return db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `CREATE TABLE transfer_accounts (tenant BIGINT NOT NULL, volume BIGINT NOT NULL, id BYTEA NOT NULL,
			may_go_negative BIGINT NOT NULL, debits_posted BIGINT NOT NULL, credits_posted BIGINT NOT NULL, used_day BIGINT NOT NULL,
			used_day_in BIGINT NOT NULL, used_day_out BIGINT NOT NULL, used_month_in BIGINT NOT NULL, used_month_out BIGINT NOT NULL,
			version BIGINT NOT NULL, PRIMARY KEY (tenant, volume, id))`)
		return err
	})
}

// sumAccounts adds up what the table says.
func sumAccounts(ctx context.Context, db *store.DB) (s sums, err error) {
	err = db.Read(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT CAST(SUM(debits_posted) AS BIGINT), CAST(SUM(credits_posted) AS BIGINT),
			CAST(SUM(version) AS BIGINT) FROM transfer_accounts`).Scan(&s.debits, &s.credits, &s.touched)
	})
	return s, err
}

// sampled is how many rows of a table are looked at to know how large they are.
const sampled = 500

// meanRow returns how many bytes a row of these tables holds, on average.
func meanRow(ctx context.Context, db *store.DB, tables []string) (mean float64, err error) {
	var rows, bytes float64
	err = db.Read(ctx, func(tx *sql.Tx) error {
		for _, table := range tables {
			var n int64
			if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
				return err
			}
			one, err := sampleRow(ctx, tx, table)
			if err != nil {
				return err
			}
			rows, bytes = rows+float64(n), bytes+float64(n)*one
		}
		return nil
	})
	return ratio(bytes, rows), err
}

func sampleRow(ctx context.Context, tx *sql.Tx, table string) (mean float64, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT * FROM "+table+" LIMIT $1", sampled)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return 0, err
	}
	values, dest := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		dest[i] = &values[i]
	}
	var n, size float64
	for ; rows.Next(); n++ {
		if err := rows.Scan(dest...); err != nil {
			return 0, err
		}
		for _, v := range values {
			switch v := v.(type) {
			case []byte:
				size += float64(len(v))
			case string:
				size += float64(len(v))
			default:
				size += 8
			}
		}
	}
	return ratio(size, n), rows.Err()
}

// The bound: a loop that only writes. From here to the end of the file nothing is known of payments.

const (
	boundRows = `CREATE TABLE bound_rows (tenant BIGINT NOT NULL, volume BIGINT NOT NULL, id BYTEA NOT NULL, body BYTEA NOT NULL,
		PRIMARY KEY (tenant, volume, id))`
	boundBlocks = `CREATE TABLE bound_blocks (book BIGINT NOT NULL, seq BIGINT NOT NULL, at BIGINT NOT NULL, hash BYTEA NOT NULL,
		body BYTEA NOT NULL, PRIMARY KEY (book, seq))`
)

// bound returns how many payments, or transfers, of this shape a second could be written at most: blocks into a journal,
// each group in one durable transaction, and rows into the tables of each service, beside it, as the saves of the run.
func (p *place) bound(ctx context.Context, s shape, d time.Duration) (float64, error) {
	clk := clock.NewSystem()
	dbs, errs := make([]*store.DB, len(s.states)+1), make([]error, len(s.states)+1) // of the journal, then of each service
	for i := range dbs {
		durability, schema := store.Relaxed, boundRows
		if i == 0 {
			durability, schema = store.Full, boundBlocks
		}
		var err error
		if dbs[i], err = p.open(ctx, fmt.Sprintf("bound/%d_%d", clk.Now(), i), durability, false); err != nil {
			return 0, err
		}
		defer func() { _ = dbs[i].Close() }() // what was measured is thrown away
		if err := dbs[i].Write(ctx, func(tx *sql.Tx) error { _, err := tx.ExecContext(ctx, schema); return err }); err != nil {
			return 0, err
		}
	}
	var writers sync.WaitGroup
	feeds := make([]chan float64, len(s.states))
	for i, state := range s.states {
		feeds[i] = make(chan float64, 1<<16)
		writers.Go(func() { errs[i+1] = boundState(ctx, dbs[i+1], state, feeds[i]) })
	}
	body := make([]byte, int(s.blockBytes))
	rand.Read(body) // so that nobody can compress it
	start, commits := clk.Now(), 0.0
	for ; clk.Now().Sub(start) < d && errs[0] == nil; commits++ {
		n := int((commits+1)*s.blocks) - int(commits*s.blocks)
		errs[0] = boundCommit(ctx, dbs[0], int64(commits), n, body)
		for i, f := range feeds {
			f <- s.perCommit * s.states[i].perOne
		}
	}
	for _, f := range feeds {
		close(f)
	}
	writers.Wait()
	return commits * s.perCommit / clk.Now().Sub(start).Seconds(), errors.Join(errs...)
}

func boundCommit(ctx context.Context, db *store.DB, seq int64, blocks int, body []byte) error {
	args := make([]any, 0, 5*blocks)
	for i := range blocks {
		args = append(args, int64(i), seq, seq, body[:min(32, len(body))], body)
	}
	return db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO bound_blocks (book, seq, at, hash, body) VALUES "+groups(blocks, 5), args...)
		return err
	})
}

// boundState writes rows in saves, as many as it is told of.
func boundState(ctx context.Context, db *store.DB, s stateShape, told <-chan float64) error {
	body := make([]byte, max(0, int(s.rowBytes)-32)) // less tenant, volume and id
	rand.Read(body)
	owed, made := 0.0, uint64(0)
	for n := range told {
		if owed += n; owed < s.perSave {
			continue
		}
		save := int(owed)
		owed -= float64(save)
		err := db.Write(ctx, func(tx *sql.Tx) (err error) {
			for left := save; left > 0 && err == nil; left -= 64 {
				k := min(64, left)
				args := make([]any, 0, 4*k)
				for range k {
					made++
					args = append(args, 1, int64(made%8), fmt.Appendf(nil, "%016x", made), body)
				}
				_, err = tx.ExecContext(ctx, "INSERT INTO bound_rows (tenant, volume, id, body) VALUES "+groups(k, 4)+
					" ON CONFLICT (tenant, volume, id) DO UPDATE SET body = excluded.body", args...)
			}
			return err
		})
		if err != nil {
			for range told { // the journal must not wait for us
			}
			return err
		}
	}
	return nil
}

// groups returns "($1, $2), ($3, $4)" for rows of some columns.
func groups(rows, columns int) string {
	var b strings.Builder
	for i := range rows * columns {
		open, closed := "", ", "
		if i%columns == 0 {
			open = "("
		}
		if (i+1)%columns == 0 {
			closed = "), "
		}
		fmt.Fprintf(&b, "%s$%d%s", open, i+1, closed)
	}
	return strings.TrimSuffix(b.String(), ", ")
}
