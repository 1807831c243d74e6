package watch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/attic"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/judge"
	"github.com/koban-pay/koban/judge/reader"
)

const (
	keep     = 10 * clock.Minute // how long what has ended is kept in full
	remember = 1_000_000         // of how many rows that ended a digest is kept, about 40 bytes each
	forget   = 250_000           // of how many payments that ended something is kept, about 200 bytes each
	full     = 30_000            // of how many payments that ended everything is kept, about 3 kB each
	pageRows = 256               // that are read at once
	room     = 16 << 20          // bytes of accounts that are not in use, before they go to temporary files
	lookAt   = clock.Second / 2  // how often the journal is looked at
)

// beat is one judge and its place in the books.
type beat struct {
	judge    *judge.Judge
	follower *reader.Follower
	attic    *attic.Attic
}

func (w *Watchman) newBeat() *beat {
	b := &beat{attic: attic.New(w.Temp, room)}
	b.judge = judge.New(judge.Config{
		Volumes: w.Volumes, IDs: w.IDs, Keep: keep, Full: full, Remember: remember, Forget: forget,
		Attic: b.attic, Found: w.found,
	})
	b.follower = &reader.Follower{Journal: w.Journal, Judge: b.judge, Pace: w.pace}
	return b
}

// leave gives back what the judges have, and has the next sweep begin with others.
func (w *Watchman) leave() {
	for _, b := range []*beat{w.beat, w.full} {
		if b != nil {
			if err := b.attic.Close(); err != nil && w.trouble == nil {
				w.Log.Warn("temporary files of the watchman", "error", err)
			}
		}
	}
	w.beat, w.full = nil, nil
}

// sound returns what went wrong with the temporary files. What the judges say is not to be believed then.
func (w *Watchman) sound() error {
	for _, b := range []*beat{w.beat, w.full} {
		if b != nil && b.attic.Err() != nil {
			return b.attic.Err()
		}
	}
	return nil
}

// begin decides where judging begins: at the first block, or, where there are many, at the block that the tables stand for, with
// a second judge that comes from the first block in its own time.
func (w *Watchman) begin(ctx context.Context) error {
	heads, err := w.Journal.Heads(ctx)
	if err != nil {
		return err
	}
	blocks := uint64(0)
	for _, h := range heads {
		blocks += h.Seq
	}
	first := w.newBeat()
	if blocks <= w.Pace.Replay {
		w.beat = first
		return nil
	}
	based := w.newBeat()
	for _, h := range heads {
		at := int64(0) // of a book without tables: its next block may have been stamped before we came to look
		if db, volume := w.home(h.Book); db != nil {
			if h, at, err = reader.Saved(ctx, db, book.Name(w.service(h.Book), volume)); err != nil {
				return err
			}
		}
		if h.Seq > 0 {
			based.judge.Start(h, clock.Micros(at))
		}
	}
	w.beat, w.full = based, first
	return nil
}

// service returns the name of a book's service.
func (w *Watchman) service(name string) string {
	service, _, _ := splitBook(name)
	return service
}

// home returns where a book's tables are; nil if it has none that are compared.
func (w *Watchman) home(name string) (*store.DB, int) {
	service, volume, ok := splitBook(name)
	if !ok {
		return nil, 0
	}
	return w.Services[service], volume
}

func splitBook(name string) (service string, volume int, ok bool) {
	for i := len(name) - 1; i > 0; i-- {
		if name[i] == '/' {
			_, err := fmt.Sscanf(name[i+1:], "%d", &volume)
			return name[:i], volume, err == nil
		}
	}
	return name, 0, false
}

// sweep shows the judge every row of every table once.
func (w *Watchman) sweep(ctx context.Context) error {
	if w.beat == nil {
		if err := w.begin(ctx); err != nil {
			return err
		}
	}
	at := w.beat
	at.judge.Sweep()
	began, real := w.Clock.Now(), w.real.Now()
	w.began = real
	defer func() { w.began = 0 }()
	if err := w.look(ctx, 0); err != nil {
		return err
	}
	whole, err := w.stand(ctx, 0)
	if err != nil || at != w.beat {
		return err
	}
	for _, service := range w.names() {
		for v := range w.Volumes {
			ok, err := w.sweepVolume(ctx, service, v, began)
			if err != nil || at != w.beat {
				return err // another judge has taken over: a sweep begins anew
			}
			whole = whole && ok
		}
	}
	if !whole {
		return nil
	}
	if n := w.Stats().Sweeps; n > 0 || w.full == nil {
		at.judge.Sums()
	}
	w.count(func(s *Stats) {
		s.Sweeps, s.Full, s.Kept, w.swept = s.Sweeps+1, w.full == nil, at.judge.Size(), real
	})
	return nil
}

func (w *Watchman) names() (out []string) {
	for service := range w.Services {
		out = append(out, service)
	}
	slices.Sort(out)
	return out
}

// sweepVolume shows the judge every row of one volume on which no value stands; those were shown by stand. ok is false if the
// tables do not follow the journal, so that there was nothing to compare with.
func (w *Watchman) sweepVolume(ctx context.Context, service string, volume int, began clock.Micros) (ok bool, err error) {
	at := w.beat
	for _, t := range at.judge.Tables(service) {
		if t.Stands {
			continue
		}
		if ok, err := w.sweepTable(ctx, service, volume, t, true); err != nil || !ok || at != w.beat {
			return ok, err
		}
	}
	at.judge.Swept(service, volume, began-young)
	return true, nil
}

// standAgain is how often the rows on which value stands are shown while a sweep is long: whatever else there is, a changed
// account is to be found within a minute. Where there are so many accounts that this takes long, the other rows get three times
// as long, or their turn would never come.
const standAgain = 20 * clock.Second

// again returns how long after the rows on which value stands were shown they are shown again.
func (w *Watchman) again() clock.Micros { return max(standAgain, 3*w.standing) }

// stand shows the judge the rows on which value stands, unless that was done a moment ago.
func (w *Watchman) stand(ctx context.Context, every clock.Micros) (ok bool, err error) {
	if now := w.real.Now(); now-w.stood < every && now >= w.stood {
		return true, nil
	}
	at, ok, since := w.beat, true, w.real.Now()
	for _, service := range w.names() {
		for v := range w.Volumes {
			for _, t := range at.judge.Tables(service) {
				if !t.Stands {
					continue
				}
				right, err := w.sweepTable(ctx, service, v, t, false)
				if err != nil || at != w.beat {
					return true, err
				}
				ok = ok && right
			}
		}
	}
	w.stood = w.real.Now()
	w.standing = w.stood - since
	return ok, nil
}

// sweepTable shows the judge one volume of a table, and between its pages, if it may be long, what must not wait.
func (w *Watchman) sweepTable(ctx context.Context, service string, volume int, t *judge.Table, long bool) (ok bool, err error) {
	at := w.beat
	for place := (reader.Place{}); ; {
		if err := w.look(ctx, lookAt); err != nil || at != w.beat {
			return true, err
		}
		if long {
			if ok, err := w.stand(ctx, w.again()); err != nil || !ok || at != w.beat {
				return ok, err
			}
		}
		var rows []reader.Row
		var end reader.Place
		ok, err := w.meet(ctx, service, volume, func(db *store.DB, name string) (h journal.Head, err error) {
			rows, end, h, err = reader.Page(ctx, db, name, volume, reader.Of(t), place, pageRows)
			return h, err
		})
		if err != nil || !ok || len(rows) == 0 {
			return ok, err
		}
		w.show(service, volume, t, rows)
		place = end
		if err := w.pace(ctx); err != nil {
			return true, err
		}
	}
}

// young is a row that may have been written while its page was read.
const young = 10 * clock.Second

// show has rows compared.
func (w *Watchman) show(service string, volume int, t *judge.Table, rows []reader.Row) {
	for _, r := range rows {
		w.beat.judge.Row(book.Name(service, volume), judge.RowKey{Table: t.Name, Key: r.Key}, r.Values)
	}
	w.count(func(s *Stats) { s.Rows += int64(len(rows)) })
}

// patience is how long the tables may be behind what was judged before their rows are left for the next sweep.
const patience = 100

// meet reads rows, and has the judge fed exactly up to the block that they stand for. ok is false if the tables stay behind what
// was judged: they are not saved, and the platform says so itself.
func (w *Watchman) meet(ctx context.Context, service string, volume int, read func(*store.DB, string) (journal.Head, error)) (ok bool, err error) {
	name := book.Name(service, volume)
	for range patience {
		h, err := read(w.Services[service], name)
		if err != nil {
			return false, err
		}
		switch at := w.beat.judge.Head(name).Seq; {
		case h.Seq > at+w.Pace.Alone: // what this book knows alone would have to be kept until the others have come
			beat := w.beat
			if w.looking { // the next look is sooner than what would come of this one
				return false, nil
			}
			if err := w.look(ctx, 0); err != nil || beat != w.beat {
				return false, err
			}
		case h.Seq >= at:
			return w.reach(ctx, h)
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-clock.Pause(20 * time.Millisecond):
		}
		w.resumed = w.real.Now()
	}
	return false, nil
}

// reach feeds one book up to the block that its tables stand for.
func (w *Watchman) reach(ctx context.Context, h journal.Head) (bool, error) {
	alone := h.Seq - w.beat.judge.Head(h.Book).Seq
	w.count(func(s *Stats) { s.Alone = max(s.Alone, alone) })
	if err := w.advance(ctx, w.beat, map[string]uint64{h.Book: h.Seq}); err != nil {
		return false, err
	}
	has := w.beat.judge.Head(h.Book)
	if has.Seq != h.Seq || has.Hash != h.Hash {
		w.found(judge.Violation{Invariant: "I24", Book: h.Book, Seq: h.Seq, Message: fmt.Sprintf(
			"the tables stand for block %d (%x), and the journal ends at, or has, block %d (%x)", h.Seq, h.Hash[:8], has.Seq, has.Hash[:8])})
		return false, nil
	}
	return true, nil
}

// advance feeds books up to blocks.
func (w *Watchman) advance(ctx context.Context, b *beat, to map[string]uint64) error {
	before := int64(0)
	for name := range to {
		before -= int64(b.judge.Head(name).Seq)
	}
	err := b.follower.Advance(ctx, to, func(name string, err error) error {
		w.found(judge.Violation{Invariant: "I7", Book: name, Message: err.Error()})
		return nil
	})
	for name := range to {
		before += int64(b.judge.Head(name).Seq)
	}
	w.count(func(s *Stats) { s.Blocks += before })
	return err
}

// look feeds all books up to their heads of one moment, unless that was done a moment ago, judges what holds between them, and
// compares the rows that have changed.
func (w *Watchman) look(ctx context.Context, every clock.Micros) error {
	if now := w.real.Now(); now-w.looked < every && now >= w.looked {
		return nil
	}
	heads, err := w.Journal.Heads(ctx)
	if err != nil {
		return err
	}
	to, lag := map[string]uint64{}, int64(0)
	for _, h := range heads {
		to[h.Book] = h.Seq
		lag += max(int64(h.Seq-w.beat.judge.Head(h.Book).Seq), 0)
	}
	w.count(func(s *Stats) { s.Lag = lag })
	w.looking = true
	defer func() { w.looking = false }()
	if err := w.advance(ctx, w.beat, to); err != nil {
		return err
	}
	w.beat.judge.Cut()
	w.looked = w.real.Now()
	w.count(func(s *Stats) { s.Lag = 0 })
	if err := w.catchUp(ctx, to); err != nil {
		return err
	}
	return w.changed(ctx)
}

// maxChanged is how many changed rows of one book are compared at each look; what is beyond that, the sweep sees.
const maxChanged = 256

// changed compares rows that the last blocks have changed.
func (w *Watchman) changed(ctx context.Context) error {
	for _, service := range w.names() {
		for v := range w.Volumes {
			list := w.beat.judge.Changed(book.Name(service, v))
			list = list[:min(len(list), maxChanged)]
			for len(list) > 0 {
				n := 1
				for n < len(list) && list[n].Table == list[0].Table {
					n++
				}
				if err := w.compare(ctx, service, v, list[:n]); err != nil {
					return err
				}
				list = list[n:]
			}
		}
	}
	return nil
}

// compare compares rows of one table.
func (w *Watchman) compare(ctx context.Context, service string, volume int, list []judge.RowKey) error {
	i := slices.IndexFunc(w.beat.judge.Tables(service), func(t *judge.Table) bool { return t.Name == list[0].Table })
	if i < 0 {
		return nil
	}
	t := w.beat.judge.Tables(service)[i]
	keys := make([]book.Key, len(list))
	for i := range list {
		keys[i] = list[i].Key
	}
	var rows []reader.Row
	ok, err := w.meet(ctx, service, volume, func(db *store.DB, name string) (h journal.Head, err error) {
		rows, h, err = reader.Rows(ctx, db, name, volume, reader.Of(t), keys)
		return h, err
	})
	if err != nil || !ok {
		return err
	}
	w.show(service, volume, t, rows)
	return w.pace(ctx)
}

// slice is how many blocks the second judge goes on by at each look, for each book that there is.
const slice = 200

// catchUp lets the judge that came from the first block go on, and gives it the beat once it has caught up.
func (w *Watchman) catchUp(ctx context.Context, heads map[string]uint64) error {
	if w.full == nil {
		return nil
	}
	w.full.follower.Most = slice * len(heads) // by the times of blocks: a book that has few does not run ahead
	if err := w.advance(ctx, w.full, heads); err != nil {
		return err
	}
	for name, seq := range heads {
		if w.full.judge.Head(name).Seq < seq {
			return nil
		}
	}
	w.full.judge.Cut()
	for name := range heads {
		if w.full.judge.Head(name).Seq < w.beat.judge.Head(name).Seq {
			return nil
		}
	}
	w.full.follower.Most = 0
	err := w.beat.attic.Close()
	w.beat, w.full = w.full, nil
	w.Log.Info("the books have been judged from their first blocks on")
	return err
}
