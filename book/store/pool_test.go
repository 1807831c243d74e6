package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/internal/clock"
)

// with returns a URL with a word more.
func with(t testing.TB, raw, word, value string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal("the URL of the server is none")
	}
	q := u.Query()
	q.Set(word, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// connections returns how many sessions of a role there are on a database.
func connections(t testing.TB, url, name string) (n int) {
	t.Helper()
	db := storetest.Open(t, store.Config{URL: with(t, url, "application_name", "counter"), Schema: "public"})
	err := db.Read(bg, func(tx *sql.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = $1`, name).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Thirteen databases, one of them a record, with many at work in each: the server sees a pool and the
// record's writer, and everybody finds his own tables.
func TestDatabasesOfOneServerShareConnections(t *testing.T) {
	config := storetest.Postgres(t)
	plain := config("x").URL
	const size = 5
	var dbs []*store.DB
	for n := range 13 {
		c := config(fmt.Sprintf("s%d", n))
		c.URL, c.Durability = with(t, plain, "pool_max_conns", fmt.Sprint(size)), store.Relaxed
		if n == 0 {
			c.Durability = store.Full
		}
		db := storetest.Open(t, c)
		migrate(t, db, "schema")
		dbs = append(dbs, db)
	}
	var all sync.WaitGroup
	for n, db := range dbs {
		for k := range 4 {
			all.Go(func() {
				for i := range 8 {
					if err := put(db, fmt.Sprintf("%d %d %d", n, k, i), n); err != nil {
						t.Errorf("write to %d: %v", n, err)
					}
				}
			})
		}
	}
	all.Wait()
	for n, db := range dbs {
		var rows, least, most int
		var commit string
		err := db.Read(bg, func(tx *sql.Tx) error {
			return tx.QueryRow("SELECT COUNT(*), MIN(value), MAX(value) FROM things").Scan(&rows, &least, &most)
		})
		err2 := db.Write(bg, func(tx *sql.Tx) error { return tx.QueryRow("SHOW synchronous_commit").Scan(&commit) })
		if err := errors.Join(err, err2); err != nil || rows != 32 || least != n || most != n {
			t.Errorf("database %d has %d rows, %d to %d (%v), want its own 32", n, rows, least, most, err)
		}
		if want := map[bool]string{true: "on", false: "off"}[n == 0]; commit != want {
			t.Errorf("database %d commits with synchronous_commit %s, want %s", n, commit, want)
		}
	}
	if n := connections(t, plain, "koban"); n > size+1 {
		t.Errorf("the server sees %d connections, want %d and the record's at most", n, size)
	}
	for _, db := range dbs {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	for connections(t, plain, "koban") > 0 { // until the server has seen them go
	}
}

// hasty is a clock whose waits are over at once.
type hasty struct {
	clock.Clock
	now clock.Micros
}

func (h *hasty) Now() clock.Micros {
	h.now += clock.Second
	return h.now
}

func (*hasty) After(time.Duration) <-chan time.Time {
	c := make(chan time.Time)
	close(c)
	return c
}

// A role that may have n connections; the platform needs seven at the least: four, and for the lock, the
// record, migrations.
func TestTooFewConnectionsAreSaidAtTheStart(t *testing.T) {
	plain := storetest.Postgres(t)("x").URL
	u, err := url.Parse(plain)
	if err != nil {
		t.Fatal("the URL of the server is none")
	}
	role := fmt.Sprintf("few_%d", os.Getpid())
	exec(t, plain, "CREATE ROLE "+role+" LOGIN CONNECTION LIMIT 6")
	exec(t, plain, "GRANT CREATE ON DATABASE "+u.Path[1:]+" TO "+role)
	t.Cleanup(func() { exec(t, plain, "DROP OWNED BY "+role); exec(t, plain, "DROP ROLE "+role) })
	u.User = url.User(role)
	mine := with(t, u.String(), "pool_max_conns", "4")
	lock, err := store.LockStore(bg, mine, "koban", false)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	_, err = store.Reserve(bg, mine, &hasty{})
	refused(t, err, "PostgreSQL has 6 connections for this process, which needs 7: raise max_connections")
	var crowded *store.CrowdedError
	if !errors.As(err, &crowded) || crowded.Got != 6 || crowded.Need != 7 {
		t.Errorf("%v does not say 6 and 7", err)
	}
	exec(t, plain, "ALTER ROLE "+role+" CONNECTION LIMIT 7")
	release, err := store.Reserve(bg, mine, &hasty{})
	if err != nil {
		t.Fatalf("with as many as it needs: %v", err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	for _, size := range []string{"3", "65", "many"} {
		_, err := store.Reserve(bg, with(t, mine, "pool_max_conns", size), nil)
		refused(t, err, "expected a number from 4 to 64")
	}
}

// A connection that died while nobody used it harms nobody.
func TestAConnectionThatDiedIsReplaced(t *testing.T) {
	conf := storetest.Postgres(t)("one")
	conf.Durability = store.Relaxed
	db := storetest.Open(t, conf)
	migrate(t, db, "schema")
	if err := storetest.Disconnect(context.Background(), conf.URL); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ { // the first may find out
		err := put(db, "a", 1)
		if err == nil {
			return
		}
		if store.Classify(err) != store.Lost || n > 20 {
			t.Fatalf("after the connections were ended: %v", err)
		}
	}
}
