package book

import (
	"bufio"
	"context"
	"crypto/rand"
	"io"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/journal"
)

// Writer makes blocks durable: one goroutine that seals whatever the books of the process have open and appends it in
// one transaction. While it writes, commands collect for the next block; there are no timers (rule B5).
type Writer struct {
	log    Log
	clk    clock.Clock
	shared bool // other processes may write to the store: answers without an event need the head checked
	rnd    io.Reader
	hooks  Hooks

	mu     sync.Mutex
	queue  []*Book
	notes  []noteCall
	wake   chan struct{}
	done   chan struct{}
	life   context.Context // ends when the writer closes
	cancel context.CancelFunc

	commits atomic.Int64
	blocks  atomic.Int64
	events  atomic.Int64
	stopped atomic.Bool
}

// Hooks let a process watch its writer.
type Hooks struct {
	// Fatal is told when the journal cannot be written any more: the process has to end (a failed fsync must not be
	// tried again). It must not return.
	Fatal func(error)
	// Alarm is told of a clock that steps (rule B7); nothing is stamped until it is right again.
	Alarm func(error)
	// Committed is called after each commit, before its answers are told, with the blocks in it.
	Committed func([]*journal.Block)
}

// NewWriter starts a writer on log. shared says that other processes may write to the same store. rnd gives the salts
// of blocks; nil means the operating system's generator.
func NewWriter(log Log, clk clock.Clock, shared bool, rnd io.Reader, hooks Hooks) *Writer {
	if rnd == nil {
		rnd = bufio.NewReaderSize(rand.Reader, 4096)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &Writer{log: log, clk: clk, shared: shared, rnd: rnd, hooks: hooks, wake: make(chan struct{}, 1),
		done: make(chan struct{}), life: ctx, cancel: cancel}
	go w.run(ctx)
	return w
}

// Close stops the writer. Callers who still wait hear "unknown" by their own deadlines: what is in flight may or may
// not become durable.
func (w *Writer) Close() {
	w.stopped.Store(true)
	w.cancel()
	<-w.done
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
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// noteCall is one request to keep notes.
type noteCall struct {
	notes []journal.Note
	done  chan struct{}
}

// PutNotes keeps personal data beside the record (rule B14), in the next commit. Notes that stand already stay as they
// are. It returns once they are durable; write them before the command that refers to them.
//
// Errors: the context's, and then the notes may or may not have been kept.
func (w *Writer) PutNotes(ctx context.Context, notes []journal.Note) error {
	call := noteCall{notes, make(chan struct{})}
	w.mu.Lock()
	w.notes = append(w.notes, call)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	select {
	case <-call.done:
		return nil
	case <-ctx.Done():
		return fault.Timeout.New("").Because(ctx.Err())
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
	defer close(w.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		}
		if !w.steady(ctx) {
			return
		}
		w.mu.Lock()
		books, notes := w.queue, w.notes
		w.queue, w.notes = nil, nil
		w.mu.Unlock()
		if err := w.commit(ctx, books, notes); err != nil {
			if ctx.Err() == nil && w.hooks.Fatal != nil {
				w.hooks.Fatal(err)
			}
			return
		}
	}
}

// maxDrift is how far the wall clock may move against the monotonic one before nothing is stamped any more.
const maxDrift = 2 * time.Second

// steady waits until the machine's clock can be trusted (rule B7).
func (w *Writer) steady(ctx context.Context) bool {
	d, ok := w.clk.(interface{ Drift() time.Duration })
	if !ok {
		return true
	}
	for n := 0; ; n++ {
		drift := d.Drift()
		if drift.Abs() < maxDrift {
			return true
		}
		if n == 0 && w.hooks.Alarm != nil {
			w.hooks.Alarm(clockStepped{drift})
		}
		select {
		case <-ctx.Done():
			return false
		case <-clock.Pause(100 * time.Millisecond):
		}
	}
}

type clockStepped struct{ by time.Duration }

func (c clockStepped) Error() string {
	return "the machine's wall clock stepped by " + c.by.String() + "; nothing is written until it is right again"
}

// batch is what one commit is made of.
type batch struct {
	journal.Batch
	books   []*Book    // of Blocks
	readers []*Book    // of Check
	answers [][]Answer // of Check
}

func (w *Writer) commit(ctx context.Context, books []*Book, notes []noteCall) error {
	sort.Slice(books, func(i, j int) bool { return books[i].name < books[j].name })
	var t batch
	for _, b := range books {
		block, answers, head := b.seal()
		if block != nil {
			t.books, t.Blocks = append(t.books, b), append(t.Blocks, block)
			w.events.Add(int64(len(block.Events)))
		}
		if len(answers) > 0 {
			t.readers, t.Check, t.answers = append(t.readers, b), append(t.Check, head), append(t.answers, answers)
		}
	}
	for _, n := range notes {
		t.Notes = append(t.Notes, n.notes...)
	}
	if len(t.Blocks)+len(t.Check)+len(t.Notes) == 0 {
		return nil
	}
	fate, err := w.log.Write(ctx, t.Batch)
	if err != nil {
		return err
	}
	w.commits.Add(1)
	w.blocks.Add(int64(len(t.Blocks)))
	if w.hooks.Committed != nil {
		w.hooks.Committed(t.Blocks)
	}
	for _, n := range notes {
		close(n.done)
	}
	for i, b := range t.books {
		b.settle(fate.Fenced[i])
	}
	for i, b := range t.readers {
		b.tell(t.answers[i], fate.Stale[i])
	}
	return nil
}

// tell gives answers whose head was checked: they stand if nobody took the book over.
func (b *Book) tell(answers []Answer, stale bool) {
	if stale {
		b.mu.Lock()
		b.core.Fence()
		b.mu.Unlock()
	}
	for _, a := range answers {
		if stale {
			a.a.reply, a.a.err = nil, errFenced
		}
		a.Tell()
	}
}
