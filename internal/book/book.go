package book

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/journal"
)

// Book runs one core in production. Callers decide under its lock, so a decision costs no change of goroutine; a
// Writer makes what was decided durable, and answers.
type Book struct {
	name    string
	volume  int
	machine Machine
	state   State
	log     Log
	clk     clock.Clock
	writer  *Writer
	limits  Limits

	mu      sync.Mutex
	core    *Core
	queued  bool // the writer knows that there is something to do
	wantSet bool // the saver wants a snapshot with the next block
	loads   atomic.Int64

	// OnPublic is told, in order and once durable, how many public events each block held. Set before Open returns.
	onPublic func(head journal.Head, counts []PublicCount)
	onExpiry func(cmd, reply any, err error)
	landed   func(*SaveSet)
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

// Limits bounds a book's memory.
type Limits struct {
	Rows int          // rows per table kept in memory beyond what is unsaved or fresh
	Keep clock.Micros // how long rows stay after they were made, so that fresh ids are known to be new
}

// DefaultLimits are what a laptop and a server can both afford.
var DefaultLimits = Limits{Rows: 200_000, Keep: 2 * clock.Minute}

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
// Errors: fault.DataDamaged if the journal cannot be followed; fault.Fenced if another process took over meanwhile.
func Open(ctx context.Context, c Config) (*Book, error) {
	if c.Limits == (Limits{}) {
		c.Limits = DefaultLimits
	}
	b := &Book{name: Name(c.Service, c.Volume), volume: c.Volume, machine: c.Machine, state: c.State, log: c.Log,
		clk: c.Clock, writer: c.Writer, limits: c.Limits, onPublic: c.OnPublic, onExpiry: c.OnExpiry}
	core, err := Recover(ctx, b.name, c.Volume, c.Machine, c.Log, c.State)
	if err != nil {
		return nil, err
	}
	b.core = core
	if ahead := b.core.at - c.Clock.Now(); ahead > maxAhead {
		return nil, fault.DataDamaged.New("book %s was last written %s in the future; set the machine's clock right", b.name,
			b.core.at.Sub(c.Clock.Now()))
	}
	landed := make(chan error, 1)
	b.mu.Lock()
	b.core.TakeOver(c.Clock.Now())
	b.core.open.answers = append(b.core.open.answers, answer{done: func(_ any, err error) { landed <- err }})
	b.kick()
	b.mu.Unlock()
	select {
	case err := <-landed:
		if err != nil {
			return nil, err
		}
	case <-ctx.Done():
		return nil, fault.Timeout.New("book %s was not opened in time", b.name)
	}
	if err := b.warm(ctx); err != nil {
		return nil, err
	}
	if c.Saver != nil {
		b.landed = c.Saver.take
		c.Saver.add(b)
	}
	return b, nil
}

// maxAhead is how far the last block may lie in the future at opening (rule B7).
const maxAhead = 5 * clock.Second

// Name returns the book's name, such as "balance/03".
func (b *Book) Name() string { return b.name }

// Machine returns the machine that the book runs.
func (b *Book) Machine() Machine { return b.machine }

// Do submits a command and returns its answer once that is durable.
//
// Errors: the fault the command was refused with; fault.Timeout (unknown) if ctx ends first; fault.Fenced (unknown) if
// another process took the book over; fault.Overloaded if too much is waiting.
func (b *Book) Do(ctx context.Context, cmd any) (any, error) {
	call := calls.Get().(*call)
	for {
		b.mu.Lock()
		if b.core.Full() {
			b.mu.Unlock()
			return nil, fault.Overloaded.New("book %s has too much waiting", b.name)
		}
		wants := b.core.Submit(b.clk.Now(), cmd, call.done)
		b.kick()
		b.mu.Unlock()
		if wants == nil {
			break
		}
		if err := b.fetch(ctx, wants); err != nil {
			calls.Put(call)
			return nil, err
		}
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

// Go submits a command and calls done from another goroutine once the answer is durable. Rows that are missing are
// fetched in the calling goroutine.
func (b *Book) Go(ctx context.Context, cmd any, done Done) {
	for {
		b.mu.Lock()
		wants := b.core.Submit(b.clk.Now(), cmd, done)
		b.kick()
		b.mu.Unlock()
		if wants == nil {
			return
		}
		if err := b.fetch(ctx, wants); err != nil {
			done(nil, err)
			return
		}
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

// fetch reads missing rows aside, without holding up commands whose rows are in memory.
func (b *Book) fetch(ctx context.Context, wants []Want) error {
	b.loads.Add(1)
	for {
		b.mu.Lock()
		before := b.core.SavedHead().Seq
		b.mu.Unlock()
		rows, at, err := b.state.Load(ctx, b.name, b.volume, wants)
		if err != nil {
			return fault.Unavailable.New("the state of book %s cannot be read", b.name).Because(err)
		}
		ok, err := b.install(wants, rows, before, at.Head.Seq)
		if ok || err != nil {
			return err
		}
	}
}

// install puts fetched rows into memory. It reports false if the tables were saved since the read began: a row may
// have come, changed and gone in between, so it has to be read again.
func (b *Book) install(wants []Want, rows []any, before, at uint64) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.core.SavedHead().Seq
	if at < before || at > b.core.Durable().Seq {
		b.core.Fence()
		return false, fault.Fenced.New("the tables of book %s stand at block %d, which this process did not save; reopen the book",
			b.name, at)
	}
	if at < now {
		return false, nil
	}
	for i, w := range wants {
		b.core.Install(w, rows[i])
	}
	return true, nil
}

// kick tells the writer that there is something to write, or tells answers that need no write. Callers hold the lock.
func (b *Book) kick() {
	if len(b.core.ready) > 0 && !b.writer.shared {
		for _, a := range b.core.Ready() { // the directory lock stands for the check of the head (rule B4)
			a.Tell()
		}
	}
	if b.queued || (!b.core.Sealable() && len(b.core.ready) == 0) {
		return
	}
	b.queued = true
	b.writer.push(b)
}

// seal is called by the writer: it returns the block to be written and the answers that wait for a check.
func (b *Book) seal() (*journal.Block, []Answer, journal.Head) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queued = false
	var block *journal.Block
	if b.core.Sealable() {
		block = b.core.Seal(b.writer.salt(), b.wantSet)
		b.wantSet = false
	}
	return block, b.core.Ready(), b.core.Durable()
}

// settle is called by the writer with the fate of the block in flight.
func (b *Book) settle(fenced bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if fenced {
		b.core.Fence()
		return
	}
	public, save := b.core.Landed()
	if b.onPublic != nil {
		b.onPublic(b.core.Durable(), public)
	}
	if save != nil {
		b.landed(save)
	}
	b.kick()
}

// warm lists the segments of the key indexes and fills their filters aside; until that is done, a key that is not in
// memory costs a read.
func (b *Book) warm(ctx context.Context) error {
	for _, t := range b.core.tables {
		k, ok := t.(*Keys)
		if !ok {
			continue
		}
		found, err := b.state.Segments(ctx, b.volume, k)
		if err != nil {
			return fault.Unavailable.New("the key index of book %s cannot be read", b.name).Because(err)
		}
		b.mu.Lock()
		k.list(found)
		b.mu.Unlock()
		go b.fill(k, found)
	}
	return nil
}

const fillBatch = 5000

func (b *Book) fill(k *Keys, found []Segment) {
	ctx := b.writer.life
	for i := len(found) - 1; i >= 0; i-- {
		var after id.ID
		for last := false; !last; {
			ids, err := b.state.SegmentKeys(ctx, b.volume, k, found[i], after, fillBatch)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				<-clock.Pause(fillRetry)
				continue
			}
			last = len(ids) < fillBatch
			b.mu.Lock()
			k.fill(found[i], ids, last)
			b.mu.Unlock()
			if !last {
				after = ids[len(ids)-1]
			}
		}
	}
}

const fillRetry = 200 * time.Millisecond

// Stats are a book's figures for metrics.
type Stats struct {
	Head, Saved uint64
	Resident    int
	Loads       int64
	Fenced      bool
}

// Stats returns the book's figures.
func (b *Book) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return Stats{Head: b.core.Durable().Seq, Saved: b.core.SavedHead().Seq, Resident: b.core.Resident(), Loads: b.loads.Load(),
		Fenced: b.core.Fenced()}
}

// Recover returns a core that stands at the head of its journal: load, then replay; tables that do not fit the journal
// are rebuilt. It does not take the book over.
//
// Errors: fault.DataDamaged if the journal cannot be followed; fault.Unavailable if something cannot be read.
func Recover(ctx context.Context, name string, volume int, m Machine, log Log, state State) (*Core, error) {
	c := NewCore(name, volume, m)
	if err := recoverCore(ctx, c, log, state, volume); err != nil {
		return nil, err
	}
	return c, nil
}

func recoverCore(ctx context.Context, c *Core, log Log, state State, volume int) error {
	at, err := state.Saved(ctx, c.name)
	if err != nil {
		return fault.Unavailable.New("the state of book %s cannot be read", c.name).Because(err)
	}
	if ok, err := stands(ctx, log, at.Head); err != nil {
		return err
	} else if !ok {
		if err := state.Wipe(ctx, c.name, volume, c.tables); err != nil {
			return fmt.Errorf("book %s: empty the tables to rebuild them: %w", c.name, err)
		}
		at = Position{Head: journal.Head{Book: c.name}}
	}
	c.Restore(at.Head, at.At, at.Newest)
	return replay(ctx, c, log, state, volume)
}

// stands reports whether the journal has the block that the tables claim to stand for.
func stands(ctx context.Context, log Log, h journal.Head) (bool, error) {
	if h.Seq == 0 {
		return true, nil
	}
	blocks, err := log.Read(ctx, h.Book, h.Seq, 1)
	if err != nil {
		return false, err
	}
	return len(blocks) == 1 && blocks[0].Hash == h.Hash, nil
}

const (
	replayBatch = 256
	replaySave  = 20_000 // rows in memory before the tables are saved during a long replay
)

func replay(ctx context.Context, c *Core, log Log, state State, volume int) error {
	for {
		blocks, err := log.Read(ctx, c.name, c.head.Seq+1, replayBatch)
		if err != nil {
			return err
		}
		if len(blocks) == 0 {
			return nil
		}
		for _, b := range blocks {
			for {
				wants, err := c.Replay(b)
				if err != nil {
					return err
				}
				if wants == nil {
					break
				}
				rows, _, err := state.Load(ctx, c.name, volume, wants)
				if err != nil {
					return fault.Unavailable.New("the state of book %s cannot be read", c.name).Because(err)
				}
				for i, w := range wants {
					c.Install(w, rows[i])
				}
			}
		}
		if c.Resident() > replaySave {
			if err := saveNow(ctx, c, state); err != nil {
				return err
			}
			c.Evict(0, c.at)
		}
	}
}

// SaveNow saves what is not in the tables yet, if the whole state is durable right now.
func SaveNow(ctx context.Context, c *Core, state State) error { return saveNow(ctx, c, state) }

// Commit seals what is open and writes it, on one thread: for tests, tools and the simulator.
func Commit(ctx context.Context, c *Core, log Log) error {
	block := c.Seal([16]byte{}, false)
	fate, err := log.Write(ctx, journal.Batch{Blocks: []*journal.Block{block}})
	if err != nil {
		return err
	}
	if fate.Fenced[0] {
		c.Fence()
		return nil
	}
	c.Landed()
	return nil
}

// Timed reports whether the rows of t have due times.
func Timed(t Table) bool { return t.base().timed }

func saveNow(ctx context.Context, c *Core, state State) error {
	set := c.Snapshot()
	if set == nil {
		return nil
	}
	lost, err := state.Save(ctx, []*SaveSet{set})
	if err != nil {
		return fmt.Errorf("book %s: save the tables: %w", c.name, err)
	}
	if len(lost) > 0 {
		return fault.Fenced.New("the tables of book %s were saved by another process", c.name)
	}
	c.Saved(set)
	return nil
}
