package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// openPostgres opens one pool whose connections see one schema.
func (db *DB) openPostgres(ctx context.Context) error {
	db.engine = Postgres
	if db.config.Schema == "" {
		db.config.Schema = "public"
	}
	if !schemaName.MatchString(db.config.Schema) {
		return fmt.Errorf("store: %q cannot be the name of a schema: use a-z 0-9 _", db.config.Schema)
	}
	conf, err := parseURL(db.config.URL)
	if err != nil {
		return err
	}
	db.sessionSettings(conf)
	db.read = sql.OpenDB(db.wrap(stdlib.GetConnector(*conf)))
	db.read.SetMaxOpenConns(db.config.Readers + 2)
	db.read.SetMaxIdleConns(db.config.Readers + 2)
	if err := db.read.PingContext(ctx); err != nil {
		return fmt.Errorf("store: reach PostgreSQL: %w", err)
	}
	if db.config.ReadOnly {
		return nil
	}
	db.write = db.read
	if err := db.checkPostgres(ctx); err != nil {
		return err
	}
	return db.createSchema(ctx)
}

// parseURL hides the URL in its error: it may hold a password.
func parseURL(url string) (*pgx.ConnConfig, error) {
	conf, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errors.New("store: the URL of the store cannot be read: write postgres://user:password@host:port/database")
	}
	return conf, nil
}

// sessionSettings sets what every connection needs. A process that hangs in the middle of a transaction loses it after
// five seconds, so that the locks it holds stop nobody for long.
func (db *DB) sessionSettings(conf *pgx.ConnConfig) {
	p := conf.RuntimeParams
	p["search_path"] = db.config.Schema
	p["lock_timeout"] = "5s"
	p["idle_in_transaction_session_timeout"] = "5s"
	if p["application_name"] == "" {
		p["application_name"] = "koban"
	}
	if db.config.Durability == Relaxed {
		p["synchronous_commit"] = "off"
	}
	if db.config.ReadOnly {
		p["default_transaction_read_only"] = "on"
	}
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
		{"synchronous_commit", "set synchronous_commit = on for this role and database",
			map[string]bool{"on": true, "remote_apply": true, "off": db.config.Durability == Relaxed}},
	}
	for _, r := range rules {
		var value string
		if err := db.read.QueryRowContext(ctx, "SELECT current_setting($1)", r.name).Scan(&value); err != nil {
			return fmt.Errorf("store: ask PostgreSQL for its settings: %w", err)
		}
		if r.good[value] {
			continue
		}
		if r.name == "transaction_read_only" {
			return fmt.Errorf("store: this PostgreSQL does not take writes: %s", r.change)
		}
		return fmt.Errorf("store: this PostgreSQL would lose acknowledged payments (%s is %s): %s", r.name, value, r.change)
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
