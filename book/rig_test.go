package book

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

var (
	_ Log   = (*journal.Journal)(nil)
	_ Log   = (*MemLog)(nil)
	_ State = (*SQLState)(nil)
	_ State = (*MemState)(nil)
)

var background = context.Background()

const start = clock.Micros(1_790_000_000) * clock.Second

// rig is a platform of toys whose processes come and go over one journal and one state.
type rig struct {
	t      testing.TB
	clk    *clock.Manual
	log    Log
	state  State
	shared bool
	limits Limits
	ids    *id.Source
}

func newRig(t testing.TB) *rig {
	return &rig{t: t, clk: clock.NewManual(start), log: NewMemLog(), state: NewMemState(), ids: id.NewSource(nil)}
}

// id returns a fresh id, made now.
func (r *rig) id() id.ID { return r.ids.New(r.clk.Now(), 0) }

// key returns a caller's key, which is random.
func (r *rig) key() id.ID {
	x := r.id()
	slices.Reverse(x[:])
	return x
}

// proc is one process.
type proc struct {
	*rig
	log    *tapLog
	state  *tapState
	clk    clock.Clock
	writer *Writer
	saver  *Saver
	books  []*Book
	toys   []*toy
	fatal  chan error
	alarm  chan error
	hooks  Hooks
	closed bool
}

// process makes a process that has no book open yet.
func (r *rig) process() *proc {
	p := &proc{
		rig: r, log: &tapLog{Log: r.log}, state: &tapState{State: r.state}, clk: r.clk, fatal: make(chan error, 10),
		alarm: make(chan error, 10),
	}
	p.hooks = Hooks{Fatal: func(err error) { p.fatal <- err }, Alarm: func(err error) { p.alarm <- err }}
	r.t.Cleanup(p.close)
	return p
}

// start opens books 0 … n-1.
func (r *rig) start(n int) *proc {
	r.t.Helper()
	p := r.process()
	for v := range n {
		if _, err := p.open(v, newToy()); err != nil {
			r.t.Fatalf("open: %v", err)
		}
	}
	return p
}

func (p *proc) open(volume int, m *toy) (*Book, error) {
	if p.writer == nil {
		p.writer, p.saver = NewWriter(p.log, p.clk, p.shared, nil, p.hooks), NewSaver(p.state)
	}
	b, err := Open(background, Config{
		Service: "toy", Volume: volume, Machine: m, Log: p.log, State: p.state, Clock: p.clk,
		Writer: p.writer, Saver: p.saver, Limits: p.limits,
	})
	if err == nil {
		p.books, p.toys = append(p.books, b), append(p.toys, m)
	}
	return b, err
}

func (p *proc) close() {
	if p.closed || p.writer == nil {
		return
	}
	p.closed = true
	ctx, cancel := context.WithTimeout(background, patience)
	defer cancel()
	p.writer.Close(ctx)
	p.saver.Close()
}

// crash ends the process as a kill would: nothing more reaches the journal or the tables.
func (p *proc) crash() {
	p.log.dead.Store(true)
	p.state.dead.Store(true)
	p.closed = true
	p.writer.cancel()
	<-p.writer.done
	p.saver.Close()
}

func (p *proc) do(cmd any) (any, error) {
	ctx, cancel := context.WithTimeout(background, patience)
	defer cancel()
	return p.books[0].Do(ctx, cmd)
}

func (p *proc) must(cmd any) any {
	p.t.Helper()
	reply, err := p.do(cmd)
	if err != nil {
		p.t.Fatalf("%T: %v", cmd, err)
	}
	return reply
}

// sync waits until the tables hold what is durable.
func (p *proc) sync() error {
	ctx, cancel := context.WithTimeout(background, patience)
	defer cancel()
	return p.saver.Sync(ctx)
}

// account opens an account with money in it.
func (p *proc) account(balance int64) id.ID {
	p.t.Helper()
	x := p.id()
	p.must(toyOpen{toyKey(x), balance})
	return x
}

// patience is how long a test waits for what has to happen.
const patience = 20 * time.Second

// eventually waits until ok holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	late := time.After(patience)
	for !ok() {
		select {
		case <-late:
			t.Fatalf("it never happened: %s", what)
		case <-clock.Pause(time.Millisecond):
		}
	}
}

func receive[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case x := <-ch:
		return x
	case <-time.After(patience):
		t.Fatalf("it never happened: %s", what)
		panic("unreachable")
	}
}

// tapLog lets a test see and hold what a process writes.
type tapLog struct {
	Log
	mu            sync.Mutex
	before, after func(journal.Batch)
	fail          error
	writes        atomic.Int64
	dead          atomic.Bool
}

// tap sets what is called before and after a batch is written.
func (l *tapLog) tap(before, after func(journal.Batch)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before, l.after = before, after
}

func (l *tapLog) breakWith(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = err
}

func (l *tapLog) Write(ctx context.Context, w journal.Batch) (journal.Fate, error) {
	l.mu.Lock()
	before, after, fail := l.before, l.after, l.fail
	l.mu.Unlock()
	if before != nil {
		before(w)
	}
	if l.dead.Load() {
		<-ctx.Done()
	}
	if err := errors.Join(ctx.Err(), fail); err != nil {
		return journal.Fate{}, err
	}
	l.writes.Add(1)
	fate, err := l.Log.Write(ctx, w)
	if after != nil {
		after(w)
	}
	return fate, err
}

// gate holds writes: each announces itself, and goes on when it is let.
type gate struct {
	came chan journal.Batch
	let  chan struct{}
	over chan struct{} // the test has ended, perhaps early
}

func newGate(t testing.TB) *gate {
	g := &gate{make(chan journal.Batch), make(chan struct{}), make(chan struct{})}
	t.Cleanup(func() { close(g.over) })
	return g
}

func (g *gate) pass(w journal.Batch) {
	select {
	case g.came <- w:
	case <-g.over:
	}
	select {
	case <-g.let:
	case <-g.over:
	}
}

// tapState lets a test see, hold and break what a process reads and saves.
type tapState struct {
	State
	mu       sync.Mutex
	onSave   func([]*SaveSet)
	onLoad   func([]Want)
	onLoaded func([]Want)
	onKeys   func(Segment) // a day whose keys are about to be read
	onFilter func(Segment) // a month whose kept filter is about to be read
	holdFill chan struct{} // until it is closed, filters stay cold
	failSave error
	failDue  atomic.Pointer[error]
	dead     atomic.Bool
	loads    atomic.Int64
}

func (s *tapState) tap(onLoad func([]Want), onSave func([]*SaveSet)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onLoad, s.onSave = onLoad, onSave
}

func (s *tapState) breakWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failSave = err
}

func (s *tapState) Load(ctx context.Context, book string, volume int, wants []Want) ([]any, Position, error) {
	s.mu.Lock()
	onLoad, onLoaded := s.onLoad, s.onLoaded
	s.mu.Unlock()
	s.loads.Add(1)
	if onLoad != nil {
		onLoad(wants)
	}
	rows, at, err := s.State.Load(ctx, book, volume, wants)
	if onLoaded != nil {
		onLoaded(wants)
	}
	return rows, at, err
}

// tapLoaded sets what is called after rows were read, and before the book hears of them.
func (s *tapState) tapLoaded(onLoaded func([]Want)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onLoaded = onLoaded
}

// tapKeys sets what is called before keys and filters of the key index are read.
func (s *tapState) tapKeys(onKeys, onFilter func(Segment)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onKeys, s.onFilter = onKeys, onFilter
}

func (s *tapState) SegmentKeys(ctx context.Context, book string, volume int, k *Keys, g Segment, after id.ID, limit int) ([]id.ID, Position, error) {
	if s.holdFill != nil {
		select {
		case <-s.holdFill:
		case <-ctx.Done():
			return nil, Position{}, ctx.Err()
		}
	}
	s.mu.Lock()
	onKeys := s.onKeys
	s.mu.Unlock()
	if onKeys != nil {
		onKeys(g)
	}
	return s.State.SegmentKeys(ctx, book, volume, k, g, after, limit)
}

func (s *tapState) Filter(ctx context.Context, volume int, k *Keys, g Segment) (KeptFilter, error) {
	s.mu.Lock()
	onFilter := s.onFilter
	s.mu.Unlock()
	if onFilter != nil {
		onFilter(g)
	}
	return s.State.Filter(ctx, volume, k, g)
}

func (s *tapState) KeepFilter(ctx context.Context, volume int, k *Keys, g Segment, f KeptFilter) error {
	if s.dead.Load() {
		return errors.New("the process is dead")
	}
	return s.State.KeepFilter(ctx, volume, k, g, f)
}

func (s *tapState) Save(ctx context.Context, sets []*SaveSet) ([]string, error) {
	s.mu.Lock()
	onSave, fail := s.onSave, s.failSave
	s.mu.Unlock()
	if s.dead.Load() {
		return nil, errors.New("the process is dead")
	}
	if fail != nil {
		return nil, fail
	}
	if onSave != nil {
		onSave(sets)
	}
	return s.State.Save(ctx, sets)
}

func (s *tapState) DueBefore(ctx context.Context, volume int, t Table, after DueRow, before clock.Micros, limit int) ([]DueRow, error) {
	if fail := s.failDue.Load(); fail != nil {
		return nil, *fail
	}
	return s.State.DueBefore(ctx, volume, t, after, before, limit)
}

// onStores runs fn on real databases.
func onStores(t *testing.T, fn func(t *testing.T, r *rig)) {
	storetest.Each(t, func(t *testing.T, open func(name string) *store.DB) { fn(t, sqlRig(t, open("journal"), open("toy"))) })
}

func sqlRig(t testing.TB, log, state *store.DB) *rig {
	t.Helper()
	r := newRig(t)
	r.shared = log.Engine() == store.Postgres
	j, err := journal.Open(background, log)
	if err != nil {
		t.Fatal(err)
	}
	if err := state.Migrate(background, toyTables); err != nil {
		t.Fatal(err)
	}
	s, err := NewSQLState(background, state)
	if err != nil {
		t.Fatal(err)
	}
	r.log, r.state = j, s
	return r
}

var toyTables = fstest.MapFS{"0001_toy.sql": {Data: []byte(`-- +goose Up
CREATE TABLE toy_accounts (tenant BIGINT NOT NULL, volume BIGINT NOT NULL, id BYTEA NOT NULL,
	balance BIGINT NOT NULL, name BYTEA NOT NULL, PRIMARY KEY (tenant, volume, id));
CREATE TABLE toy_moves (tenant BIGINT NOT NULL, volume BIGINT NOT NULL, id BYTEA NOT NULL,
	facts BYTEA NOT NULL, PRIMARY KEY (tenant, volume, id));
CREATE TABLE toy_alarms (tenant BIGINT NOT NULL, volume BIGINT NOT NULL, id BYTEA NOT NULL,
	rung BIGINT NOT NULL, rings BIGINT NOT NULL, due BIGINT NOT NULL, PRIMARY KEY (tenant, volume, id));
CREATE INDEX toy_alarms_due ON toy_alarms (volume, due);
CREATE TABLE toy_keys (tenant BIGINT NOT NULL, volume BIGINT NOT NULL, day BIGINT NOT NULL, id BYTEA NOT NULL,
	target BYTEA NOT NULL, fingerprint BYTEA NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (tenant, volume, day, id));
`)}}

// dump returns every row of the state as text, in order.
func (r *rig) dump() (out []string) {
	r.t.Helper()
	switch s := r.state.(type) {
	case *MemState:
		return s.Dump()
	case *SQLState:
		err := s.DB().Read(background, func(tx *sql.Tx) (err error) {
			for _, q := range []string{
				"SELECT volume, id, balance, name FROM toy_accounts", "SELECT volume, id, facts, 0 FROM toy_moves",
				"SELECT volume, id, rung, due FROM toy_alarms", "SELECT day, id, target, fingerprint FROM toy_keys",
				"SELECT book, hash, seq, epoch FROM book_saved", "SELECT book, at, newest, fold FROM book_saved",
			} {
				if out, err = dumpQuery(background, tx, q, out); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			r.t.Fatal(err)
		}
	}
	sort.Strings(out)
	return out
}

func dumpQuery(ctx context.Context, tx *sql.Tx, q string, out []string) ([]string, error) {
	rows, err := tx.QueryContext(ctx, q)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var a, b, c, d any
		if err := rows.Scan(&a, &b, &c, &d); err != nil {
			return nil, err
		}
		out = append(out, fmt.Sprintf("%s: %v %x %x %x", q, a, b, c, d))
	}
	return out, rows.Err()
}

// rebuild empties the tables and makes them again from the journal alone.
func (r *rig) rebuild(volumes int) {
	r.t.Helper()
	for v := range volumes {
		m := newToy()
		if err := r.state.Wipe(background, Name("toy", v), v, m.Tables()); err != nil {
			r.t.Fatal(err)
		}
		c, err := Recover(background, Name("toy", v), v, m, r.log, r.state)
		if err != nil {
			r.t.Fatalf("rebuild: %v", err)
		}
		if err := SaveNow(background, c, r.state); err != nil {
			r.t.Fatalf("rebuild: %v", err)
		}
	}
}
