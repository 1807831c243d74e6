package book

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/aside"
	"github.com/koban-pay/koban/internal/clock"
)

// Saver lets the state tables of a service's books follow their journals: at once when they are idle, every 50 ms
// under load, in one transaction for all of them (rule B10). Nobody waits for that, so it is done aside, with low priority,
// until somebody does wait, or the tables are a second behind. It also looks after due times and evicts cold rows.
type Saver struct {
	state State

	mu    sync.Mutex
	books []*Book
	ready []*SaveSet
	wake  chan struct{}
	stir  chan struct{} // wakes the keeper
	stand clock.Micros  // what the tables stand for; of run alone

	cancel context.CancelFunc
	done   chan struct{}
	work   sync.WaitGroup
	rows   atomic.Int64
	saves  atomic.Int64
	failed atomic.Int64
	wrong  atomic.Pointer[error] // why the last save failed; nil if it did not
	took   clock.Histogram
	urgent atomic.Int64
	paused atomic.Bool
}

const (
	saveBusy = 50 * time.Millisecond
	saveMany = 64 // commands since the last snapshots that make a service busy
)

// NewSaver starts the saver of one service's state.
func NewSaver(state State) *Saver {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Saver{state: state, wake: make(chan struct{}, 1), stir: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{})}
	go s.run(ctx)
	s.work.Go(func() { s.keep(ctx) })
	return s
}

// Close saves what is durable and stops. Close the writer first.
func (s *Saver) Close() {
	s.urgent.Add(1) // whoever closes waits
	s.cancel()
	s.work.Wait()
	<-s.done
}

// SaverStats are a saver's figures for metrics.
type SaverStats struct {
	Saves, Rows int64           // saves done, and rows in them
	Failed      int64           // saves that failed and were tried again
	Took        clock.Durations // of saves that were done, on the thread that may have to wait for others
}

// Stats returns the saver's figures.
func (s *Saver) Stats() SaverStats {
	return SaverStats{s.saves.Load(), s.rows.Load(), s.failed.Load(), s.took.Durations()}
}

// Trouble returns why the tables could not be saved when that was tried last, nil if they could.
func (s *Saver) Trouble() error {
	if err := s.wrong.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *Saver) add(b *Book) {
	s.mu.Lock()
	s.books = append(s.books, b)
	s.mu.Unlock()
	s.poke()
}

func (s *Saver) leave(b *Book) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.books = without(s.books, b)
}

// landed says that a block is durable, and the snapshot that was taken with it, if there is one.
func (s *Saver) landed(set *SaveSet) {
	if set != nil {
		s.mu.Lock()
		s.ready = append(s.ready, set)
		s.mu.Unlock()
	}
	s.poke()
}

func (s *Saver) poke() {
	select {
	case s.stir <- struct{}{}:
	default:
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Saver) run(ctx context.Context) {
	defer close(s.done)
	var tick <-chan time.Time // nil: nothing was collected for a while
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-tick:
			tick = nil
		}
		if tick == nil || !s.busy() {
			tick = nil
			if s.collect() {
				tick = clock.Pause(saveBusy)
			}
		}
		s.flush(ctx)
	}
	last := context.WithoutCancel(ctx)
	s.save(last, s.take())
	s.collect()
	s.save(last, s.take())
}

func (s *Saver) list() []*Book {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.books
}

func (s *Saver) busy() bool {
	if s.urgent.Load() > 0 {
		return false
	}
	n := 0
	for _, b := range s.list() {
		b.mu.Lock()
		n += b.core.pulse
		b.mu.Unlock()
	}
	return n >= saveMany
}

// collect takes snapshots of the books that stand still, and asks the others for one with their next block. It reports
// whether there was anything to save.
func (s *Saver) collect() (found bool) {
	for _, b := range s.list() {
		b.mu.Lock()
		set := b.core.Snapshot()
		if set == nil && b.core.Unsaved() > 0 {
			b.wantSet = true
		}
		found = found || b.core.Unsaved() > 0
		b.mu.Unlock()
		if set != nil {
			s.mu.Lock()
			s.ready = append(s.ready, set)
			s.mu.Unlock()
		}
	}
	return found
}

func (s *Saver) take() []*SaveSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	sets := s.ready
	s.ready = nil
	return sets
}

// flush writes the snapshots that are ready. A failed save is tried again until it succeeds; the books go on meanwhile,
// until they hold too many rows that are not saved.
func (s *Saver) flush(ctx context.Context) {
	sets := s.take()
	for n := 1; len(sets) > 0; n++ {
		if sets = s.save(ctx, sets); len(sets) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			s.mu.Lock()
			s.ready = append(s.ready, sets...)
			s.mu.Unlock()
			return
		case <-clock.Pause(min(time.Duration(n)*20*time.Millisecond, time.Second)):
		}
	}
}

// save writes snapshots and returns those to be tried again.
func (s *Saver) save(ctx context.Context, sets []*SaveSet) (again []*SaveSet) {
	if len(sets) == 0 {
		return nil
	}
	run := aside.Run // those who decide and write must not wait for a core because savers are at work
	if s.urgent.Load() > 0 || s.late(sets) {
		run = aside.Soon
	}
	var lost []string
	var err error
	watch := clock.Stopwatch()
	run(func() { lost, err = s.state.Save(ctx, sets) })
	if err != nil {
		s.failed.Add(1)
		s.wrong.Store(&err)
		return sets
	}
	s.saves.Add(1)
	s.wrong.Store(nil)
	s.took.Count(watch())
	s.stand = newest(sets)
	for _, set := range sets {
		b := s.find(set.Book)
		switch {
		case b == nil:
		case !slices.Contains(lost, set.Book):
			for i := range set.Tables {
				s.rows.Add(int64(len(set.Tables[i].Keys)))
			}
			b.saved(set)
		case b.adopt(ctx):
			again = append(again, set)
		}
	}
	return again
}

// tooLate is how far tables may be behind before saving them is no longer what nobody waits for.
const tooLate = clock.Second

// late reports whether the tables have fallen too far behind.
func (s *Saver) late(sets []*SaveSet) bool { return newest(sets)-s.stand > tooLate }

// newest returns the time for which snapshots stand.
func newest(sets []*SaveSet) (at clock.Micros) {
	for _, set := range sets {
		at = max(at, set.At)
	}
	return at
}

func (s *Saver) find(name string) *Book {
	for _, b := range s.list() {
		if b.name == name {
			return b
		}
	}
	return nil
}

// saved marks a snapshot as written.
func (b *Book) saved(set *SaveSet) {
	b.mu.Lock()
	if b.core.Ended() == nil {
		b.core.Saved(set)
		b.evict()
		b.tendOn(Day(set.At))
	}
	b.release()
}

// evict drops cold rows. If all books of the process have more than they may, this one gives up its part,
// so that those of one service cannot take the memory of all. Callers hold the lock.
func (b *Book) evict() {
	if b.closed {
		return
	}
	limits := b.limits
	if all := b.writer.countRows(b); all > int64(limits.All) {
		limits.part = max(1, int(int64(limits.All)*1000/all))
	}
	b.core.Evict(limits, b.clk.Now())
	b.writer.countRows(b)
}

// yieldRows has a book that stands still give up its part too.
func (b *Book) yieldRows() {
	if b.writer.rows.Load() <= int64(b.limits.All) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.core.Ended() == nil {
		b.evict()
	}
}

// countRows counts the rows of a book anew, and returns how many all books have. Callers hold the book's
// lock.
func (w *Writer) countRows(b *Book) int64 {
	was := b.counted
	b.counted = b.core.Resident()
	return w.rows.Add(int64(b.counted - was))
}

// adopt is called when the tables are not where the last save left them. If the writer before has saved once more, what
// it knew when it was overtaken, then we go on from there; else another one saves them now, and we are fenced.
func (b *Book) adopt(ctx context.Context) bool {
	p, err := b.state.Saved(ctx, b.name)
	if err != nil {
		return true // nothing is known; tried again
	}
	ours, err := stands(ctx, b.log, p.Head)
	if err != nil {
		return true
	}
	b.mu.Lock()
	defer b.release()
	if ours && p.Head.Seq > 0 && p.Head.Epoch < b.core.Head().Epoch && p.Head.Seq < b.core.Durable().Seq {
		b.core.Stands(p.Head)
		return true
	}
	b.core.Fence()
	return false
}

// syncWait is a caller who waits until the tables stand for a block.
type syncWait struct {
	seq uint64
	ch  chan error
}

// Sync returns once the tables hold whatever was durable when it was called, so that a query sees what its caller wrote.
//
// Errors: fault.Timeout if ctx ends first; fault.Fenced if a book was taken over; fault.Unavailable if the saver ends.
func (s *Saver) Sync(ctx context.Context) error {
	s.urgent.Add(1)
	defer s.urgent.Add(-1)
	var waits []chan error
	for _, b := range s.list() {
		if ch := b.sync(); ch != nil {
			waits = append(waits, ch)
		}
	}
	s.poke()
	for _, ch := range waits {
		select {
		case err := <-ch:
			if err != nil {
				return err
			}
		case <-s.done:
			return fault.Unavailable.New("the state tables are not being saved any more")
		case <-ctx.Done():
			return fault.Timeout.New("").Because(ctx.Err())
		}
	}
	return nil
}

// sync returns a channel that hears once the tables hold what is durable now, nil if they do.
func (b *Book) sync() chan error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.core.ended == nil && b.core.Unsaved() == 0 {
		return nil
	}
	ch := make(chan error, 1)
	if b.core.ended != nil {
		ch <- b.core.ended
		return ch
	}
	b.syncs = append(b.syncs, syncWait{b.core.Durable().Seq, ch})
	return ch
}

// tellSyncs wakes who waited for what the tables hold by now. Callers hold the lock.
func (b *Book) tellSyncs() {
	left := b.syncs[:0]
	for _, w := range b.syncs {
		switch {
		case b.core.ended != nil:
			w.ch <- b.core.ended
		case b.core.SavedHead().Seq >= w.seq:
			w.ch <- nil
		default:
			left = append(left, w)
		}
	}
	b.syncs = left
}
