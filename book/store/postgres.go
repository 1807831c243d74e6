package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// openPostgres opens one schema, on the pool of the process. What has to survive a loss of power is written
// over one connection more, of its own.
func (db *DB) openPostgres(ctx context.Context) error {
	db.engine = Postgres
	if db.config.Schema == "" {
		db.config.Schema = "public"
	}
	if !schemaName.MatchString(db.config.Schema) {
		return fmt.Errorf("store: %q cannot be the name of a schema: use a-z 0-9 _", db.config.Schema)
	}
	var err error
	if db.pool, err = usePool(db.config.URL, db.config.ReadOnly); err != nil {
		return err
	}
	db.pool.turn.Add(1) // others may have changed the tables since they were open here last
	db.read = sql.OpenDB(db.wrap(lender{db.pool, db.config.Schema}))
	db.read.SetMaxIdleConns(-1) // they go back to the pool
	if err := db.read.PingContext(ctx); err != nil {
		return fmt.Errorf("store: reach PostgreSQL: %w", err)
	}
	if db.config.ReadOnly {
		return nil
	}
	db.write = db.read
	if db.config.Durability == Full {
		to, err := parseURL(db.config.URL)
		if err != nil {
			return err
		}
		settings := append(slices.Clip(recordSettings), setting{"search_path", db.config.Schema})
		db.write = sql.OpenDB(db.wrap(to.connector(settings)))
		db.write.SetMaxOpenConns(1)
	}
	if err := db.checkPostgres(ctx); err != nil {
		return err
	}
	return db.createSchema(ctx)
}

// target is what a URL says of a store.
type target struct {
	conf *pgx.ConnConfig
	sets []setting // for every connection
	size int       // of the pool
}

// setting is one that a connection gets once it stands.
type setting struct{ name, value string }

// sharedSettings are those of every connection in a pool. A process that hangs in the middle of a
// transaction loses it after five seconds, so that the locks it holds stop nobody for long. Nothing that
// must survive a loss of power is written here.
var sharedSettings = append(slices.Clip(recordSettings), setting{"synchronous_commit", "off"})

// recordSettings are those of the connection that writes a record. How it commits is the server's choice,
// which is checked.
var recordSettings = []setting{{"lock_timeout", "5s"}, {"idle_in_transaction_session_timeout", "5s"}}

// connectLimit is how long a server may take to answer, if the URL does not say (connect_timeout).
const connectLimit = 10 * time.Second

// atStart are the settings of a URL that are sent with the start of a connection. Poolers refuse most
// others there, and all of them can be made when the connection stands.
var atStart = []string{"application_name", "client_encoding", "options"}

// parseURL hides the URL in its error: it may hold a password.
func parseURL(url string) (*target, error) {
	conf, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errors.New("store: the URL of the store cannot be read: write postgres://user@host:port/database")
	}
	insecure, asked := conf.RuntimeParams[insecureParam]
	delete(conf.RuntimeParams, insecureParam)
	if asked && insecure != "true" {
		return nil, fmt.Errorf("store: %s is %q in the URL of the store: expected true, or nothing", insecureParam, insecure)
	}
	if !asked {
		if err := checkReach(conf); err != nil {
			return nil, err
		}
	}
	t := &target{conf: conf, size: defaultPool()}
	if text, ok := conf.RuntimeParams[sizeParam]; ok {
		if t.size, err = sizeOf(text); err != nil {
			return nil, err
		}
		delete(conf.RuntimeParams, sizeParam)
	}
	for _, name := range slices.Sorted(maps.Keys(conf.RuntimeParams)) {
		if !slices.Contains(atStart, name) {
			t.sets = append(t.sets, setting{name, conf.RuntimeParams[name]})
			delete(conf.RuntimeParams, name)
		}
	}
	if conf.RuntimeParams["application_name"] == "" {
		conf.RuntimeParams["application_name"] = "koban"
	}
	if conf.ConnectTimeout == 0 {
		conf.ConnectTimeout = connectLimit
	}
	return t, nil
}

// connector makes connections with the settings of the URL, and then ours.
func (t *target) connector(ours []setting) driver.Connector {
	set := func(ctx context.Context, conn *pgx.Conn) error { return t.set(ctx, conn, ours) }
	return stdlib.GetConnector(*t.conf, stdlib.OptionAfterConnect(set))
}

// set makes the settings of a connection, all in one round trip, and notes which session of the server they
// were made in.
func (t *target) set(ctx context.Context, conn *pgx.Conn, ours []setting) error {
	calls := []string{"pg_backend_pid()"}
	args := []any{pgx.QueryExecModeExec}
	for i, s := range append(slices.Clip(t.sets), ours...) {
		calls = append(calls, fmt.Sprintf("set_config($%d, $%d, false)", 2*i+1, 2*i+2))
		args = append(args, s.name, s.value)
	}
	rows, err := conn.Query(ctx, "SELECT "+strings.Join(calls, ", "), args...)
	if err == nil {
		var session uint32
		into := make([]any, len(calls)) // what is nil is not read
		into[0] = &session
		_, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (any, error) {
			return nil, row.Scan(into...)
		})
		conn.PgConn().CustomData()[sessionKey] = session
	}
	if err != nil {
		err = fmt.Errorf("store: make the settings of a connection: %w", err)
		return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	}
	return nil
}

// checkPostgres refuses a server that would lose what it acknowledged, or that does not take writes.
func (db *DB) checkPostgres(ctx context.Context) error {
	rules := []struct {
		name, change string
		good         map[string]bool
	}{
		{"transaction_read_only", "connect to the primary", map[string]bool{"off": true}},
		{"fsync", "set fsync = on", map[string]bool{"on": true}},
		{"full_page_writes", "set full_page_writes = on", map[string]bool{"on": true}},
		{
			"synchronous_commit", "set synchronous_commit = on for this role and database",
			map[string]bool{"on": true, "remote_apply": true, "off": db.config.Durability == Relaxed},
		},
	}
	for _, r := range rules {
		var value string
		if err := db.write.QueryRowContext(ctx, "SELECT current_setting($1)", r.name).Scan(&value); err != nil {
			return fmt.Errorf("store: ask PostgreSQL for its settings: %w", err)
		}
		if r.good[value] {
			continue
		}
		if r.name == "transaction_read_only" {
			return fmt.Errorf("store: this PostgreSQL does not take writes: %s", r.change)
		}
		return &UnsafeError{r.name, value, r.change}
	}
	return nil
}

// createSchema creates the schema if there is none. Asking first lets a role work that may not create schemas.
func (db *DB) createSchema(ctx context.Context) error {
	var there bool
	const ask = "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)"
	if err := db.read.QueryRowContext(ctx, ask, db.config.Schema).Scan(&there); err != nil {
		return fmt.Errorf("store: look for schema %s: %w", db.config.Schema, err)
	}
	if there {
		return nil
	}
	create := "CREATE SCHEMA IF NOT EXISTS " + pgx.Identifier{db.config.Schema}.Sanitize()
	if _, err := db.write.ExecContext(ctx, create); err != nil && Classify(err) != Unique { // two at once
		return fmt.Errorf("store: create schema %s: %w", db.config.Schema, err)
	}
	return nil
}
