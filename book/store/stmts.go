package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
)

// maxStatements is how many statements a connection to SQLite keeps parsed.
const maxStatements = 256

// cachingConnector makes SQLite connections that parse a statement once, as pgx's do.
type cachingConnector struct {
	driver.Connector
	shares int64 // of the memory for pages
}

// liteConn is what a connection of the SQLite driver can do.
type liteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// liteStmt is what a statement of the SQLite driver can do.
type liteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

func (c cachingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	lite, ok := conn.(liteConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("store: unexpected SQLite driver %T", conn), conn.Close())
	}
	cached := &cachingConn{liteConn: lite, shares: c.shares, idle: map[string]liteStmt{}}
	pages.shares.Add(c.shares)
	if err := cached.fit(ctx); err != nil {
		return nil, errors.Join(err, cached.Close())
	}
	return cached, nil
}

// cachingConn keeps the statements that are not in use. database/sql never uses a connection from two goroutines at once.
type cachingConn struct {
	liteConn
	shares int64 // of the memory for pages
	pages  int64 // bytes of it that it may have
	idle   map[string]liteStmt
	named  []driver.NamedValue // room for the arguments of one statement
}

// many are all arguments of a statement as one. database/sql looks at each argument, and copies it twice; with a thousand
// of them that takes as long as writing the rows.
type many struct{ args []any }

// CheckNamedValue lets many through as it is; anything else goes the usual way.
func (c *cachingConn) CheckNamedValue(v *driver.NamedValue) error {
	if _, ok := v.Value.(*many); ok {
		return nil
	}
	return driver.ErrSkip
}

// arguments returns the arguments of a statement; they are valid until the next call.
func (c *cachingConn) arguments(args []driver.NamedValue) []driver.NamedValue {
	if len(args) != 1 {
		return args
	}
	m, ok := args[0].Value.(*many)
	if !ok {
		return args
	}
	c.named = c.named[:0]
	for i, v := range m.args {
		c.named = append(c.named, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return c.named
}

func (c *cachingConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	if len(args) == 0 {
		return c.liteConn.ExecContext(ctx, text, args) // schema changes and settings: run once, or several in one text
	}
	s, err := c.take(ctx, text)
	if err != nil {
		return nil, err
	}
	// The driver watches a context that can end with a goroutine for each statement. One that writes is short.
	r, err := s.ExecContext(context.WithoutCancel(ctx), c.arguments(args))
	clear(c.named)
	return r, errors.Join(err, c.give(text, s))
}

func (c *cachingConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	if len(args) == 0 {
		return c.liteConn.QueryContext(ctx, text, args)
	}
	s, err := c.take(ctx, text)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, errors.Join(err, c.give(text, s))
	}
	return &cachedRows{Rows: rows, conn: c, text: text, stmt: s}, nil
}

// take returns a statement that nobody else holds until give.
func (c *cachingConn) take(ctx context.Context, text string) (liteStmt, error) {
	if s, ok := c.idle[text]; ok {
		delete(c.idle, text)
		return s, nil
	}
	s, err := c.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	lite, ok := s.(liteStmt)
	if !ok {
		return nil, errors.Join(fmt.Errorf("store: unexpected SQLite statement %T", s), s.Close())
	}
	return lite, nil
}

func (c *cachingConn) give(text string, s liteStmt) error {
	if _, ok := c.idle[text]; ok {
		return s.Close() // it was run inside itself
	}
	var err error
	if len(c.idle) >= maxStatements {
		for other, victim := range c.idle { // any one: a process that has so many texts makes them up as it goes
			delete(c.idle, other)
			err = victim.Close()
			break
		}
	}
	c.idle[text] = s
	return err
}

func (c *cachingConn) Close() error {
	var errs []error
	for _, s := range c.idle {
		errs = append(errs, s.Close())
	}
	c.idle = nil
	pages.shares.Add(-c.shares)
	c.shares = 0
	return errors.Join(append(errs, c.liteConn.Close())...)
}

// cachedRows gives its statement back when it is closed.
type cachedRows struct {
	driver.Rows
	conn *cachingConn
	text string
	stmt liteStmt
}

func (r *cachedRows) Close() error {
	err := r.Rows.Close()
	if r.stmt != nil {
		err = errors.Join(err, r.conn.give(r.text, r.stmt))
		r.stmt = nil
	}
	return err
}
