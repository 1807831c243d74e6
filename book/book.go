package book

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
)

// Book runs one core in production. Callers decide under its lock, so a decision costs no change of goroutine; a
// Writer makes what was decided durable, and answers.
type Book struct {
	name     string
	volume   int
	state    State
	log      Log
	clk      clock.Clock
	writer   *Writer
	saver    *Saver
	limits   Limits
	onPublic func(head journal.Head, counts []PublicCount)
	onExpiry func(cmd, reply any, err error)

	mu       sync.Mutex
	core     *Core
	queued   bool          // the writer knows that there is something to do
	wantSet  bool          // the saver wants a snapshot with the next block
	closed   bool          // no command is taken any more
	room     chan struct{} // closed when there is room again; nil while nobody waits
	syncs    []syncWait
	fetches  *fetch // collects rows to be fetched next; nil if none are
	fetching bool
	loads    int64
	counted  int             // rows in memory, as the writer was told
	failed   [troubles]int64 // what went wrong aside
	troubled [troubles]error // what it was; nil once it went well again
	tending  bool            // the filters of the key indexes are being looked after
	tended   int64           // the day up to which they were, or are being
}

// Log is where blocks are written and read: *journal.Journal, or the simulator's.
type Log interface {
	// Write appends a batch in one transaction and says what became of each part. It returns an error only if ctx ends
	// or the process has to stop; while the outcome is unknown it keeps finding out (rule B3).
	Write(ctx context.Context, w journal.Batch) (journal.Fate, error)
	// Head returns the book's last block, the zero head for a new book.
	Head(ctx context.Context, book string) (journal.Head, error)
	// Read returns up to limit blocks from the given number on, verified and in order.
	Read(ctx context.Context, book string, from uint64, limit int) ([]*journal.Block, error)
}

// Limits bounds a book's memory. What is zero is taken from DefaultLimits.
type Limits struct {
	Rows    int          // rows per table kept in memory beyond what is unsaved
	Passing int          // the same for tables of what ends soon (Schema.Passing) and for keys; never more than Rows
	Keep    clock.Micros // how long rows stay after they were made, if there are less than twice as many
	Unsaved int          // rows that are not in the tables yet; beyond that, commands are refused
	All     int          // rows of all books that have the same writer, and so of the process; beyond that, each gives up its part

	part int // of 1000 rows of a table, how many may stay; 0: all
}

// DefaultLimits are what a laptop and a server can both afford. Rows is for accounts that are in use: each that is not in
// memory costs a read. What passes needs room for what is under way, and for those who ask again at once; room for minutes
// of it would be gigabytes under load, and every cache of the machine would hold what nobody reads any more.
//
// All is what eighteen services may take together, 600 MB of it, where each of their tables would have room
// for as much.
var DefaultLimits = Limits{Rows: 100_000, Passing: 4096, Keep: 2 * clock.Minute, Unsaved: 500_000, All: 2_000_000}

// Config is what a book is opened with.
type Config struct {
	Service  string
	Volume   int
	Machine  Machine
	Log      Log
	State    State
	Clock    clock.Clock
	Writer   *Writer
	Saver    *Saver
	Limits   Limits                            // zero: DefaultLimits
	OnPublic func(journal.Head, []PublicCount) // may be nil
	OnExpiry func(cmd, reply any, err error)   // may be nil
}

// Open takes the book over: it loads what the tables say, replays the journal after that, rebuilds the tables if they
// do not fit the journal, and appends the block that raises the epoch. It returns once that block is durable.
//
// Errors: fault.DataDamaged if the journal cannot be followed; fault.Fenced if another process took over meanwhile;
// fault.Unavailable if something cannot be read; fault.Timeout if ctx ends first.
func Open(ctx context.Context, c Config) (*Book, error) {
	b := newBook(c)
	if err := b.take(ctx, c); err != nil {
		return nil, err
	}
	if err := b.warm(ctx); err != nil {
		return nil, err
	}
	if b.saver != nil {
		b.saver.add(b)
	}
	return b, nil
}

// newBook returns a book without a core.
func newBook(c Config) *Book {
	b := &Book{
		name: Name(c.Service, c.Volume), volume: c.Volume, state: c.State, log: c.Log, clk: c.Clock, writer: c.Writer,
		saver: c.Saver, limits: c.Limits, onPublic: c.OnPublic, onExpiry: c.OnExpiry,
	}
	b.limits.Rows = cmp.Or(b.limits.Rows, DefaultLimits.Rows)
	b.limits.Passing = cmp.Or(b.limits.Passing, DefaultLimits.Passing)
	b.limits.Keep = cmp.Or(b.limits.Keep, DefaultLimits.Keep)
	b.limits.Unsaved = cmp.Or(b.limits.Unsaved, DefaultLimits.Unsaved)
	b.limits.All = cmp.Or(b.limits.All, DefaultLimits.All)
	return b
}

// The writer before may still be at work, and the first to append. It ends once any of its books was taken over, so
// trying again wins.
const (
	takeOverTries = 500
	takeOverPause = 5 * time.Millisecond
)

// take recovers the book and takes it over.
func (b *Book) take(ctx context.Context, c Config) error {
	for try := 1; ; try++ {
		core, err := Recover(ctx, b.name, c.Volume, c.Machine, c.Log, c.State)
		if err != nil {
			return err
		}
		if ahead := core.at - c.Clock.Now(); ahead > maxAhead {
			return fault.DataDamaged.New("book %s was last written %s in the future; set the machine's clock right", b.name,
				core.at.Sub(c.Clock.Now()))
		}
		b.mu.Lock()
		b.core = core
		b.mu.Unlock()
		if try == 1 && !b.writer.join(b) {
			return fault.ShuttingDown.New("")
		}
		if err = b.takeOver(ctx); !fault.HasCode(err, fault.Fenced) || try == takeOverTries {
			return err
		}
		select {
		case <-clock.Pause(takeOverPause):
		case <-ctx.Done():
			return err
		}
	}
}

// takeOver returns once the block that raises the epoch is durable.
func (b *Book) takeOver(ctx context.Context) error {
	landed := make(chan error, 1)
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return fault.ShuttingDown.New("")
	}
	b.core.TakeOver(b.clk.Now())
	b.core.open.answers = append(b.core.open.answers, Answer{done: func(_ any, err error) { landed <- err }})
	b.release()
	select {
	case err := <-landed:
		return err
	case <-ctx.Done():
		return fault.Timeout.New("book %s was not opened in time", b.name)
	}
}

// maxAhead is how far the last block may lie in the future at opening (rule B7).
const maxAhead = 5 * clock.Second

// Name returns the book's name, such as "balance/03".
func (b *Book) Name() string { return b.name }

// Machine returns the machine that the book runs.
func (b *Book) Machine() Machine { return b.core.machine }

// Do submits a command and returns its answer once that is durable.
//
// Errors: the fault the command was refused with; fault.Overloaded or fault.ShuttingDown (nothing was done);
// fault.Timeout (unknown) if ctx ends first; fault.Unavailable (unknown) if the book closes or cannot read meanwhile;
// fault.Fenced (unknown) if another process took the book over; fault.Bug if the machine met an impossible state.
func (b *Book) Do(ctx context.Context, cmd any) (any, error) {
	call := calls.Get().(*call)
	if err := b.submit(ctx, cmd, call.done); err != nil {
		calls.Put(call)
		return nil, err
	}
	select {
	case <-call.ch:
		reply, err := call.reply, call.err
		call.reply, call.err = nil, nil
		calls.Put(call)
		return reply, err
	case <-ctx.Done():
		return nil, fault.Timeout.New("").Because(ctx.Err())
	}
}

// Go submits a command and calls done once the answer is durable, with what Do would return. It waits, in the calling
// goroutine, for rows that are missing and for room in the block. done is called from the writer's goroutine or, where
// nothing was submitted, from this one: it must be quick, and may call Go only where it need not wait.
func (b *Book) Go(ctx context.Context, cmd any, done Done) {
	if err := b.submit(ctx, cmd, done); err != nil {
		done(nil, err)
	}
}

// call carries one answer from the writer to the caller who waits.
type call struct {
	ch    chan struct{}
	reply any
	err   error
	done  Done
}

var calls = sync.Pool{New: func() any {
	c := &call{ch: make(chan struct{}, 1)}
	c.done = func(reply any, err error) {
		c.reply, c.err = reply, err
		c.ch <- struct{}{}
	}
	return c
}}

// Start submits a command as Do does, and does not wait: done hears the answer, from the writer's goroutine or from
// another one, and at once where nothing was submitted. Rows that are missing, and room in a full block, are waited for
// aside. done must be quick.
func (b *Book) Start(cmd any, done Done) {
	wait, err := b.offer(cmd, done)
	if err == nil && wait != nil {
		life := b.writer.life
		aside := func() {
			err := wait(life)
			if err == nil {
				err = b.submit(life, cmd, done)
			}
			if err != nil {
				done(nil, err)
			}
		}
		if b.writer.beside(aside) {
			return
		}
		err = fault.ShuttingDown.New("")
	}
	if err != nil {
		done(nil, err)
	}
}

// submit has the core decide. It returns an error where the command was not submitted and never will be.
func (b *Book) submit(ctx context.Context, cmd any, done Done) error {
	for {
		wait, err := b.offer(cmd, done)
		if err != nil || wait == nil {
			return err
		}
		if err := wait(ctx); err != nil {
			return err
		}
	}
}

// offer has the core decide if it can do so now. If not, it returns what to wait for before the command is offered again.
func (b *Book) offer(cmd any, done Done) (wait func(context.Context) error, err error) {
	b.mu.Lock()
	if err := b.closing(); err != nil {
		b.mu.Unlock()
		return nil, err
	}
	if b.core.Full() && b.core.Ended() == nil {
		room := b.full()
		b.mu.Unlock()
		return func(ctx context.Context) error { return b.waitFor(ctx, room) }, nil
	}
	wants, err := b.decide(cmd, done)
	if err != nil {
		b.release()
		b.writer.fatal(err)
		return nil, fault.Bug.New("")
	}
	var f *fetch
	if wants != nil {
		f = b.want(wants)
	}
	b.release()
	if f == nil {
		return nil, nil
	}
	return func(ctx context.Context) error { return f.wait(ctx, wants) }, nil
}

func (b *Book) waitFor(ctx context.Context, room <-chan struct{}) error {
	select {
	case <-room:
		return nil
	case <-ctx.Done():
		return fault.Overloaded.New("book %s has too much waiting", b.name).Because(ctx.Err())
	}
}

// closing returns why no command is taken now, nil if one is. Callers hold the lock.
func (b *Book) closing() error {
	if b.closed {
		return fault.ShuttingDown.New("")
	}
	if n := b.core.UnsavedRows(); n > b.limits.Unsaved {
		return fault.Overloaded.New("book %s has %d rows that could not be saved", b.name, n)
	}
	return nil
}

// full returns a channel that is closed when there is room again. Callers hold the lock.
func (b *Book) full() <-chan struct{} {
	if b.room == nil {
		b.room = make(chan struct{})
	}
	return b.room
}

// decide submits to the core. A machine that panics has met a state that must not be: what it did to memory is worth
// nothing, so the book ends, and the process with it.
func (b *Book) decide(cmd any, done Done) (wants []Want, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Book: b.name, Command: fmt.Sprintf("%T", cmd), Value: p, Stack: debug.Stack()}
			b.core.End(fault.Bug.New("").Because(err))
		}
	}()
	return b.core.Submit(b.clk.Now(), cmd, done), nil
}

// PanicError says that a machine met a state that must not be.
type PanicError struct {
	Book, Command string
	Value         any
	Stack         []byte
}

// Unwrap returns what the machine panicked with, if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Error implements error.
func (e *PanicError) Error() string {
	return fmt.Sprintf("book %s met an impossible state at %s: %v", e.Book, e.Command, e.Value)
}

// release lets others in, after it has let the writer know what there is to do, and tells what may be told. Callers
// hold the lock; a done may take it again.
func (b *Book) release() {
	if b.core.ended == nil {
		if !b.writer.shared { // the directory's lock stands for the check of the head (rule B4)
			b.core.told = append(b.core.told, b.core.Ready()...)
		}
		if !b.queued && (b.core.Sealable() || len(b.core.reads) > 0) {
			b.queued = true
			b.writer.push(b)
		}
	}
	b.makeRoom()
	if len(b.syncs) > 0 {
		b.tellSyncs()
	}
	tell := b.core.Answers()
	b.mu.Unlock()
	for _, a := range tell {
		a.Tell()
	}
}

// seal is called by the writer: it returns the block to be written, or the answers that wait for a check of the head.
func (b *Book) seal() (*journal.Block, []Answer, journal.Head) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queued = false
	if !b.core.Sealable() {
		ready := b.core.Ready()
		b.makeRoom()
		return nil, ready, b.core.Durable()
	}
	block := b.core.Seal(b.writer.salt(), b.wantSet)
	b.wantSet = false
	b.makeRoom()
	return block, nil, journal.Head{}
}

// makeRoom lets those go on who wait for room, if there is some, or never will be. Callers hold the lock.
func (b *Book) makeRoom() {
	if b.room != nil && (b.core.ended != nil || !b.core.Full()) {
		close(b.room)
		b.room = nil
	}
}

// settle is called by the writer with the fate of the block in flight.
func (b *Book) settle(fenced bool) {
	b.mu.Lock()
	if fenced {
		b.core.Fence()
		b.release()
		return
	}
	public, save := b.core.Landed()
	if b.onPublic != nil && b.core.ended == nil {
		b.onPublic(b.core.Durable(), public)
	}
	if b.saver != nil {
		b.saver.landed(save)
	}
	b.release()
}

// tell gives answers whose head was checked: they stand if nobody took the book over.
func (b *Book) tell(answers []Answer, stale bool) {
	if !stale {
		for _, a := range answers {
			a.Tell()
		}
		return
	}
	b.mu.Lock()
	b.core.Fence()
	for _, a := range answers {
		b.core.told = append(b.core.told, Answer{done: a.done, err: b.core.ended})
	}
	b.release()
}

// Close drops the book: it takes no more commands, who still waits hears "unknown", and its memory can go. It is for a
// book that was fenced and is going to be opened again; a process that ends closes the writer and the savers instead.
func (b *Book) Close() {
	b.close()
	b.end()
	b.mu.Lock()
	b.writer.rows.Add(-int64(b.counted))
	b.counted = 0
	b.mu.Unlock()
	b.writer.leave(b)
	if b.saver != nil {
		b.saver.leave(b)
	}
}

// close stops taking commands.
func (b *Book) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}

// end lets everyone who still waits hear that nobody knows.
func (b *Book) end() {
	b.mu.Lock()
	if len(b.core.reads)+len(b.core.open.events) > 0 || b.core.flight != nil {
		b.core.End(fault.Unavailable.New(""))
	}
	b.release()
}

// Stats are a book's figures for metrics.
type Stats struct {
	Head, Saved uint64 // the last durable block, and the one that the tables stand for
	Resident    int    // rows in memory
	Unsaved     int    // of them, not in the tables yet
	Loads       int64  // reads of rows that were not in memory
	Fenced      bool
	Known       int64           // requests that came under a key which stands for something already
	Epoch       uint64          // goes up with each process that takes the book over
	Replayed    uint64          // blocks that its recovery read
	Rebuilt     bool            // all of them: there were no tables that fit the journal
	Failed      [troubles]int64 // what went wrong aside, by Trouble
	Troubled    [troubles]bool  // whether it goes wrong still
}

// Troubles lists the kinds of trouble.
func Troubles() []Trouble { return []Trouble{DamagedRow, TimerScan, IndexTended} }

// Stats returns the book's figures.
func (b *Book) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	var still [troubles]bool
	for t, err := range b.troubled {
		still[t] = err != nil
	}
	known := int64(0)
	for _, t := range b.core.tables {
		if k, ok := t.(*Keys); ok {
			known += k.known
		}
	}
	return Stats{
		Known: known, Failed: b.failed, Troubled: still, Head: b.core.Durable().Seq, Saved: b.core.SavedHead().Seq, Resident: b.core.Resident(),
		Unsaved: b.core.UnsavedRows(), Loads: b.loads, Fenced: b.core.Fenced(), Epoch: b.core.head.Epoch,
		Replayed: b.core.replayed, Rebuilt: b.core.rebuilt,
	}
}
