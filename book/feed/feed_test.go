package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
)

func TestEventsOfManyVolumesAreReadInOrder(t *testing.T) {
	p := newWorld().start(t, true)
	want := p.talk("r", 40)
	p.say(0, many(1, 3*pageSize)...)
	for i := range 3 * pageSize {
		want[1] = append(want[1], fmt.Sprintf("r v0 %d", i))
	}
	for tenant, list := range want {
		sameOrderPerVolume(t, p.texts(tenant, len(list)), list)
	}
	if got := p.texts(3, 0); len(got) != 0 {
		t.Errorf("a tenant that said nothing in public was shown %q", got)
	}
}

// Blocks that became durable while nothing followed them are read from the journal, once.
func TestWhatWasNotFollowedIsReadOnOpening(t *testing.T) {
	w := newWorld()
	p := w.start(t, false)
	want := p.talk("before", 30)
	p.stop()
	p = w.start(t, true)
	want = merge(want, p.talk("after", 30))
	first := make(map[id.Tenant][]string)
	for tenant, list := range want {
		first[tenant] = p.texts(tenant, len(list))
		sameOrderPerVolume(t, first[tenant], list)
	}
	p.stop()
	p = w.start(t, true)
	for tenant, list := range first {
		if got := p.texts(tenant, len(list)); !slices.Equal(got, list) {
			t.Errorf("numbers changed:\n got %q\nwant %q", got, list)
		}
	}
}

func TestRebuiltTablesGiveTheSameNumbers(t *testing.T) {
	w := newWorld()
	p := w.start(t, true)
	want := p.talk("r", 60)
	for tenant := range want {
		want[tenant] = p.texts(tenant, len(want[tenant]))
	}
	p.stop()
	empty := book.NewMemState()
	w.state = func() book.State { return empty }
	p = w.start(t, true)
	for tenant, list := range want {
		if got := p.texts(tenant, len(list)); !slices.Equal(got, list) {
			t.Errorf("tenant %d:\n got %q\nwant %q", tenant, got, list)
		}
	}
}

// stingy gives few blocks at a time, and counts them.
type stingy struct {
	book.Log
	given atomic.Int64
}

func (s *stingy) Read(ctx context.Context, name string, from uint64, limit int) ([]*journal.Block, error) {
	blocks, err := s.Log.Read(ctx, name, from, min(limit, 2))
	s.given.Add(int64(len(blocks)))
	return blocks, err
}

// A journal may give less than was asked for, and what stands between two wanted blocks is not read.
func TestOnlyTheBlocksOfAPageAreRead(t *testing.T) {
	w := newWorld()
	log := &stingy{Log: w.log}
	w.log = log
	p := w.start(t, true)
	for _, others := range []int{0, 1, 0, 2, 100, 0} {
		for range others {
			p.say(0, said{2, false, "x"})
		}
		p.say(0, said{1, false, "mine"})
	}
	p.texts(1, 6)
	p.feed.Close() // it follows no more, so that only the reader reads
	before := log.given.Load()
	events, _, err := p.feed.Read(patience(t), 1, 0, 10, 0)
	if err != nil || len(events) != 6 {
		t.Fatalf("%v, %v", events, err)
	}
	if n := log.given.Load() - before; n > 6+3 {
		t.Errorf("%d blocks were read for 6 events", n)
	}
}

// mortal lets the process die at one of its writes.
type mortal struct {
	book.Log
	left atomic.Int64 // writes until it dies
	late bool         // the last write becomes durable, and nobody hears of it
	die  context.CancelFunc
}

func (m *mortal) Write(ctx context.Context, w journal.Batch) (journal.Fate, error) {
	n := m.left.Add(-1)
	if n > 0 {
		return m.Log.Write(ctx, w)
	}
	if n == 0 && m.late {
		if _, err := m.Log.Write(ctx, w); err != nil {
			return journal.Fate{}, err
		}
	}
	m.die()
	<-ctx.Done()
	return journal.Fate{}, ctx.Err()
}

// TestEachEventIsNumberedOnceWhereverTheProcessDies dies at every write in turn: between a volume's block and the block
// that numbers it, and on either side of them.
func TestEachEventIsNumberedOnceWhereverTheProcessDies(t *testing.T) {
	for _, late := range []bool{false, true} {
		for n := int64(1); ; n++ {
			w := newWorld()
			finished := w.liveUntil(t, n, late)
			p := w.start(t, true)
			p.talk("second", 5)
			for tenant := id.Tenant(1); tenant <= 2; tenant++ {
				want := public(t, w.log, tenant)
				sameOrderPerVolume(t, p.texts(tenant, len(want)), want)
			}
			p.stop()
			if t.Failed() {
				t.Fatalf("died at write %d, late %v", n, late)
			}
			if finished {
				break
			}
		}
	}
}

// liveUntil speaks until the process dies at its nth write, and reports whether it came to the end before that.
func (w *world) liveUntil(t *testing.T, n int64, late bool) bool {
	const words = 8
	ctx, die := context.WithCancel(patience(t))
	defer die()
	durable := w.log
	m := &mortal{Log: durable, late: late, die: die}
	m.left.Store(1 << 40)
	w.log = m
	defer func() { w.log = durable }()
	p := w.start(t, true)
	defer p.stop()
	m.left.Store(n)
	for i := range words {
		v := i % volumes
		e := say{{1, false, fmt.Sprintf("first v%d %d a", v, i)}, {2, false, fmt.Sprintf("first v%d %d b", v, i)}}
		if _, err := p.books[v].Do(ctx, e); err != nil {
			return false
		}
	}
	for after := uint64(0); after < words; {
		var err error
		if _, after, err = p.feed.Read(ctx, 2, after, words, MaxWait); err != nil {
			return false
		}
	}
	return m.left.Load() > 0
}

// public lists a tenant's public events in the record, volume by volume.
func public(t *testing.T, log book.Log, tenant id.Tenant) (out []string) {
	for v := range volumes {
		blocks, err := log.Read(context.Background(), book.Name("shop", v), 1, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks {
			for _, e := range b.Events {
				if ev, err := (shop{}).Decode(e.Type, e.Body); err == nil && e.Type == book.FirstEventType && ev.(said).tenant == tenant {
					out = append(out, ev.(said).text)
				}
			}
		}
	}
	return out
}

type answer struct {
	events []Event
	next   uint64
	err    error
}

// read begins to read and returns once the reader waits.
func (p *process) read(ctx context.Context, tenant id.Tenant, after uint64, wait time.Duration) <-chan answer {
	p.t.Helper()
	ch := make(chan answer, 1)
	before := p.feed.Stats().Readers
	go func() {
		events, next, err := p.feed.Read(ctx, tenant, after, 10, wait)
		ch <- answer{events, next, err}
	}()
	limit := patience(p.t)
	for p.feed.Stats().Readers == before {
		select {
		case a := <-ch:
			p.t.Fatalf("the reader did not wait: %+v", a)
		case <-limit.Done():
			p.t.Fatal("the reader does not wait")
		default:
		}
	}
	return ch
}

func TestAReaderWaitsForItsOwnTenantOnly(t *testing.T) {
	p := newWorld().start(t, true)
	p.say(0, said{1, false, "one"})
	p.texts(1, 1)
	ch := p.read(patience(t), 1, 1, MaxWait)
	p.say(1, said{2, false, "not yours"})
	p.say(2, said{1, true, "not public"})
	p.texts(2, 1)
	select {
	case a := <-ch:
		t.Fatalf("another tenant's event woke it: %+v", a)
	default:
	}
	p.say(1, said{2, false, "nor this"}, said{1, false, "two"})
	a := <-ch
	if a.err != nil || a.next != 2 || len(a.events) != 1 || a.events[0].N != 2 || a.events[0].Index != 1 {
		t.Errorf("%+v", a)
	}
}

func TestAReaderWaitsNoLongerThanItSaid(t *testing.T) {
	w := newWorld()
	p := w.start(t, true)
	ch := p.read(patience(t), 1, 0, 5*time.Second)
	w.clk.Advance(4 * time.Second)
	select {
	case a := <-ch:
		t.Fatalf("answered early: %+v", a)
	default:
	}
	w.clk.Advance(time.Second)
	if a := <-ch; a.err != nil || len(a.events) != 0 || a.next != 0 {
		t.Errorf("%+v", a)
	}
	ctx, cancel := context.WithCancel(patience(t))
	ch = p.read(ctx, 1, 0, MaxWait)
	cancel()
	if a := <-ch; !fault.HasCode(a.err, fault.Timeout) || a.next != 0 {
		t.Errorf("%+v", a)
	}
	ch = p.read(patience(t), 1, 0, MaxWait)
	p.feed.Close()
	if a := <-ch; !fault.HasCode(a.err, fault.ShuttingDown) {
		t.Errorf("%+v", a)
	}
	if p.feed.Stats().Readers != 0 {
		t.Error("readers are left")
	}
}

func TestReadRefusesWhatIsOutOfBounds(t *testing.T) {
	p := newWorld().start(t, true)
	for _, c := range []struct {
		limit int
		wait  time.Duration
		param string
	}{{0, 0, "limit"}, {MaxLimit + 1, 0, "limit"}, {1, -1, "wait"}, {1, MaxWait + 1, "wait"}} {
		_, _, err := p.feed.Read(patience(t), 1, 0, c.limit, c.wait)
		if !fault.HasCode(err, fault.InvalidRequest) || fault.Of(err).Param != c.param {
			t.Errorf("limit %d, wait %v: %v", c.limit, c.wait, err)
		}
	}
}

// TestPositionBeyondTheHeadIsRefused: whoever stands further than the feed does would sleep through what comes. It happens
// after a restore; a reader who waits is told as soon as one who does not.
func TestPositionBeyondTheHeadIsRefused(t *testing.T) {
	p := newWorld().start(t, true)
	p.talk("said", 3)
	head := uint64(0)
	for list := public(t, p.w.log, 1); head < uint64(len(list)); {
		_, next, err := p.feed.Read(patience(t), 1, head, 10, MaxWait)
		if err != nil {
			t.Fatal(err)
		}
		head = next
	}
	for _, wait := range []time.Duration{0, MaxWait} {
		for _, after := range []uint64{head + 1, 1 << 53, 1<<64 - 1} {
			_, _, err := p.feed.Read(patience(t), 1, after, 10, wait)
			want := fmt.Sprintf("the last number of this feed is %d;", head)
			if e := fault.Of(err); e == nil || e.Code != fault.InvalidCursor || e.Param != "after" || !strings.Contains(e.Message, want) {
				t.Errorf("after %d, waiting %v: %v, expected %q", after, wait, err, want)
			}
		}
		if _, _, err := p.feed.Read(patience(t), 7, 1, 10, wait); !fault.HasCode(err, fault.InvalidCursor) {
			t.Errorf("a company of which nothing was ever told: %v", err)
		}
	}
	if events, next, err := p.feed.Read(patience(t), 1, head, 10, 0); len(events) != 0 || next != head || err != nil {
		t.Errorf("at the head: %v, %d, %v", events, next, err)
	}
}

// Blocks that were not heard of, in whatever order the rest comes, are found in the journal.
func TestWhatWasNotHeardIsReadFromTheJournal(t *testing.T) {
	p := newWorld().start(t, true)
	hear := p.feed.Follow(0)
	deaf := book.Config{Service: "shop", Volume: 0, Machine: shop{}, Log: p.w.log, State: book.NewMemState(), Clock: p.w.clk, Writer: p.writer}
	b, err := book.Open(patience(t), deaf) // takes over from the one that is followed
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 20 {
		text := fmt.Sprintf("r v0 %d", i)
		if _, err := b.Do(patience(t), say{{1, false, text}}); err != nil {
			t.Fatal(err)
		}
		want = append(want, text)
	}
	head, err := p.w.log.Head(context.Background(), "shop/00")
	if err != nil {
		t.Fatal(err)
	}
	hear(head, []book.PublicCount{{Tenant: 1, N: 1}})
	if got := p.texts(1, 20); !slices.Equal(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
	hear(journal.Head{Book: "shop/00", Seq: 3}, []book.PublicCount{{Tenant: 1, N: 1}}) // late, and long numbered
	p.say(1, said{1, false, "last"})
	p.texts(1, 21)
}

func TestABlockTheJournalDoesNotHaveStopsTheFeed(t *testing.T) {
	for name, head := range map[string]journal.Head{
		"ahead":            {Book: "shop/00", Seq: 9},
		"another of a seq": {Book: "shop/00", Seq: 2, Hash: journal.Hash{1}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newWorld().start(t, true)
			p.say(0, said{1, false, "one"})
			p.texts(1, 1)
			ch := p.read(patience(t), 1, 1, MaxWait)
			p.feed.Follow(0)(head, nil)
			if err := <-p.alarms; !fault.HasCode(err, fault.DataDamaged) {
				t.Errorf("alarm: %v", err)
			}
			if a := <-ch; !fault.HasCode(a.err, fault.DataDamaged) {
				t.Errorf("who waits: %+v", a)
			}
			p.say(1, said{1, false, "two"})
			events, next, err := p.feed.Read(patience(t), 1, 0, 10, 0)
			if len(events) != 1 || next != 1 || err != nil {
				t.Errorf("what was numbered: %v, %d, %v", events, next, err)
			}
			if _, _, err := p.feed.Read(patience(t), 1, 1, 10, 0); !fault.HasCode(err, fault.DataDamaged) {
				t.Errorf("what was not: %v", err)
			}
		})
	}
}

// A journal that is not the one that was followed is refused at once, or when it parts.
func TestAnotherJournalIsRefused(t *testing.T) {
	w := newWorld()
	p := w.start(t, true)
	p.talk("r", 9)
	p.texts(1, len(public(t, w.log, 1)))
	p.stop()
	other := newWorld()
	q := other.start(t, false)
	q.talk("other", 9)
	q.stop()
	isFeed := func(name string) bool { return strings.HasPrefix(name, "shop.feed") }
	for name, log := range map[string]book.Log{"a fork": other.log, "a loss": book.NewMemLog()} {
		w2 := &world{log: &split{Log: log, other: w.log, mine: isFeed}, state: w.state, clk: w.clk}
		p := &process{t: t, w: w2, writer: book.NewWriter(w2.log, w.clk, false, nil, book.Hooks{})}
		_, err := Open(patience(t), w2.config(p))
		p.writer.Close(over())
		if !fault.HasCode(err, fault.DataDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnEventThatIsNotUnderstoodStopsTheFeed(t *testing.T) {
	w := newWorld()
	p := w.start(t, false)
	p.say(0, said{1, false, "one"})
	p.stop()
	p = &process{t: t, w: w, writer: book.NewWriter(w.log, w.clk, false, nil, book.Hooks{}), alarms: make(chan error, 1)}
	defer p.writer.Close(over())
	c := w.config(p)
	c.Source = refusing{}
	f, err := Open(patience(t), c)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := <-p.alarms; !fault.HasCode(err, fault.DataDamaged) || !errors.Is(err, errForeign) || f.Err() == nil {
		t.Errorf("%v", err)
	}
}

type refusing struct{}

var errForeign = errors.New("foreign")

func (refusing) Public(uint32, []byte) (id.Tenant, bool, error) { return 0, false, errForeign }

// Another process that takes the sequencing book over ends this feed: it answers nothing more.
func TestAFeedThatWasTakenOverAnswersNothing(t *testing.T) {
	w := newWorld()
	p := w.start(t, true)
	p.say(0, said{1, false, "one"})
	p.texts(1, 1)
	q := w.start(t, true)
	q.say(0, said{1, false, "two"})
	q.texts(1, 2)
	head, err := w.log.Head(context.Background(), "shop/00")
	if err != nil {
		t.Fatal(err)
	}
	p.feed.Follow(0)(head, nil) // it wants to number what the other has numbered
	if err := <-p.alarms; !fault.HasCode(err, fault.Fenced) {
		t.Errorf("alarm: %v", err)
	}
	if _, _, err := p.feed.Read(patience(t), 1, 0, 10, 0); !fault.HasCode(err, fault.Fenced) {
		t.Errorf("it answers: %v", err)
	}
	q.texts(1, 2)
}

func TestSilentBlocksLeadToFewSteps(t *testing.T) {
	w := newWorld()
	p := w.start(t, true)
	for i := range 2*maxSilent + 10 {
		p.say(0, said{1, true, fmt.Sprint(i)})
	}
	p.say(0, said{1, false, "heard"})
	p.texts(1, 1)
	blocks, err := w.log.Read(context.Background(), BookName("shop"), 1, 100)
	if err != nil {
		t.Fatal(err)
	}
	if len(blocks) > 4 { // the opening, two moves, and the number
		t.Errorf("%d blocks for one public event", len(blocks))
	}
}
