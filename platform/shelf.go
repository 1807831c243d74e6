package platform

import (
	"context"
	"errors"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/feed"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/clock"
)

// shelf is what one service stands on: its tables, its books, and the feed that follows them.
type shelf struct {
	kind  kind
	own   *tables
	news  *tables // the feed's
	db    *store.DB
	saver *book.Saver
	books []*book.Book
	feed  *feed.Feed
	feeds *book.Saver // of the feed's tables
}

// open opens the record, and on it the shelves of all services at the same time.
func (a *App) open(ctx context.Context) error {
	j, db, err := openJournal(ctx, a.place)
	if err != nil {
		return err
	}
	a.Journal, a.log, a.record = j, j, db
	a.onStop(func(context.Context) error { return db.Close() })
	if err := checkStoreClock(ctx, db, a.place.clock); err != nil {
		return err
	}
	if a.mode, err = fixMode(ctx, j, a.Rehearsal, a.Tenant == "demo"); err != nil {
		return err
	}
	if a.constants, err = fix(ctx, j, a.place, a.Volumes); err != nil {
		return err
	}
	if err := a.rehearse(ctx); err != nil {
		return err
	}
	if a.Watch != nil {
		a.log = a.Watch(j)
	}
	a.onStop(a.closeShelves)
	a.Writer = book.NewWriter(a.log, a.Clock, a.StoreURL != "", nil, book.Hooks{
		Fatal: a.fatal,
		Alarm: func(err error) { a.Log.Error("nothing is written until this is right", "error", err) },
		Trouble: func(book string, what book.Trouble, err error) {
			if err == nil {
				a.Log.Warn("what went wrong beside the writing goes well again", "book", book, "what", what.String())
				return
			}
			a.Log.Error("something goes wrong beside the writing; it is tried again", "book", book, "what", what.String(), "error", err)
		},
	})
	a.onStop(func(ctx context.Context) error { a.Writer.Close(ctx); return nil })
	var steps []func() error
	var state []*tables
	for _, k := range catalog() {
		s := &shelf{kind: k}
		s.own, s.news = k.tables(a.constants.volumes)
		state = append(state, s.own, s.news)
		a.shelves[k.name] = s
		steps = append(steps, func() error { return a.fill(ctx, s) })
	}
	a.onStop(a.closeFeeds)
	if err := a.openTables(ctx, state); err != nil {
		return err
	}
	if err := a.understand(ctx, state); err != nil {
		return err
	}
	if err := all(steps...); err != nil {
		return err
	}
	for name, s := range a.shelves {
		a.Feeds[name] = s.feed
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	go a.watch(life)
	felt := make(chan struct{})
	go func() { a.feel(life, db); close(felt) }()
	a.onStop(func(context.Context) error { stop(); <-felt; return nil })
	return nil
}

// fill opens one service's feed, then its books, which the feed follows. Their tables are open.
func (a *App) fill(ctx context.Context, s *shelf) error {
	s.db = s.own.db
	s.saver = book.NewSaver(s.own.state)
	if err := a.openFeed(ctx, s); err != nil {
		return err
	}
	n := a.constants.volumes
	s.books = make([]*book.Book, n)
	steps := make([]func() error, n)
	for v := range n {
		steps[v] = func() (err error) {
			s.books[v], err = book.Open(ctx, book.Config{
				Service: s.kind.name, Volume: v, Machine: s.kind.machine(v, n), Log: a.log,
				State: s.own.state, Clock: a.Clock, Writer: a.Writer, Saver: s.saver, OnPublic: s.feed.Follow(v), OnExpiry: a.onExpiry(s),
			})
			return err
		}
	}
	watch := clock.Stopwatch()
	if err := all(steps...); err != nil {
		return err
	}
	a.tellRecovered(s, watch())
	return nil
}

// tellRecovered says what the books of a service had to read to stand where they were left: after an unclean end, or where
// their tables were missing.
func (a *App) tellRecovered(s *shelf, took clock.Micros) {
	var blocks, rebuilt uint64
	for _, b := range s.books {
		st := b.Stats()
		blocks += st.Replayed
		rebuilt += uint64(flag(st.Rebuilt))
	}
	if blocks > 0 {
		a.Log.Info("books recovered from the journal", "service", s.kind.name, "blocks", blocks, "tables_made_anew", rebuilt,
			"took", took.Sub(0).String())
	}
}

// understand refuses books that a later program has written, before any book is taken over: an older program that was started
// by mistake leaves all of them as they are.
func (a *App) understand(ctx context.Context, state []*tables) error {
	var steps []func() error
	for _, t := range state {
		for v := range t.Volumes {
			steps = append(steps, func() error {
				return book.Understand(ctx, book.Name(t.Name, v), t.Machine(v), a.log, t.state)
			})
		}
	}
	return all(steps...)
}

// openFeed opens the feed of a service. Its tables are a database of their own: they belong to its book alone.
func (a *App) openFeed(ctx context.Context, s *shelf) (err error) {
	s.feeds = book.NewSaver(s.news.state)
	s.feed, err = feed.Open(ctx, feed.Config{
		Service: s.kind.name, Volumes: a.constants.volumes, Log: a.log, State: s.news.state,
		Writer: a.Writer, Saver: s.feeds, Clock: a.Clock, Pace: a.place.clock, Source: feed.MachineSource(s.kind.machine(0, a.constants.volumes)),
		Alarm: func(err error) { a.Log.Error("a feed has stopped", "service", s.kind.name, "error", err) },
	})
	return err
}

// onExpiry tells the payment service of payments whose time has come.
func (a *App) onExpiry(s *shelf) func(cmd, reply any, err error) {
	if s.kind.name != "payment" {
		return nil
	}
	return func(cmd, reply any, err error) {
		if d := a.driver.Load(); d != nil {
			d.Expired(cmd, reply, err)
		}
	}
}

func (a *App) closeFeeds(context.Context) error {
	for _, s := range a.shelves {
		if s.feed != nil {
			s.feed.Close()
		}
	}
	return nil
}

// closeShelves saves what is durable. The writer has stopped.
func (a *App) closeShelves(context.Context) error {
	var errs []error
	for _, s := range a.shelves {
		if s.saver != nil {
			s.saver.Close()
		}
		if s.feeds != nil {
			s.feeds.Close()
		}
		for _, t := range []*tables{s.own, s.news} {
			errs = append(errs, t.close())
		}
	}
	return errors.Join(errs...)
}
