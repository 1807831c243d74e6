package feed

import (
	"encoding/binary"
	"fmt"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// Block is a stretch of a volume's journal, blocks From … Seq, of which only the last may hold public events.
type Block struct {
	Volume int
	From   uint64
	Prev   [32]byte // hash of block From-1
	Seq    uint64
	Hash   [32]byte // of block Seq
	Counts []book.PublicCount
}

// Advance follows the volumes further. It is refused as a whole with fault.DataDamaged if a block does not follow what
// was followed before; blocks that were followed already are passed over. The reply is the Sequenced, nil if there was
// nothing new.
type Advance struct{ Blocks []Block }

// Where asks how far the volumes 0 … Volumes-1 were followed. The reply is a []Position.
type Where struct{ Volumes int }

// Look asks for the tenant's last number, and where its numbers After+1 … To are found. The reply is a Found.
type Look struct {
	Tenant    id.Tenant
	After, To uint64
}

// Found is the reply to Look: parts in the order of their numbers, and only those with numbers asked for.
type Found struct {
	Last  uint64
	Parts []Part
}

// Part says that Count numbers from First on are in one block: the tenant's public events there, without the first Skip.
type Part struct {
	First  uint64
	Count  uint64
	Volume int
	Seq    uint64
	Skip   uint64
}

// Sequenced is the one event of a sequencing book.
type Sequenced struct{ Steps []Step }

// Step says that a volume was followed up to a block.
type Step struct {
	Volume int
	Seq    uint64
	Hash   [32]byte
	Runs   []Run
}

// Run gives a tenant's public events in one block the numbers First … First+Count-1.
type Run struct {
	Tenant id.Tenant
	First  uint64
	Count  uint64
}

// Position is how far a volume was followed.
type Position struct {
	Seq  uint64
	Hash [32]byte
}

// counter is a tenant's last number.
type counter struct{ Last uint64 }

// page says where the numbers of one page are found, in order.
type page struct {
	Skip   uint64 // public events of the first block that have numbers of the page before
	Places []place
}

type place struct {
	Seq    uint64
	Volume uint32
	Count  uint32
}

// pageSize is how many numbers a page covers: page p those from p*pageSize+1 on. It is part of the fold.
const pageSize = 256

func pageOf(n uint64) uint64 { return (n - 1) / pageSize }

// key is the key of row n of a tenant. The ids carry no time: to the kernel they are older than any that does, so what is
// not in memory is always looked for in the tables.
func key(tenant id.Tenant, n uint64) book.Key {
	k := book.Key{Tenant: tenant}
	binary.BigEndian.PutUint64(k.ID[8:], n)
	return k
}

// Machine is the sequencing book of one service.
type Machine struct {
	positions *book.Rows[Position]
	counters  *book.Rows[counter]
	pages     *book.Rows[page]

	// What one Advance has decided so far.
	followed map[int]Position
	given    map[id.Tenant]uint64
}

var _ book.Machine = (*Machine)(nil)

// NewMachine returns the machine of a sequencing book.
func NewMachine() *Machine {
	return &Machine{
		positions: book.NewRows(positionSchema), counters: book.NewRows(counterSchema), pages: book.NewRows(pageSchema),
		followed: make(map[int]Position), given: make(map[id.Tenant]uint64),
	}
}

// Tables implements book.Machine.
func (m *Machine) Tables() []book.Table { return []book.Table{m.positions, m.counters, m.pages} }

// Version implements book.Machine.
func (m *Machine) Version() uint32 { return 1 }

// Public implements book.Machine: a sequencing book announces nothing.
func (m *Machine) Public(any) (id.Tenant, bool) { return 0, false }

// Expire implements book.Machine: nothing is ever due.
func (m *Machine) Expire(book.Table, book.Key) any { return nil }

// Touch implements book.Machine.
func (m *Machine) Touch(cmd any, t *book.Touch) {
	switch c := cmd.(type) {
	case Advance:
		clear(m.given)
		for i := range c.Blocks {
			m.positions.Touch(t, key(0, uint64(c.Blocks[i].Volume)))
			for _, n := range c.Blocks[i].Counts {
				m.given[n.Tenant] += uint64(max(n.N, 0))
			}
		}
		for i := range c.Blocks {
			for _, n := range c.Blocks[i].Counts {
				if m.given[n.Tenant] > 0 && m.counters.Touch(t, key(n.Tenant, 0)) {
					last := m.last(n.Tenant)
					m.touchPages(t, n.Tenant, last+1, last+m.given[n.Tenant])
				}
				delete(m.given, n.Tenant)
			}
		}
	case Where:
		for v := range c.Volumes {
			m.positions.Touch(t, key(0, uint64(v)))
		}
	case Look:
		if m.counters.Touch(t, key(c.Tenant, 0)) {
			if to := min(c.To, m.last(c.Tenant)); c.After < to {
				m.touchPages(t, c.Tenant, c.After+1, to)
			}
		}
	}
}

// touchPages declares the pages of the numbers from … to.
func (m *Machine) touchPages(t *book.Touch, tenant id.Tenant, from, to uint64) {
	for n := from; n <= to; n = (pageOf(n)+1)*pageSize + 1 {
		m.pages.Touch(t, key(tenant, pageOf(n)))
	}
}

// Decide implements book.Machine.
func (m *Machine) Decide(_ clock.Micros, cmd any, out *book.Decision) {
	switch c := cmd.(type) {
	case Advance:
		m.advance(c, out)
	case Where:
		list := make([]Position, c.Volumes)
		for v := range list {
			list[v] = m.position(v)
		}
		out.Reply(list)
	case Look:
		out.Reply(m.look(c))
	default:
		panic(fmt.Sprintf("feed: %T is no command", cmd))
	}
}

func (m *Machine) advance(c Advance, out *book.Decision) {
	clear(m.followed)
	clear(m.given)
	ev := &Sequenced{Steps: make([]Step, 0, len(c.Blocks))}
	for i := range c.Blocks {
		b := &c.Blocks[i]
		at, ok := m.followed[b.Volume]
		if !ok {
			at = m.position(b.Volume)
		}
		counts := countsOf(c.Blocks, i)
		switch {
		case again(b.Seq, at.Seq):
		case b.Seq < at.Seq, b.Seq == at.Seq && b.Hash == at.Hash:
			continue // followed already: the effect is exactly once
		case b.From != at.Seq+1 || b.Seq < b.From || b.Prev != at.Hash:
			out.Refuse(fault.DataDamaged.New("volume %d was followed to block %d (%x), and what comes next begins at %d after %x",
				b.Volume, at.Seq, at.Hash[:4], b.From, b.Prev[:4]))
			return
		}
		m.followed[b.Volume] = Position{b.Seq, b.Hash}
		follow(b, at)
		ev.Steps = append(ev.Steps, Step{Volume: b.Volume, Seq: b.Seq, Hash: b.Hash, Runs: m.number(counts)})
	}
	if len(ev.Steps) == 0 {
		return
	}
	out.Emit(ev)
	out.Reply(ev)
}

// number gives the events of one block their numbers.
func (m *Machine) number(counts []book.PublicCount) []Run {
	if len(counts) == 0 {
		return nil
	}
	runs := make([]Run, 0, len(counts))
	for _, c := range counts {
		if c.N <= 0 {
			continue
		}
		last, ok := m.given[c.Tenant]
		if !ok {
			last = m.last(c.Tenant)
		}
		m.given[c.Tenant] = last + uint64(c.N)
		runs = append(runs, Run{c.Tenant, last + 1, uint64(c.N)})
	}
	return runs
}

func (m *Machine) position(volume int) Position {
	if p := m.positions.Get(key(0, uint64(volume))); p != nil {
		return *p
	}
	return Position{}
}

func (m *Machine) last(tenant id.Tenant) uint64 {
	if c := m.counters.Get(key(tenant, 0)); c != nil {
		return c.Last
	}
	return 0
}

func (m *Machine) look(c Look) Found {
	f := Found{Last: m.last(c.Tenant)}
	to := min(c.To, f.Last)
	if c.After >= to {
		return f
	}
	for n := c.After + 1; n <= to; n = (pageOf(n)+1)*pageSize + 1 {
		p := pageOf(n)
		g := m.pages.Get(key(c.Tenant, p))
		first, skip := p*pageSize+1, g.Skip
		for _, w := range g.Places {
			if end := first + uint64(w.Count) - 1; end > c.After && first <= to {
				f.Parts = append(f.Parts, Part{First: first, Count: uint64(w.Count), Volume: int(w.Volume), Seq: w.Seq, Skip: skip})
			}
			first, skip = first+uint64(w.Count), 0
		}
	}
	return f
}

// TouchEvent implements book.Machine.
func (m *Machine) TouchEvent(ev any, t *book.Touch) {
	for _, s := range ev.(*Sequenced).Steps {
		m.positions.Touch(t, key(0, uint64(s.Volume)))
		for _, r := range s.Runs {
			m.counters.Touch(t, key(r.Tenant, 0))
			m.touchPages(t, r.Tenant, r.First, r.First+r.Count-1)
		}
	}
}

// Apply implements book.Machine.
func (m *Machine) Apply(_ clock.Micros, _ uint64, ev any) {
	for _, s := range ev.(*Sequenced).Steps {
		*m.positions.Edit(key(0, uint64(s.Volume))) = Position{s.Seq, s.Hash}
		for _, r := range s.Runs {
			c := madeBefore(m.counters, key(r.Tenant, 0), r.First > 1)
			if r.First != c.Last+1 {
				panic(fmt.Sprintf("feed: tenant %d has number %d, and %d is given next", r.Tenant, c.Last, r.First))
			}
			c.Last += r.Count
			m.place(s.Volume, s.Seq, r)
		}
	}
}

// madeBefore returns a row to be changed: one that has to be there already, or one that this event may make.
func madeBefore[V any](rows *book.Rows[V], k book.Key, before bool) *V {
	if before {
		return rows.Have(k)
	}
	return rows.Edit(k)
}

// place writes into the pages where a run's numbers are found.
func (m *Machine) place(volume int, seq uint64, r Run) {
	for done := uint64(0); done < r.Count; {
		n := r.First + done
		p := pageOf(n)
		take := min(r.Count-done, (p+1)*pageSize-(n-1))
		g := madeBefore(m.pages, key(r.Tenant, p), n > p*pageSize+1)
		if len(g.Places) == 0 {
			g.Skip = done
		}
		g.Places = append(g.Places, place{Seq: seq, Volume: uint32(volume), Count: uint32(take)})
		done += take
	}
}
