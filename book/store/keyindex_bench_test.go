package store_test

import (
	"database/sql"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
)

// BenchmarkKeyIndex settles rule B12 (docs/decisions/0001): what it costs to index 16-byte keys, with 1 M and 10 M of
// them stored already. It takes minutes and gigabytes:
//
//	go test ./book/store -run '^$' -bench KeyIndex -benchtime 300x -timeout 30m
//
// Besides the rate it reports how much of the log one key costs, which does not depend on what else the machine does.
//
// The layouts: random keys in one table; random keys in segments of 1 M, one a day, with a filter each; and ids that
// begin with their time. One operation is a transaction of 1,000 keys.
func BenchmarkKeyIndex(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		for _, layout := range []string{"one-table", "by-day", "time-ordered"} {
			b.Run(engine+"/"+layout, func(b *testing.B) {
				x := &keyIndex{layout: layout}
				x.open(b, engine)
				for _, size := range []int{1_000_000, 10_000_000} {
					x.fill(b, size)
					b.Run(fmt.Sprintf("insert/%dM", size/1_000_000), x.benchInsert)
					b.Run(fmt.Sprintf("new/%dM", size/1_000_000), x.benchNew)
				}
			})
		}
	}
}

const (
	keysPerDay = 1_000_000
	keysPerTx  = 1000
	keysPerRow = 100 // a statement
)

type keyIndex struct {
	db      *store.DB
	path    string // SQLite
	url     string // PostgreSQL
	layout  string
	size    int
	made    uint64 // keys that the benchmark itself put in
	filters []*store.Filter
}

func (x *keyIndex) open(b *testing.B, engine string) {
	b.Helper()
	conf := store.Config{Path: filepath.Join(b.TempDir(), "keys.db"), Durability: store.Relaxed, CheckpointEvery: -1}
	if engine == "postgres" {
		c, err := storetest.Start(os.TempDir(), "shared_buffers=512MB", "max_wal_size=4GB")
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(c.Stop)
		conf = store.Config{URL: c.URL, Schema: "keys", Durability: store.Relaxed}
	}
	x.db, x.path, x.url = storetest.Open(b, conf), conf.Path, conf.URL
	run(b, x.db, `CREATE TABLE keys (tenant BIGINT NOT NULL, day BIGINT NOT NULL, id BYTEA NOT NULL, target BYTEA NOT NULL,
		fingerprint BYTEA NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (tenant, day, id))`)
}

func run(b *testing.B, db *store.DB, text string, args ...any) {
	b.Helper()
	if err := db.Write(bg, func(tx *sql.Tx) error { _, err := tx.Exec(text, args...); return err }); err != nil {
		b.Fatal(err)
	}
}

// day returns the segment that the n-th key is in; the layouts without segments have one.
func (x *keyIndex) day(n int) int {
	if x.layout == "by-day" {
		return n / keysPerDay
	}
	return 0
}

// stride spreads the keys that fill a table evenly, as random ones are. The database and stored make the same keys.
const stride = 1<<62/10_000_000 - 1

func (x *keyIndex) stored(n int) (k [16]byte) {
	binary.BigEndian.PutUint64(k[:], uint64(n)*stride+uint64(n)*7919%stride)
	binary.BigEndian.PutUint64(k[8:], uint64(n))
	return k
}

// fresh returns a key that is not stored.
func (x *keyIndex) fresh(r *rand.Rand) (k [16]byte) {
	x.made++
	if x.layout == "time-ordered" {
		binary.BigEndian.PutUint64(k[:], 1<<62+x.made)
	} else {
		binary.BigEndian.PutUint64(k[:], r.Uint64()>>2)
	}
	binary.BigEndian.PutUint64(k[8:], 1<<63|r.Uint64())
	return k
}

// fill stores keys inside the database, in the order of the index: once the even ones, then the odd ones in between, so
// that its pages are as full as those of a grown index. Going through in order takes a tenth of the time.
func (x *keyIndex) fill(b *testing.B, size int) {
	b.Helper()
	text := `WITH RECURSIVE c(n) AS (SELECT CAST($1 AS BIGINT) UNION ALL SELECT n + 2 FROM c WHERE n + 2 < CAST($2 AS BIGINT))
		INSERT INTO keys SELECT 1, CAST($3 AS BIGINT), unhex(printf('%016x%016x', n*%d + n*7919%%%d, n)), zeroblob(16), zeroblob(16), n FROM c`
	if x.db.Engine() == store.Postgres {
		text = `INSERT INTO keys SELECT 1, CAST($3 AS BIGINT), decode(lpad(to_hex(n*%d + n*7919%%%d), 16, '0') || lpad(to_hex(n), 16, '0'), 'hex'),
			decode(repeat('00', 16), 'hex'), decode(repeat('00', 16), 'hex'), n FROM generate_series(CAST($1 AS BIGINT), CAST($2 AS BIGINT) - 1, 2) AS n`
	}
	text = strings.ReplaceAll(text, "%016x", "\x00")
	text = strings.ReplaceAll(fmt.Sprintf(text, stride, stride), "\x00", "%016x")
	for from := x.size; from < size; from += keysPerDay {
		for _, odd := range []int{0, 1} {
			run(b, x.db, text, from+odd, from+keysPerDay, x.day(from))
		}
		f := store.NewFilter(keysPerDay)
		for n := from; n < from+keysPerDay; n++ {
			f.Add(x.stored(n))
		}
		x.filters = append(x.filters, f)
	}
	x.size = size
	// Without figures PostgreSQL takes (tenant, day) for rare, and reads a whole day instead of looking up a hundred ids.
	// In production autovacuum sees to it.
	run(b, x.db, "ANALYZE keys")
	x.settle(b)
}

// settle writes out what is still to be written, so that it is not written while something else is measured.
func (x *keyIndex) settle(b *testing.B) {
	b.Helper()
	if err := x.db.Scrub(bg); err != nil {
		b.Fatal(err)
	}
	if x.db.Engine() == store.Postgres {
		exec(b, x.url, "CHECKPOINT")
	}
	unix.Sync()
}

// logged returns how many bytes of log were written so far.
func (x *keyIndex) logged(b *testing.B) (n int64) {
	b.Helper()
	if x.db.Engine() == store.SQLite {
		info, err := os.Stat(x.path + "-wal")
		if err != nil {
			b.Fatal(err)
		}
		return info.Size()
	}
	err := x.db.Read(bg, func(tx *sql.Tx) error {
		return tx.QueryRow("SELECT CAST(pg_current_wal_lsn() - '0/0' AS BIGINT)").Scan(&n)
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func (x *keyIndex) benchInsert(b *testing.B) {
	r := rand.New(rand.NewPCG(1, x.made))
	text := "INSERT INTO keys VALUES "
	for i := range keysPerRow {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("($%d, $%d, $%d, $%d, $%d, $%d)", 6*i+1, 6*i+2, 6*i+3, 6*i+4, 6*i+5, 6*i+6)
	}
	day, blank := int64(x.day(x.size-1)), make([]byte, 16)
	before := x.logged(b)
	b.ResetTimer()
	for b.Loop() {
		err := x.db.Write(bg, func(tx *sql.Tx) error {
			for range keysPerTx / keysPerRow {
				args := make([]any, 0, 6*keysPerRow)
				for range keysPerRow {
					k := x.fresh(r)
					args = append(args, int64(1), day, k[:], blank, blank, int64(x.made))
				}
				if _, err := tx.Exec(text, args...); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*keysPerTx)/b.Elapsed().Seconds(), "keys/s")
	b.ReportMetric(float64(x.logged(b)-before)/float64(b.N*keysPerTx), "log-bytes/key")
	x.settle(b)
}

// benchNew asks whether keys that are not stored are new. Ids that begin with their time need no question: the book
// remembers the last minutes.
func (x *keyIndex) benchNew(b *testing.B) {
	r := rand.New(rand.NewPCG(2, x.made))
	text := "SELECT id FROM keys WHERE tenant = $1 AND day = $2 AND id IN ("
	for i := range keysPerRow {
		text += fmt.Sprintf("$%d, ", i+3)
	}
	text = strings.TrimSuffix(text, ", ") + ")"
	reads := 0
	b.ResetTimer()
	for b.Loop() {
		for range keysPerTx / keysPerRow {
			args := []any{int64(1), int64(0)}
			for len(args) < keysPerRow+2 {
				k := x.fresh(r)
				if x.layout == "by-day" {
					reads += x.throughFilters(b, k)
				}
				args = append(args, k[:])
			}
			if x.layout == "one-table" {
				reads += keysPerRow
				x.lookUp(b, text, args)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*keysPerTx), "ns/key")
	b.ReportMetric(float64(reads)/float64(b.N*keysPerTx), "reads/key")
}

func (x *keyIndex) throughFilters(b *testing.B, k [16]byte) (reads int) {
	for day, f := range x.filters {
		if f.Has(k) {
			x.lookUp(b, "SELECT id FROM keys WHERE tenant = $1 AND day = $2 AND id = $3", []any{int64(1), int64(day), k[:]})
			reads++
		}
	}
	return reads
}

func (x *keyIndex) lookUp(b *testing.B, text string, args []any) {
	err := x.db.Read(bg, func(tx *sql.Tx) error {
		rows, err := tx.Query(text, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			b.Error("a key that was never stored is there")
		}
		return rows.Err()
	})
	if err != nil {
		b.Fatal(err)
	}
}
