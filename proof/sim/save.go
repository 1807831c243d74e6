package sim

import (
	"github.com/koban-pay/koban/book"
)

// save writes a snapshot some time later, as the saver does; a crash in between may or may not lose it.
func (h *host) save(set *book.SaveSet) {
	if set == nil {
		return
	}
	h.w.after(h.w.draw(h.w.mix.save), func() {
		if !h.dead || h.w.chance(500) {
			h.put(set)
		}
	})
}

// put writes a snapshot into the tables, which may fail, or be lost with the process.
func (h *host) put(set *book.SaveSet) {
	h.w.judge.saves(set)
	for offers := 0; ; offers++ {
		switch luck := h.w.luck(stepSave, offers); luck {
		case fine, left:
		case diesBefore, diesAfter:
			if luck == diesAfter {
				_, _ = h.w.disk.tables.Save(h.w.ctx, []*book.SaveSet{set})
			}
			h.w.trace("p%d %s: a save, and %v", h.p.n, h.name, luck)
			if !h.dead {
				h.die()
			}
			return
		case failed:
			h.w.seen("failed_save")
			continue
		case lost: // it is tried again, and finds itself
			h.w.seen("lost_save")
			_, _ = h.w.disk.tables.Save(h.w.ctx, []*book.SaveSet{set})
			continue
		}
		h.keep(set)
		return
	}
}

// keep saves a snapshot. If the tables are not where the last save left them, either the writer before has saved once
// more, or another one saves them now.
func (h *host) keep(set *book.SaveSet) {
	lost, _ := h.w.disk.tables.Save(h.w.ctx, []*book.SaveSet{set})
	switch {
	case h.dead || h.core.Ended() != nil:
	case len(lost) == 0:
		h.core.Saved(set)
	case h.adopt():
		h.keep(set)
	default:
		h.fence()
	}
}

// saveNow saves what is durable, if nothing is on its way, and reports whether the tables hold everything now.
func (h *host) saveNow() bool {
	if set := h.core.Snapshot(); set != nil {
		h.put(set)
	}
	return !h.dead && h.core.Ended() == nil && h.core.Unsaved() == 0
}

// adopt goes on from tables that the writer before has saved once more, if it knew no more than we do.
func (h *host) adopt() bool {
	at, _ := h.w.disk.tables.Saved(h.w.ctx, h.name)
	ours := h.w.disk.has(at.Head) && at.Head.Epoch < h.core.Head().Epoch && at.Head.Seq < h.core.Durable().Seq
	if ours {
		h.w.seen("adopted_tables")
		h.core.Stands(at.Head)
	}
	return ours
}

// saveSometimes saves at once and forgets, so that rows come and go.
func (h *host) saveSometimes() {
	if h.dead || h.core.Ended() != nil || !h.w.chance(h.w.mix.forget) {
		return
	}
	h.saveNow()
	h.core.Forget() // whatever is not saved stays
}
