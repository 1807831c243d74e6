package feed

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/booktest"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// shop is a machine without state: it writes down what it is told.
type shop struct{}

// said is its event. A silent one is not public.
type said struct {
	tenant id.Tenant
	silent bool
	text   string
}

// say is its command.
type say []said

func (shop) Touch(any, *book.Touch)          {}
func (shop) TouchEvent(any, *book.Touch)     {}
func (shop) Apply(clock.Micros, uint64, any) {}
func (shop) Tables() []book.Table            { return nil }
func (shop) Expire(book.Table, book.Key) any { return nil }
func (shop) Version() uint32                 { return 1 }
func (shop) Public(ev any) (id.Tenant, bool) { return ev.(said).tenant, !ev.(said).silent }
func (shop) Encode(ev any) (uint32, []byte) {
	e := ev.(said)
	typ := uint32(book.FirstEventType)
	if e.silent {
		typ++
	}
	return typ, append(binary.BigEndian.AppendUint32(nil, uint32(e.tenant)), e.text...)
}

func (shop) Decode(typ uint32, body []byte) (any, error) {
	if len(body) < 4 || typ > book.FirstEventType+1 {
		return nil, errors.New("the shop does not understand")
	}
	return said{id.Tenant(binary.BigEndian.Uint32(body)), typ > book.FirstEventType, string(body[4:])}, nil
}

func (shop) Decide(_ clock.Micros, cmd any, out *book.Decision) {
	for _, e := range cmd.(say) {
		out.Emit(e)
	}
}

// world is what survives a process.
type world struct {
	log   book.Log
	state func() book.State // of the feed
	clk   *clock.Manual
}

const volumes = 3

func newWorld() *world {
	state := book.NewMemState()
	return &world{log: book.NewMemLog(), state: func() book.State { return state }, clk: clock.NewManual(booktest.Start)}
}

// process is one life of the platform.
type process struct {
	t      testing.TB
	w      *world
	writer *book.Writer
	saver  *book.Saver
	feed   *Feed
	books  []*book.Book
	alarms chan error
	once   sync.Once
}

// patience ends what should have ended long before.
func patience(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (w *world) config(p *process) Config {
	return Config{
		Service: "shop", Volumes: volumes, Log: w.log, State: w.state(), Writer: p.writer, Saver: p.saver, Clock: w.clk,
		Source: MachineSource(shop{}), Alarm: func(err error) { p.alarms <- err },
	}
}

// start begins a life. Without a feed, the volumes go on unnoticed.
func (w *world) start(t testing.TB, withFeed bool) *process {
	t.Helper()
	p := &process{t: t, w: w, writer: book.NewWriter(w.log, w.clk, false, nil, book.Hooks{}), alarms: make(chan error, 1)}
	t.Cleanup(p.stop)
	if withFeed {
		c := w.config(p)
		p.saver = book.NewSaver(c.State)
		c.Saver = p.saver
		f, err := Open(patience(t), c)
		if err != nil {
			t.Fatal(err)
		}
		p.feed = f
	}
	for v := range volumes {
		c := book.Config{Service: "shop", Volume: v, Machine: shop{}, Log: w.log, State: book.NewMemState(), Clock: w.clk, Writer: p.writer}
		if withFeed {
			c.OnPublic = p.feed.Follow(v)
		}
		b, err := book.Open(patience(t), c)
		if err != nil {
			t.Fatal(err)
		}
		p.books = append(p.books, b)
	}
	return p
}

// over is a context that has ended: it waits for nothing.
func over() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// stop ends the life. What waits to be numbered or written is not waited for.
func (p *process) stop() {
	p.once.Do(func() {
		if p.feed != nil {
			p.feed.Close()
		}
		p.writer.Close(over())
		if p.saver != nil {
			p.saver.Close()
		}
	})
}

func (p *process) say(volume int, events ...said) {
	p.t.Helper()
	if _, err := p.books[volume].Do(patience(p.t), say(events)); err != nil {
		p.t.Fatal(err)
	}
}

// texts reads n events of a tenant, a few at a time, and requires their numbers to be 1, 2, 3 … and nothing to follow.
func (p *process) texts(tenant id.Tenant, n int) []string {
	p.t.Helper()
	var out []string
	for after := uint64(0); len(out) < n; {
		events, next, err := p.feed.Read(patience(p.t), tenant, after, 3, MaxWait)
		if err != nil {
			p.t.Fatalf("tenant %d after %d: %v", tenant, after, err)
		}
		for i, e := range events {
			if e.N != after+uint64(i)+1 {
				p.t.Fatalf("tenant %d: number %d follows %d", tenant, e.N, after+uint64(i))
			}
			ev, err := shop{}.Decode(e.Type, e.Body)
			if err != nil || ev.(said).tenant != tenant || ev.(said).silent {
				p.t.Fatalf("tenant %d was shown %+v, %v", tenant, ev, err)
			}
			p.stands(e)
			out = append(out, ev.(said).text)
		}
		after = next
	}
	if more, next, err := p.feed.Read(patience(p.t), tenant, uint64(n), 3, 0); len(more) != 0 || next != uint64(n) || err != nil {
		p.t.Fatalf("tenant %d: %d more, next %d, %v", tenant, len(more), next, err)
	}
	return out
}

// stands requires an event to stand in the record where it says.
func (p *process) stands(e Event) {
	p.t.Helper()
	blocks, err := p.w.log.Read(context.Background(), e.Book, e.Seq, 1)
	if err != nil || len(blocks) != 1 {
		p.t.Fatal(blocks, err)
	}
	if got := blocks[0].Events[e.Index]; got.Type != e.Type || string(got.Body) != string(e.Body) || blocks[0].At != e.At {
		p.t.Fatalf("%+v is not what stands in the record", e)
	}
}

// talk says n things on random-looking volumes and returns what each tenant has to be shown, by volume and in order.
func (p *process) talk(round string, n int) map[id.Tenant][]string {
	p.t.Helper()
	out := make(map[id.Tenant][]string)
	for i := range n {
		v := (i*7 + i/3) % volumes
		var events []said
		for j := range i % 4 {
			e := said{tenant: id.Tenant(1 + (i+j)%2), silent: (i+j)%5 == 0, text: fmt.Sprintf("%s v%d %03d.%d", round, v, i, j)}
			events = append(events, e)
			if !e.silent {
				out[e.tenant] = append(out[e.tenant], e.text)
			}
		}
		p.say(v, append(events, said{tenant: 3, silent: true})...)
	}
	return out
}

func merge(a, b map[id.Tenant][]string) map[id.Tenant][]string {
	out := make(map[id.Tenant][]string)
	for _, m := range []map[id.Tenant][]string{a, b} {
		for tenant, list := range m {
			out[tenant] = append(out[tenant], list...)
		}
	}
	return out
}

// sameOrderPerVolume requires got to hold each of want once, those of one volume in the order they were said.
func sameOrderPerVolume(t testing.TB, got, want []string) {
	t.Helper()
	byVolume := func(list []string) map[string][]string {
		out := make(map[string][]string)
		for _, s := range list {
			var round, volume string
			fmt.Sscan(s, &round, &volume)
			out[volume] = append(out[volume], s)
		}
		return out
	}
	g, w := byVolume(got), byVolume(want)
	for v := range w {
		if !slices.Equal(g[v], w[v]) {
			t.Errorf("volume %s:\n got %q\nwant %q", v, g[v], w[v])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d events, want %d", len(got), len(want))
	}
}

// split keeps some books in a log of their own.
type split struct {
	book.Log
	other book.Log
	mine  func(name string) bool
}

func (s *split) of(name string) book.Log {
	if s.mine(name) {
		return s.other
	}
	return s.Log
}

func (s *split) Head(ctx context.Context, name string) (journal.Head, error) {
	return s.of(name).Head(ctx, name)
}

func (s *split) Read(ctx context.Context, name string, from uint64, limit int) ([]*journal.Block, error) {
	return s.of(name).Read(ctx, name, from, limit)
}

func (s *split) Write(ctx context.Context, w journal.Batch) (journal.Fate, error) {
	fate := journal.Fate{}
	for _, b := range w.Blocks {
		one, err := s.of(b.Book).Write(ctx, journal.Batch{Blocks: []*journal.Block{b}})
		if err != nil {
			return fate, err
		}
		fate.Fenced = append(fate.Fenced, one.Fenced...)
	}
	rest, err := s.Log.Write(ctx, journal.Batch{Check: w.Check})
	fate.Stale = rest.Stale
	return fate, err
}
