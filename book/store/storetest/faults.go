package storetest

import (
	"context"
	"database/sql/driver"
	"fmt"
	"io"
	"sync"
)

// Kind is what happens instead of a step.
type Kind uint8

// The kinds of fault.
const (
	Fail       Kind = iota + 1 // the step is not run and returns an error
	LoseReply                  // the step is run, but returns an error
	Crash                      // the step is not run, and none after it: as if the process had died before it
	CrashAfter                 // the step is run, and none after it: as if the process had died before it heard
)

// Cut is the error of a fault that names no other: store.Classify calls it Lost.
var Cut = fmt.Errorf("storetest: the connection was cut: %w", io.ErrUnexpectedEOF)

// Faults lets chosen steps of a database fail. A step is a begin, a statement or a commit, on any connection; rolling
// back is none, and always works. Pass Wrap as store.Config.Wrap. It is safe for concurrent use.
type Faults struct {
	mu      sync.Mutex
	steps   int
	commits int
	at      map[int]fault // by step
	commit  map[int]fault // by commit
	crashed bool
	down    bool
}

type fault struct {
	kind Kind
	err  error
}

// Step lets the n-th step from now (the next is 1) fail. err nil means Cut.
func (f *Faults) Step(n int, kind Kind, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = plan(f.at, f.steps+n, kind, err)
}

// Commit lets the n-th commit from now (the next is 1) fail. err nil means Cut.
func (f *Faults) Commit(n int, kind Kind, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.commit = plan(f.commit, f.commits+n, kind, err)
}

func plan(in map[int]fault, n int, kind Kind, err error) map[int]fault {
	if in == nil {
		in = map[int]fault{}
	}
	if err == nil {
		err = Cut
	}
	in[n] = fault{kind, err}
	return in
}

// Down lets every step fail with Cut, until it is called with false: the database is out of reach meanwhile.
func (f *Faults) Down(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

// Steps returns how many steps were taken or refused so far.
func (f *Faults) Steps() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.steps
}

// Crashed says whether a Crash or CrashAfter has happened.
func (f *Faults) Crashed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.crashed
}

// step counts a step and runs it, or not.
func (f *Faults) step(commit bool, run func() error) error {
	f.mu.Lock()
	f.steps++
	x, planned := f.at[f.steps]
	if commit {
		f.commits++
		if y, ok := f.commit[f.commits]; ok {
			x, planned = y, true
		}
	}
	if f.crashed || f.down {
		f.mu.Unlock()
		return Cut
	}
	f.crashed = planned && (x.kind == Crash || x.kind == CrashAfter)
	f.mu.Unlock()
	if !planned {
		return run()
	}
	if x.kind == LoseReply || x.kind == CrashAfter {
		if err := run(); err != nil {
			return err
		}
	}
	return x.err
}

// Wrap stands between the pool and the driver.
func (f *Faults) Wrap(c driver.Connector) driver.Connector { return faultyConnector{c, f} }

type faultyConnector struct {
	driver.Connector
	faults *Faults
}

func (c faultyConnector) Connect(ctx context.Context) (driver.Conn, error) {
	if c.faults.Crashed() {
		return nil, Cut
	}
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := conn.(fullConn)
	if !ok {
		return nil, fmt.Errorf("storetest: unexpected driver %T", conn)
	}
	return &faultyConn{full, c.faults}, nil
}

// fullConn is what connections of both drivers can do.
type fullConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
}

type faultyConn struct {
	fullConn
	faults *Faults
}

// CheckNamedValue lets the driver below convert arguments as it would.
func (c *faultyConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.fullConn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (c *faultyConn) BeginTx(ctx context.Context, opts driver.TxOptions) (tx driver.Tx, err error) {
	step := func() error {
		tx, err = c.fullConn.BeginTx(ctx, opts)
		return err
	}
	if err := c.faults.step(false, step); err != nil {
		if tx != nil {
			_ = tx.Rollback() // the caller has no handle to do it
		}
		return nil, err
	}
	return &faultyTx{tx, c.faults}, nil
}

func (c *faultyConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (r driver.Result, err error) {
	err = c.faults.step(false, func() (err error) {
		r, err = c.fullConn.ExecContext(ctx, text, args)
		return err
	})
	return r, err
}

func (c *faultyConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (rows driver.Rows, err error) {
	err = c.faults.step(false, func() (err error) {
		rows, err = c.fullConn.QueryContext(ctx, text, args)
		return err
	})
	if err != nil && rows != nil {
		_ = rows.Close() // the caller gets none
		rows = nil
	}
	return rows, err
}

type faultyTx struct {
	driver.Tx
	faults *Faults
}

func (t *faultyTx) Commit() error {
	ran := false
	err := t.faults.step(true, func() error {
		ran = true
		return t.Tx.Commit()
	})
	if !ran {
		_ = t.Tx.Rollback() // database/sql believes that the transaction has ended
	}
	return err
}
