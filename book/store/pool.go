package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// pool are the connections of this process to one PostgreSQL. All that is open there shares them, each in
// its own schema, for a server has few: what counts is the process, not how many services it runs. The
// write connection of a record is apart (openPostgres): nothing else may wait for it to be free, or leave a
// setting behind that its commits would run under.
type pool struct {
	key   poolKey
	dial  driver.Connector
	slots chan struct{} // one is held for each connection that is lent
	turn  atomic.Int64  // rises when tables may have changed, and with them the types of what statements return

	mu    sync.Mutex
	idle  []*pooled // the one that was used last is the last
	open  int       // connections, lent or idle
	users int       // open databases
}

// poolKey says which databases share a pool.
type poolKey struct {
	url      string
	readOnly bool
}

// pooled is a connection, and the schema that its names are looked up in.
type pooled struct {
	*stdlib.Conn
	schema string
	turn   int64 // of the pool, when its statements were prepared or thrown away
}

// pools are those of this process. The server counts connections by process, whoever in it opens them.
var pools = struct {
	sync.Mutex
	of map[poolKey]*pool
}{of: map[poolKey]*pool{}}

// sizeParam is the word of the URL for the size of the pool, as other programs for PostgreSQL have it.
const sizeParam = "pool_max_conns"

// How many connections a pool has. A save, a read of rows and a list need one each, for milliseconds; more
// than a few at work for each core only wait for one another.
const (
	leastPool = 4
	mostPool  = 64
)

func defaultPool() int { return min(2*leastPool+2*max(0, runtime.NumCPU()-2), mostPool/2) }

// sizeOf reads the size that a URL asks for.
func sizeOf(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < leastPool || n > mostPool {
		return 0, fmt.Errorf("store: %s is %q in the URL of the store: expected a number from %d to %d",
			sizeParam, text, leastPool, mostPool)
	}
	return n, nil
}

// usePool returns the pool of a URL. Every use ends with leave.
func usePool(url string, readOnly bool) (*pool, error) {
	key := poolKey{url, readOnly}
	pools.Lock()
	defer pools.Unlock()
	p := pools.of[key]
	if p == nil {
		to, err := parseURL(url)
		if err != nil {
			return nil, err
		}
		s := sharedSettings
		if readOnly {
			s = append(slices.Clip(s), setting{"default_transaction_read_only", "on"})
		}
		p = &pool{key: key, dial: to.connector(s), slots: make(chan struct{}, to.size)}
		pools.of[key] = p
	}
	p.users++
	return p, nil
}

// leave ends a use. With the last one the connections are closed.
func (p *pool) leave() error {
	pools.Lock()
	defer pools.Unlock()
	p.mu.Lock()
	p.users--
	var idle []*pooled
	if p.users == 0 {
		delete(pools.of, p.key)
		idle, p.idle = p.idle, nil
		p.open -= len(idle)
	}
	p.mu.Unlock()
	var errs []error
	for _, c := range idle {
		errs = append(errs, c.Conn.Close())
	}
	return errors.Join(errs...)
}

// lend returns a connection whose names are looked up in schema. It waits for one to be free.
func (p *pool) lend(ctx context.Context, schema string) (*pooled, error) {
	select {
	case p.slots <- struct{}{}:
	default:
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, fmt.Errorf("store: wait for a connection: %w", ctx.Err())
		}
	}
	c, err := p.take(ctx, schema)
	if err != nil {
		<-p.slots
	}
	return c, err
}

// take is lend for who holds a slot.
func (p *pool) take(ctx context.Context, schema string) (*pooled, error) {
	for {
		c := p.pick(schema)
		if c == nil {
			return p.connect(ctx, schema)
		}
		err := c.enter(ctx, p.turn.Load(), schema)
		if err == nil {
			return c, nil
		}
		p.drop(c)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("store: wait for a connection: %w", ctx.Err())
		}
	}
}

// pick takes an idle connection: the one that was in the schema last, or else the one that was used least
// recently. It returns nil if a new one is better: none is idle, or none is of the schema and there may be
// more.
func (p *pool) pick(schema string) *pooled {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := len(p.idle) - 1
	for at >= 0 && p.idle[at].schema != schema {
		at--
	}
	if at < 0 && (len(p.idle) == 0 || p.open < cap(p.slots)) {
		return nil
	}
	at = max(at, 0)
	c := p.idle[at]
	p.idle = append(p.idle[:at], p.idle[at+1:]...)
	return c
}

func (p *pool) connect(ctx context.Context, schema string) (*pooled, error) {
	conn, err := p.dial.Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: reach PostgreSQL: %w", err)
	}
	turn := p.turn.Load()
	c := &pooled{Conn: conn.(*stdlib.Conn), turn: turn}
	p.mu.Lock()
	p.open++
	p.mu.Unlock()
	if err := c.enter(ctx, turn, schema); err != nil {
		p.drop(c)
		return nil, err
	}
	return c, nil
}

// enter makes a connection ready for a user of schema. A connection that is dead, or in a transaction, is
// refused.
func (c *pooled) enter(ctx context.Context, turn int64, schema string) error {
	if err := c.Conn.ResetSession(ctx); err != nil {
		return err
	}
	if c.turn != turn {
		if err := c.Conn.Conn().DeallocateAll(ctx); err != nil {
			return fmt.Errorf("store: forget prepared statements: %w", err)
		}
		c.turn = turn
	}
	if c.schema == schema {
		return nil
	}
	if _, err := c.Conn.Conn().Exec(ctx, "SET search_path TO "+pgx.Identifier{schema}.Sanitize()); err != nil {
		return fmt.Errorf("store: look in schema %s: %w", schema, err)
	}
	c.schema = schema
	return nil
}

// drop closes a connection for good.
func (p *pool) drop(c *pooled) {
	p.mu.Lock()
	p.open--
	p.mu.Unlock()
	_ = c.Conn.Close() // it is of no use any more, however it ends
}

// giveBack takes a connection that was lent.
func (p *pool) giveBack(c *pooled) {
	defer func() { <-p.slots }()
	conn := c.Conn.Conn()
	p.mu.Lock()
	keep := p.users > 0 && !conn.IsClosed() && conn.PgConn().TxStatus() == 'I'
	if keep {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		p.drop(c)
	}
}

// lender lets a sql.DB use the pool in one schema. Such a sql.DB keeps no connection of its own.
type lender struct {
	pool   *pool
	schema string
}

// Connect implements driver.Connector.
func (l lender) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := l.pool.lend(ctx, l.schema)
	if err != nil {
		return nil, err
	}
	return &lease{c, l.pool}, nil
}

// Driver implements driver.Connector.
func (l lender) Driver() driver.Driver { return l.pool.dial.Driver() }

// lease is a connection that was lent. Closing it gives it back.
type lease struct {
	*pooled
	pool *pool
}

// Close implements driver.Conn.
func (l *lease) Close() error {
	l.pool.giveBack(l.pooled)
	return nil
}
