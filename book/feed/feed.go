package feed

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// Source reads the events of the service that is followed. It must be safe for concurrent use.
type Source interface {
	// Public returns the tenant whose feed announces the event, and whether any does: the same as the Machine that made
	// the event says of it.
	Public(typ uint32, body []byte) (id.Tenant, bool, error)
}

// MachineSource makes a source of a machine that no book runs.
func MachineSource(m book.Machine) Source { return &machineSource{m: m} }

type machineSource struct {
	mu sync.Mutex // a machine is called by one thread at a time
	m  book.Machine
}

func (s *machineSource) Public(typ uint32, body []byte) (id.Tenant, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ev, err := s.m.Decode(typ, body)
	if err != nil {
		return 0, false, err
	}
	tenant, ok := s.m.Public(ev)
	return tenant, ok, nil
}

// Config is what a feed is opened with.
type Config struct {
	Service string     // whose events are numbered, such as "payment"
	Volumes int        // how many volumes the service has
	Log     book.Log   // where their journals are, and the sequencing book's
	State   book.State // tables of this sequencing book alone; see OpenState
	Writer  *book.Writer
	Saver   *book.Saver // of State; may be nil
	Clock   clock.Clock
	Pace    clock.Clock // of readers' patience, where Clock can be moved; nil: Clock
	Source  Source
	Alarm   func(error) // told why the feed has stopped; may be nil
}

// Feed follows a service and serves its events. It is safe for concurrent use.
type Feed struct {
	c    Config
	book *book.Book

	mu       sync.Mutex
	follower follower
	waiting  map[id.Tenant]chan struct{} // closed when the tenant has new numbers
	failed   error

	readers atomic.Int64
	wake    chan struct{}
	cancel  context.CancelFunc
	done    chan struct{} // closed when nothing more will be numbered
}

// BookName returns the name of a service's sequencing book.
func BookName(service string) string { return book.Name(service+suffix, 0) }

const suffix = ".feed"

// Open takes the sequencing book over and begins to follow. What the volumes hold that is not numbered yet is read from
// their journals, aside. Open the feed before the volumes, each of which must be opened with Follow as its
// book.Config.OnPublic.
//
// Errors: those of book.Open; fault.DataDamaged if a volume's journal is not the one that was followed.
func Open(ctx context.Context, c Config) (*Feed, error) {
	if c.Pace == nil {
		c.Pace = c.Clock
	}
	b, err := book.Open(ctx, book.Config{
		Service: c.Service + suffix, Machine: NewMachine(), Log: c.Log, State: c.State,
		Clock: c.Clock, Writer: c.Writer, Saver: c.Saver, Limits: limits,
	})
	if err != nil {
		return nil, err
	}
	f := &Feed{
		c: c, book: b, follower: follower{tracks: make([]track, c.Volumes)}, waiting: make(map[id.Tenant]chan struct{}),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	reply, err := b.Do(ctx, Where{c.Volumes})
	if err != nil {
		return nil, err
	}
	for v, p := range reply.([]Position) {
		if err := f.stands(ctx, v, p); err != nil {
			return nil, err
		}
		f.follower.begin(v, p)
	}
	ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	f.wake <- struct{}{}
	go f.run(ctx)
	return f, nil
}

// limits keeps the pages that are written and read now; fetching another costs one read.
var limits = book.Limits{Rows: 1024}

// stands requires the journal of a volume to have the block that was followed last.
func (f *Feed) stands(ctx context.Context, volume int, p Position) error {
	if p.Seq == 0 {
		return nil
	}
	name := book.Name(f.c.Service, volume)
	blocks, err := f.c.Log.Read(ctx, name, p.Seq, 1)
	if err != nil {
		return err
	}
	if len(blocks) == 0 || blocks[0].Hash != p.Hash {
		return fault.DataDamaged.New("%s was followed to block %d (%x), which its journal does not have", name, p.Seq, p.Hash[:4])
	}
	return nil
}

// Follow returns what to tell of each durable block of a volume: its book.Config.OnPublic. It does not wait for anything.
func (f *Feed) Follow(volume int) func(journal.Head, []book.PublicCount) {
	return func(head journal.Head, counts []book.PublicCount) {
		f.mu.Lock()
		todo := f.follower.hear(volume, head, counts)
		f.mu.Unlock()
		if todo {
			select {
			case f.wake <- struct{}{}:
			default:
			}
		}
	}
}

// Close stops following. Whoever waits in Read is answered.
func (f *Feed) Close() {
	f.cancel()
	<-f.done
}

// Err returns why the feed has stopped, nil while it follows.
func (f *Feed) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// Stats are a feed's figures for metrics.
type Stats struct {
	Queued  int // blocks that wait to be numbered
	Behind  int // volumes whose journal is being read
	Readers int // that wait for something new
}

// Stats returns the figures.
func (f *Feed) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := Stats{Queued: len(f.follower.queue), Readers: int(f.readers.Load())}
	for i := range f.follower.tracks {
		if f.follower.tracks[i].behind {
			s.Behind++
		}
	}
	return s
}

const (
	firstRetry = 10 * time.Millisecond
	lastRetry  = time.Second
)

// run numbers what is heard until ctx ends or the record contradicts itself.
func (f *Feed) run(ctx context.Context) {
	defer close(f.done)
	pause := firstRetry
	for {
		select {
		case <-ctx.Done():
			f.fail(fault.ShuttingDown.New(""))
			return
		case <-f.wake:
		}
		err := f.follow(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
			pause = firstRetry
			continue
		case final(err):
			f.fail(err)
			if f.c.Alarm != nil {
				f.c.Alarm(err)
			}
			return
		}
		select {
		case <-ctx.Done():
		case <-clock.Pause(pause):
		}
		pause = min(2*pause, lastRetry)
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
}

// final reports whether trying again cannot help: the record is not what it was, or another process numbers now.
func final(err error) bool {
	e := fault.Of(err)
	return e.Code == fault.Fenced || e.Kind != fault.Unknown && e.Kind != fault.Busy
}

func (f *Feed) fail(err error) {
	f.mu.Lock()
	f.failed = err
	f.mu.Unlock()
}

// follow numbers all there is.
func (f *Feed) follow(ctx context.Context) error {
	for v := range f.c.Volumes {
		f.mu.Lock()
		t := f.follower.tracks[v]
		f.mu.Unlock()
		if !t.behind {
			continue
		}
		if err := f.stands(ctx, v, t.at); err != nil {
			return err
		}
		if err := f.catchUp(ctx, v); err != nil {
			return err
		}
	}
	return f.sequence(ctx)
}

const readBatch = 256

// catchUp reads a volume's journal until it has caught up with what was heard.
func (f *Feed) catchUp(ctx context.Context, volume int) error {
	name := book.Name(f.c.Service, volume)
	for {
		f.mu.Lock()
		t := f.follower.tracks[volume]
		f.mu.Unlock()
		blocks, err := f.c.Log.Read(ctx, name, t.at.Seq+1, readBatch)
		if err != nil {
			return err
		}
		for _, b := range blocks {
			counts, err := f.count(b)
			if err != nil {
				return err
			}
			f.mu.Lock()
			err = f.follower.read(volume, b, counts)
			f.mu.Unlock()
			if err != nil {
				return err
			}
		}
		if err := f.sequence(ctx); err != nil { // so that the queue stays short
			return err
		}
		switch {
		case len(blocks) > 0:
		case t.heard.Seq > t.at.Seq || t.heard.Seq == t.at.Seq && t.heard.Hash != t.at.Hash:
			return fault.DataDamaged.New("block %d (%x) of %s was durable, and its journal ends at block %d (%x)", t.heard.Seq,
				t.heard.Hash[:4], name, t.at.Seq, t.at.Hash[:4])
		case f.caughtUp(volume):
			return nil
		}
	}
}

func (f *Feed) caughtUp(volume int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.follower.caughtUp(volume)
}

// count returns how many public events of each tenant a block holds, as the book's core counted them.
func (f *Feed) count(b *journal.Block) (counts []book.PublicCount, err error) {
next:
	for i, e := range b.Events {
		tenant, ok, err := f.public(b, i, e)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		for j := range counts {
			if counts[j].Tenant == tenant {
				counts[j].N++
				continue next
			}
		}
		counts = append(counts, book.PublicCount{Tenant: tenant, N: 1})
	}
	return counts, nil
}

// public reports whose feed announces event i of a block.
func (f *Feed) public(b *journal.Block, i int, e journal.Event) (id.Tenant, bool, error) {
	if e.Type < book.FirstEventType {
		return 0, false, nil // the kernel's own
	}
	tenant, ok, err := f.c.Source.Public(e.Type, e.Body)
	if err != nil {
		return 0, false, fault.DataDamaged.New("%s: block %d event %d is not understood by this version; use the version that wrote it",
			b.Book, b.Seq, i).Because(err)
	}
	return tenant, ok, nil
}

// sequence numbers what is queued, many blocks in one command.
func (f *Feed) sequence(ctx context.Context) error {
	for {
		f.mu.Lock()
		blocks := f.follower.next()
		f.mu.Unlock()
		if len(blocks) == 0 {
			return nil
		}
		reply, err := f.book.Do(ctx, Advance{blocks})
		if err != nil {
			return err
		}
		f.mu.Lock()
		f.follower.drop(len(blocks))
		if ev, ok := reply.(*Sequenced); ok {
			f.tell(ev)
		}
		f.mu.Unlock()
	}
}

// tell wakes the readers of the tenants that have new numbers, and nobody else.
func (f *Feed) tell(ev *Sequenced) {
	for i := range ev.Steps {
		for _, r := range ev.Steps[i].Runs {
			if ch, ok := f.waiting[r.Tenant]; ok {
				close(ch)
				delete(f.waiting, r.Tenant)
			}
		}
	}
}
