package sim

import (
	"math"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/planted"
)

// host is one book in one process: what the runner of book is in production.
type host struct {
	w         *World
	p         *process
	name      string
	volume    int
	core      *book.Core
	writing   bool         // a block or a check of the head is on its way
	ring      clock.Micros // when due rows are looked at next; 0 for never
	asked     bool         // something was decided that may wait for a check of the head
	following bool         // it reads on in what it follows
	dead      bool         // its memory is gone: nothing comes out of it any more
}

// open recovers a book in a process and takes it over. Whoever had it before learns that at its next write.
func (p *process) open(name string, volume int) {
	w := p.w
	m := w.around(name, w.machine(name))
	core, err := book.Recover(w.ctx, name, volume, m, w.disk.log, w.disk.tables)
	if err != nil {
		w.judge.fail("B4", "%s cannot be opened: %v", name, err)
		return
	}
	if before := p.hosts[name]; before != nil { // overtaken without knowing it, and taken over by its own process
		before.drop(fault.Fenced.New(""))
	}
	h := &host{w: w, p: p, name: name, volume: volume, core: core}
	if old := w.route[name]; old != nil && !old.dead {
		w.stale[name] = append(w.stale[name], old)
	}
	p.hosts[name], w.route[name] = h, h
	core.TakeOver(p.clock())
	w.trace("p%d opens %s at block %d", p.n, name, core.Durable().Seq)
	for _, t := range m.Tables() {
		if !book.Timed(t) {
			continue
		}
		core.Ahead(t, math.MaxInt64)
		rows, _ := w.disk.tables.DueBefore(w.ctx, volume, t, book.DueRow{}, math.MaxInt64, math.MaxInt)
		for _, r := range rows {
			core.AddDue(t, r.Key, r.At)
		}
	}
	h.pump()
	w.sides[name].opened(h)
}

// submit decides a command as soon as its rows are at hand. done hears the answer once it may be told; never, if the
// process dies before.
func (h *host) submit(cmd any, done book.Done) {
	if h.p.dead {
		return
	}
	if why := h.core.Ended(); why != nil {
		done(nil, why)
		return
	}
	wants := h.core.Submit(h.p.clock(), cmd, done)
	if wants == nil {
		h.asked = true
		h.tell()
		h.pump()
		return
	}
	if h.w.chance(h.w.mix.failRead) {
		h.w.seen("failed_read")
		done(nil, fault.Unavailable.New("the rows cannot be read"))
		return
	}
	if h.w.mix.fetch > 0 { // others go first whose rows are at hand
		h.core.Await(wants)
		h.w.after(h.w.draw(h.w.mix.fetch), func() { h.read(wants, func() { h.submit(cmd, done) }) })
		return
	}
	h.fetch(wants)
	h.submit(cmd, done)
}

// read reads rows, which may take longer than others take to save, and calls then.
func (h *host) read(wants []book.Want, then func()) {
	rows, at, _ := h.w.disk.tables.Load(h.w.ctx, h.name, h.volume, wants)
	saved := h.core.SavedHead().Seq
	h.w.after(h.w.draw(h.w.mix.read), func() {
		switch {
		case h.dead || h.core.Ended() != nil:
		case at.Head.Seq < saved || at.Head.Seq > h.core.Durable().Seq:
			h.fence() // the tables are another's by now
		default:
			if at.Head.Seq < h.core.SavedHead().Seq {
				h.w.seen("read_slower_than_saves")
			}
			h.core.Arrived(wants, rows)
		}
		then()
	})
}

func (h *host) fetch(wants []book.Want) {
	if h.dead || h.core.Ended() != nil {
		return
	}
	rows, at, _ := h.w.disk.tables.Load(h.w.ctx, h.name, h.volume, wants)
	if at.Head.Seq < h.core.SavedHead().Seq || at.Head.Seq > h.core.Durable().Seq {
		h.fence() // the tables are another's by now
		return
	}
	for i, want := range wants {
		h.core.Install(want, rows[i])
	}
}

// pump starts the next write, if there is something to write and nothing on its way.
func (h *host) pump() {
	if h.dead || h.core.Ended() != nil {
		return
	}
	h.arm()
	if h.writing {
		return
	}
	if h.core.Sealable() {
		h.writing, h.asked = true, false
		b := h.core.Seal([16]byte{}, h.w.chance(h.w.mix.snapshot))
		if h.w.plant.TellEarly && b.Seq > 1 { // a fault planted on purpose: rule B2 broken
			_, set := h.core.Landed()
			h.save(set)
			h.tell()
		}
		h.w.after(h.w.draw(h.w.mix.sync), func() { h.append(b, 0) })
		return
	}
	if h.asked {
		h.writing = true
		head := h.core.Durable()
		h.w.after(h.w.draw(h.w.mix.sync), func() { h.check(head) })
	}
}

// append offers a block to the journal, again and again until it is known what became of it (rule B3).
func (h *host) append(b *journal.Block, offers int) {
	if h.dead || h.waits(func() { h.append(b, offers) }) {
		return
	}
	w := h.w
	again := func() { w.after(w.draw(20*clock.Millisecond), func() { h.append(b, offers+1) }) }
	luck := w.luck(stepAppend, offers)
	if luck == fine && w.chance(w.mix.crashDecision) && w.judge.decides(b) {
		luck = diesBefore + misfortune(w.rnd.IntN(2))
	}
	switch luck {
	case fine, left:
	case diesBefore, diesAfter:
		if w.judge.decides(b) {
			w.seen([...]string{diesBefore: "crash_before_a_decision", diesAfter: "crash_after_a_decision"}[luck])
		}
		if luck == diesAfter {
			w.disk.write(b)
		}
		w.trace("p%d %s: block %d, and %v", h.p.n, h.name, b.Seq, luck)
		h.die()
		return
	case failed:
		w.seen("failed_write")
		if planted.Bug == planted.CommitErrorIgnored {
			h.writing = false
			_, set := h.core.Landed()
			h.save(set)
			h.tell()
			h.pump()
			return
		}
		again()
		return
	case lost:
		if !w.disk.write(b) {
			w.seen("lost_write")
		}
		again()
		return
	}
	usurped := w.chance(w.mix.usurpDecision) && w.judge.decides(b)
	fenced := w.disk.write(b)
	h.writing = false
	w.trace("p%d %s: block %d %.4x fenced %v", h.p.n, h.name, b.Seq, b.Hash, fenced)
	if fenced {
		h.fence()
		return
	}
	if usurped { // who has decided goes on, and does not know that another leads
		w.usurp(h.name, h.volume)
	}
	_, set := h.core.Landed()
	h.save(set)
	h.tell()
	h.pump()
	h.saveSometimes()
}

// waits puts a commit off as long as the machine's clock cannot be trusted (rule B7).
func (h *host) waits(commit func()) bool {
	if h.p.time.Steady() == nil && !(h.w.plant.Stands && h.p.checks) {
		return false
	}
	h.p.checkClock()
	h.w.after(100*clock.Millisecond, commit)
	return true
}

// check lets answers out that were decided without an event, if the book is still ours (rule B4).
func (h *host) check(head journal.Head) {
	if h.dead || h.waits(func() { h.check(head) }) {
		return
	}
	h.writing, h.asked = false, false
	if h.w.disk.stale(head) {
		h.fence()
		return
	}
	for _, a := range h.core.Ready() {
		a.Tell()
	}
	h.tell()
	h.pump()
}

func (h *host) tell() {
	if h.dead {
		return
	}
	for _, a := range h.core.Answers() {
		a.Tell()
	}
}

// fence drops what another writer has overtaken.
func (h *host) fence() {
	if h.dead || h.core.Ended() != nil {
		return
	}
	h.w.seen("fenced_writer")
	h.w.trace("p%d %s is fenced at block %d", h.p.n, h.name, h.core.Durable().Seq)
	h.drop(fault.Fenced.New(""))
	h.w.cede(h)
}

// die is a crash in the middle of a write: of the book, or of the whole process.
func (h *host) die() {
	if h.w.mix.wholeProcess || h.w.chance(500) {
		h.p.crash()
		return
	}
	h.crash()
}

// crash drops the book's memory; the process lives, and those who wait hear that nobody knows.
func (h *host) crash() {
	if h.dead || h.core.Ended() != nil {
		return
	}
	h.w.seen("book_crash")
	h.drop(fault.Unavailable.New("the book was dropped"))
	h.w.reopen(h.name, h.volume)
}

// drop ends the book's memory: those who wait hear why.
func (h *host) drop(why *fault.Error) {
	h.core.End(why)
	h.tell()
	h.gone()
}

// gone takes the host out of every list. Its last save may still come through.
func (h *host) gone() {
	h.dead = true
	if h.p.hosts[h.name] == h {
		delete(h.p.hosts, h.name)
	}
}

// arm plans the next look at due rows.
func (h *host) arm() {
	next := h.core.NextDue()
	if next == 0 || h.ring > 0 && h.ring <= next {
		return
	}
	h.ring = max(next, h.p.clock())
	at := h.ring
	h.w.after(at-h.p.clock(), func() {
		if h.dead || h.ring != at {
			return
		}
		h.ring = 0
		h.due()
	})
}

// due submits the commands of rows whose time has come.
func (h *host) due() {
	for {
		cmds, wants := h.core.Due(h.p.clock(), 256)
		for _, cmd := range cmds {
			h.submit(cmd, func(r any, err error) { h.w.sides[h.name].due(h, r, err) })
		}
		if h.dead || len(cmds)+len(wants) == 0 {
			break
		}
		h.fetch(wants)
	}
	if !h.dead {
		h.arm()
	}
}
