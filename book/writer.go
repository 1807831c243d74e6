package book

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/internal/clock"
)

// Writer makes blocks durable: one goroutine that seals whatever the books of the process have open and appends it in
// one transaction. While it writes, commands collect for the next block; there are no timers (rule B5).
type Writer struct {
	log    Log
	clk    clock.Clock
	shared bool // other processes may write to the store: answers without an event need the head checked
	rnd    io.Reader
	hooks  Hooks

	mu      sync.Mutex
	books   []*Book // all that were opened with it
	queue   []*Book
	closing bool
	wake    chan struct{}
	done    chan struct{}
	life    context.Context // ends when the writer closes
	cancel  context.CancelFunc
	work    sync.WaitGroup // what goes on beside the writing

	rows    atomic.Int64 // in memory, of all books
	commits atomic.Int64
	blocks  atomic.Int64
	events  atomic.Int64
}

// Hooks let a process watch its writer.
type Hooks struct {
	// Fatal is told when the process has to end: the journal cannot be written any more (a failed fsync must not be
	// tried again), or a machine met an impossible state (*PanicError). It should not return; until the process ends,
	// what it was about is answered with "unknown" or refused. Nil means panic.
	Fatal func(error)
	// Alarm is told of a clock that steps (rule B7); nothing is stamped until it is right again.
	Alarm func(error)
	// Trouble is told when something goes wrong beside the writing, and with nil when that is over. It must be quick.
	Trouble func(book string, what Trouble, err error)
	// Committed is called after each commit, before its answers are told, with the blocks that are durable by it.
	Committed func([]*journal.Block)
}

// NewWriter starts a writer on log. shared says that other processes may write to the same store. rnd gives the salts
// of blocks; nil means the operating system's generator.
func NewWriter(log Log, clk clock.Clock, shared bool, rnd io.Reader, hooks Hooks) *Writer {
	if rnd == nil {
		rnd = bufio.NewReaderSize(rand.Reader, 4096)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &Writer{
		log: log, clk: clk, shared: shared, rnd: rnd, hooks: hooks, wake: make(chan struct{}, 1),
		done: make(chan struct{}), life: ctx, cancel: cancel,
	}
	go w.run(ctx)
	return w
}

// Close stops the writer: its books take no more commands, what was decided is written unless ctx ends first, and
// whoever waits then hears "unknown". Close the savers after it, so that the tables hold what was written.
func (w *Writer) Close(ctx context.Context) {
	w.stop()
	stop := context.AfterFunc(ctx, w.cancel)
	w.poke()
	<-w.done
	stop()
	w.cancel()
	w.work.Wait()
}

// join adds a book; false if the writer is closing.
func (w *Writer) join(b *Book) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closing {
		w.books = append(w.books, b)
	}
	return !w.closing
}

// beside runs f beside the writing, until life ends. It reports false if the writer is closing, and f is not run.
func (w *Writer) beside(f func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closing {
		w.work.Go(f)
	}
	return !w.closing
}

func (w *Writer) leave(b *Book) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.books = without(w.books, b)
}

// without returns a new list, for others may be reading the old one.
func without(books []*Book, b *Book) []*Book {
	return slices.DeleteFunc(slices.Clone(books), func(x *Book) bool { return x == b })
}

// fatal reports what the process has to end for.
func (w *Writer) fatal(err error) {
	if w.hooks.Fatal == nil {
		panic(err)
	}
	w.hooks.Fatal(err)
}

// WriterStats are a writer's figures for metrics.
type WriterStats struct{ Commits, Blocks, Events int64 }

// Stats returns the writer's figures.
func (w *Writer) Stats() WriterStats {
	return WriterStats{w.commits.Load(), w.blocks.Load(), w.events.Load()}
}

func (w *Writer) push(b *Book) {
	w.mu.Lock()
	w.queue = append(w.queue, b)
	w.mu.Unlock()
	w.poke()
}

func (w *Writer) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// salt is only called from the writer's goroutine.
func (w *Writer) salt() (s [16]byte) {
	if _, err := io.ReadFull(w.rnd, s[:]); err != nil {
		panic("book: the generator of random numbers failed: " + err.Error())
	}
	return s
}

func (w *Writer) run(ctx context.Context) {
	defer w.finish()
	for {
		w.gather()
		w.mu.Lock()
		books, closing := w.queue, w.closing
		w.queue = nil
		w.mu.Unlock()
		if len(books) == 0 {
			if closing {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-w.wake:
			}
			continue
		}
		ok, err := w.steady(ctx)
		if ok {
			err = w.commit(ctx, books)
		}
		if err != nil {
			if ctx.Err() == nil {
				w.stop()
				w.fatal(err)
			}
			return
		}
		if !ok {
			return
		}
	}
}

// gather lets those go first who can decide now, if there is little to write yet: what they decide shares the commit,
// instead of waiting for the next. That is no delay (rule B5): where nobody is ready to run, the writer goes on at once.
// If there is much to write already, they decide while it is being written.
func (w *Writer) gather() {
	w.mu.Lock()
	few := len(w.queue) > 0 && 2*len(w.queue) < len(w.books)
	w.mu.Unlock()
	if few {
		runtime.Gosched()
	}
}

// stop takes no more work.
func (w *Writer) stop() {
	w.mu.Lock()
	w.closing = true
	books := w.books
	w.mu.Unlock()
	for _, b := range books {
		b.close()
	}
}

// finish lets everyone who still waits hear that nobody knows.
func (w *Writer) finish() {
	w.stop()
	w.mu.Lock()
	books := w.books
	w.mu.Unlock()
	for _, b := range books {
		b.end()
	}
	close(w.done)
}

// steadyAgain is how often the writer looks at a clock that it cannot trust.
const steadyAgain = 100 * time.Millisecond

// steady waits until the machine's clock can be trusted (rule B7). If it never will be, the process has to end: a writer that
// waits for ever would look as if it were well.
func (w *Writer) steady(ctx context.Context) (bool, error) {
	c, ok := w.clk.(interface{ Steady() error })
	if !ok {
		return true, nil
	}
	for n := 0; ; n++ {
		err := c.Steady()
		if err == nil {
			return true, nil
		}
		if n == 0 && w.hooks.Alarm != nil {
			w.hooks.Alarm(err)
		}
		if step := (*clock.StepError)(nil); errors.As(err, &step) && step.Lasting {
			return false, err
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-clock.Pause(steadyAgain):
		}
	}
}

// batch is what one commit is made of.
type batch struct {
	journal.Batch
	books   []*Book    // of Blocks
	readers []*Book    // of Check
	answers [][]Answer // of Check
}

func (w *Writer) commit(ctx context.Context, books []*Book) error {
	slices.SortFunc(books, func(a, b *Book) int { return strings.Compare(a.name, b.name) })
	var t batch
	for _, b := range books {
		block, answers, head := b.seal()
		if block != nil {
			t.books, t.Blocks = append(t.books, b), append(t.Blocks, block)
		}
		if len(answers) > 0 {
			t.readers, t.Check, t.answers = append(t.readers, b), append(t.Check, head), append(t.answers, answers)
		}
	}
	if len(t.Blocks)+len(t.Check) == 0 {
		return nil
	}
	fate, err := w.log.Write(ctx, t.Batch)
	if err != nil {
		return err
	}
	w.count(t, fate)
	for i, b := range t.books {
		b.settle(fate.Fenced[i])
	}
	for i, b := range t.readers {
		b.tell(t.answers[i], fate.Stale[i])
	}
	return nil
}

func (w *Writer) count(t batch, fate journal.Fate) {
	durable := make([]*journal.Block, 0, len(t.Blocks))
	for i, b := range t.Blocks {
		if !fate.Fenced[i] {
			durable = append(durable, b)
			w.events.Add(int64(len(b.Events)))
		}
	}
	w.commits.Add(1)
	w.blocks.Add(int64(len(durable)))
	if w.hooks.Committed != nil && len(durable) > 0 {
		w.hooks.Committed(durable)
	}
}
