package book

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
)

var errFenced = fault.Fenced.New("")

// Saver lets the state tables of a service's books follow their journals: at once when they are idle, every 50 ms
// under load, in one transaction for all of them (rule B10). It also looks after due times and evicts cold rows.
type Saver struct {
	state State

	mu    sync.Mutex
	books []*Book
	ready []*SaveSet
	wake  chan struct{}

	cancel context.CancelFunc
	done   chan struct{}
	rows   atomic.Int64
	saves  atomic.Int64
	failed atomic.Int64
	paused atomic.Bool
}

const (
	saveBusy = 50 * time.Millisecond
	saveIdle = 2 * time.Millisecond
	saveMany = 64 // commands since the last snapshot that make a service busy
)

// NewSaver starts the saver of one service's state.
func NewSaver(state State) *Saver {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Saver{state: state, wake: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{})}
	go s.run(ctx)
	go s.keep(ctx)
	return s
}

// Close saves what is durable and stops.
func (s *Saver) Close() {
	s.cancel()
	<-s.done
}

// SaverStats are a saver's figures for metrics.
type SaverStats struct{ Saves, Rows, Failed int64 }

// Stats returns the saver's figures.
func (s *Saver) Stats() SaverStats { return SaverStats{s.saves.Load(), s.rows.Load(), s.failed.Load()} }

func (s *Saver) add(b *Book) {
	s.mu.Lock()
	s.books = append(s.books, b)
	s.mu.Unlock()
}

// take receives a snapshot whose block is durable.
func (s *Saver) take(set *SaveSet) {
	s.mu.Lock()
	s.ready = append(s.ready, set)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Saver) run(ctx context.Context) {
	defer close(s.done)
	for ctx.Err() == nil {
		wait := saveIdle
		if s.busy() {
			wait = saveBusy
		}
		select {
		case <-ctx.Done():
		case <-clock.Pause(wait):
		}
		s.collect()
		s.flush(ctx)
	}
	last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s.collect()
	s.flush(last)
}

func (s *Saver) list() []*Book {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.books
}

func (s *Saver) busy() bool {
	n := 0
	for _, b := range s.list() {
		b.mu.Lock()
		n += b.core.pulse
		b.mu.Unlock()
	}
	return n >= saveMany
}

// collect takes snapshots of the books that stand still, and asks the others for one with their next block.
func (s *Saver) collect() {
	for _, b := range s.list() {
		b.mu.Lock()
		set := b.core.Snapshot()
		if set == nil && b.core.Unsaved() > 0 {
			b.wantSet = true
		}
		b.mu.Unlock()
		if set != nil {
			s.take(set)
		}
	}
}

// flush writes the snapshots that are ready. A failed save is tried again until it succeeds; the books go on
// meanwhile, only memory grows.
func (s *Saver) flush(ctx context.Context) {
	s.mu.Lock()
	sets := s.ready
	s.ready = nil
	s.mu.Unlock()
	if len(sets) == 0 {
		return
	}
	lost, err := s.state.Save(ctx, sets)
	for n := 0; err != nil; n++ {
		s.failed.Add(1)
		if ctx.Err() != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-clock.Pause(min(time.Duration(n+1)*20*time.Millisecond, time.Second)):
		}
		lost, err = s.state.Save(ctx, sets)
	}
	s.saves.Add(1)
	byName := make(map[string]*SaveSet, len(sets))
	for _, set := range sets {
		byName[set.Book] = set
		for i := range set.Tables {
			s.rows.Add(int64(len(set.Tables[i].Keys)))
		}
	}
	for _, name := range lost {
		byName[name] = nil
	}
	for _, b := range s.list() {
		set, mine := byName[b.name]
		if mine {
			b.saved(set)
		}
	}
}

// saved marks a snapshot as written; nil means that another process saves these tables now.
func (b *Book) saved(set *SaveSet) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if set == nil {
		b.core.Fence()
		return
	}
	b.core.Saved(set)
	b.core.Evict(b.limits.Rows, b.clk.Now()-b.limits.Keep)
}
