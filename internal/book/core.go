package book

import (
	"fmt"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/journal"
)

// Core is a book without goroutines, clock or I/O. Its owner calls it from one thread: submits commands, seals the
// events they led to into a block, writes the block, and says what became of it. The runner does so in production,
// the simulator in proofs.
//
// State runs ahead of the journal by at most the open block and the block in flight; every answer waits until the
// state it was decided on is durable (rule B2).
type Core struct {
	name     string
	volume   int
	machine  Machine
	tables   []Table
	decision Decision
	touch    Touch

	head    journal.Head // the last sealed block
	durable journal.Head // the last block known to be in the journal
	saved   journal.Head // the block the state tables stand for
	at      clock.Micros // time of the open block, or of the last one; never goes backwards
	open    openBlock
	flight  *flight
	ready   []answer
	saving  *SaveSet
	fenced  bool
	pulse   int // commands since the last snapshot, to tell idle from busy
}

// Done receives the outcome of a command, once it may be told.
type Done func(reply any, err error)

type answer struct {
	done  Done
	reply any
	err   error
}

// openBlock is what has been decided since the last seal.
type openBlock struct {
	events  []journal.Event
	size    int
	answers []answer
	public  []PublicCount
}

// flight is the sealed block that is being written.
type flight struct {
	block   *journal.Block
	answers []answer
	public  []PublicCount
	save    *SaveSet
}

// PublicCount says how many public events of a tenant a block holds.
type PublicCount struct {
	Tenant id.Tenant
	N      int
}

// NewCore returns the core of a book whose journal and tables are empty; see Restore for one with a past.
func NewCore(name string, volume int, m Machine) *Core {
	return &Core{name: name, volume: volume, machine: m, tables: m.Tables(), head: journal.Head{Book: name},
		durable: journal.Head{Book: name}, saved: journal.Head{Book: name}}
}

// Name returns the book's name.
func (c *Core) Name() string { return c.name }

// Head returns the last sealed block, which need not be durable yet.
func (c *Core) Head() journal.Head { return c.head }

// Durable returns the last block known to be in the journal.
func (c *Core) Durable() journal.Head { return c.durable }

// SavedHead returns the block that the state tables stand for.
func (c *Core) SavedHead() journal.Head { return c.saved }

// Submit decides one command at now and calls done when its answer may be told. If rows are missing it does nothing
// and returns them: fetch them, call Install, submit again.
func (c *Core) Submit(now clock.Micros, cmd any, done Done) []Want {
	if c.fenced {
		done(nil, fault.Fenced.New(""))
		return nil
	}
	c.touch.missing = c.touch.missing[:0]
	c.machine.Touch(cmd, &c.touch)
	if len(c.touch.missing) > 0 {
		return append([]Want(nil), c.touch.missing...)
	}
	c.decide(now, cmd, done)
	return nil
}

func (c *Core) decide(now clock.Micros, cmd any, done Done) {
	if len(c.open.events) == 0 {
		c.at = max(c.at, now) // one time for the whole block, so that a replay sees what decide saw
	}
	d := &c.decision
	d.reset(c.name, c.head.Seq+1)
	c.machine.Decide(c.at, cmd, d)
	for _, ev := range d.events {
		c.append(ev)
	}
	a := answer{done: done, reply: d.reply}
	if d.after != nil {
		a.reply = d.after()
	}
	if d.err != nil {
		a.err = d.err
	}
	c.pulse++
	switch {
	case len(c.open.events) > 0:
		c.open.answers = append(c.open.answers, a)
	case c.flight != nil:
		c.flight.answers = append(c.flight.answers, a)
	default:
		c.ready = append(c.ready, a)
	}
}

func (c *Core) append(ev any) {
	typ, body := c.machine.Encode(ev)
	c.open.events = append(c.open.events, journal.Event{Type: typ, Body: body})
	c.open.size += len(body)
	c.machine.Apply(c.at, c.head.Seq+1, ev)
	for _, t := range c.tables {
		t.settle()
	}
	if tenant, ok := c.machine.Public(ev); ok {
		c.open.public = count(c.open.public, tenant)
	}
}

func count(list []PublicCount, t id.Tenant) []PublicCount {
	for i := range list {
		if list[i].Tenant == t {
			list[i].N++
			return list
		}
	}
	return append(list, PublicCount{t, 1})
}

// Install puts a fetched row into memory; raw is what the table's scan returned, nil where there is no such row.
func (c *Core) Install(w Want, raw any) { w.Table.install(w.Key, raw) }

// Sealable reports whether there is something to write and nothing in flight.
func (c *Core) Sealable() bool { return !c.fenced && c.flight == nil && len(c.open.events) > 0 }

// Full reports whether the open block has reached its size limit: callers should wait for the next one.
func (c *Core) Full() bool { return c.open.size >= maxOpenBytes || len(c.open.events) >= maxOpenEvents }

const (
	maxOpenBytes  = 2 << 20
	maxOpenEvents = 16384
)

// Seal closes the open block and returns it, to be written. salt makes the leaves of the block's tree unguessable.
// With snapshot, the state as of this block is encoded beside it, to be saved once the block is durable.
func (c *Core) Seal(salt [16]byte, snapshot bool) *journal.Block {
	b := &journal.Block{Book: c.name, Seq: c.head.Seq + 1, Epoch: c.head.Epoch, At: c.at, Prev: c.head.Hash,
		Salt: salt, Events: c.open.events}
	journal.Seal(b)
	c.head.Seq, c.head.Hash = b.Seq, b.Hash
	c.flight = &flight{block: b, answers: c.open.answers, public: c.open.public}
	c.open = openBlock{}
	if snapshot && c.saving == nil {
		c.flight.save = c.snapshot(c.head)
	}
	return b
}

// Flight returns the block being written, nil if there is none.
func (c *Core) Flight() *journal.Block {
	if c.flight == nil {
		return nil
	}
	return c.flight.block
}

// Landed says that the block in flight is durable: its answers are told. It returns the public events in it and the
// snapshot that goes with it, if one was taken.
func (c *Core) Landed() ([]PublicCount, *SaveSet) {
	f := c.flight
	c.flight = nil
	c.durable = journal.Head{Book: c.name, Seq: f.block.Seq, Hash: f.block.Hash, Epoch: f.block.Epoch}
	for _, a := range f.answers {
		a.done(a.reply, a.err)
	}
	return f.public, f.save
}

// Ready takes the answers that were decided on durable state and led to no event. On a store that another process
// may write to, the head has to be checked before they are told (rule B4).
func (c *Core) Ready() []Answer {
	if len(c.ready) == 0 {
		return nil
	}
	out := make([]Answer, len(c.ready))
	for i, a := range c.ready {
		out[i] = Answer{a}
	}
	c.ready = c.ready[:0]
	return out
}

// Answer is an answer that waits to be told.
type Answer struct{ a answer }

// Tell gives the answer to its caller.
func (a Answer) Tell() { a.a.done(a.a.reply, a.a.err) }

// Fence says that another writer has taken the book over: every caller who waits hears "unknown", and so does
// everyone who comes later. Memory must not be used again.
func (c *Core) Fence() {
	c.fenced = true
	waiting := append(c.ready, c.open.answers...)
	if c.flight != nil {
		waiting = append(waiting, c.flight.answers...)
	}
	c.ready, c.open, c.flight = nil, openBlock{}, nil
	for _, a := range waiting {
		a.done(nil, fault.Fenced.New(""))
	}
}

// Fenced reports whether the book was taken over.
func (c *Core) Fenced() bool { return c.fenced }

// Due returns the command for one row whose time has come at now, nil if there is none yet. Rows that have to be
// fetched before one can tell are returned as wants; call again after Install.
func (c *Core) Due(now clock.Micros) (cmd any, wants []Want) {
	for _, t := range c.tables {
		b := t.base()
		for {
			d, ok := b.due.pop(now)
			if !ok {
				break
			}
			if !t.resident(d.key) {
				b.due.push(d)
				return nil, []Want{{Table: t, Key: d.key}}
			}
			if at := t.dueRow(d.key); at == 0 || at > now {
				continue // an entry that was overtaken: the row is expected at another time, or no more
			}
			b.due.push(dueAt{at: now + dueRetry, key: d.key}) // should the command fail, it comes up again
			if cmd := c.machine.Expire(t, d.key); cmd != nil {
				return cmd, nil
			}
		}
	}
	return nil, nil
}

const dueRetry = 5 * clock.Second

// NextDue returns when Due has to be called again, 0 for not before something changes.
func (c *Core) NextDue() clock.Micros {
	var next clock.Micros
	for _, t := range c.tables {
		if at := t.base().due.next(); at > 0 && (next == 0 || at < next) {
			next = at
		}
	}
	return next
}

// AddDue says that the store has a row of table t which is due at the given time.
func (c *Core) AddDue(t Table, k Key, at clock.Micros) { t.base().due.push(dueAt{at: at, key: k}) }

// Snapshot encodes what has changed since the last one, if the whole state is durable right now. It returns nil if
// it is not (then ask Seal for one), if nothing changed, or while another save is under way.
func (c *Core) Snapshot() *SaveSet {
	if c.fenced || c.saving != nil || c.flight != nil || len(c.open.events) > 0 || c.head.Seq == c.saved.Seq {
		return nil
	}
	return c.snapshot(c.head)
}

// Unsaved returns how many blocks the state tables are behind the journal.
func (c *Core) Unsaved() uint64 { return c.durable.Seq - c.saved.Seq }

func (c *Core) snapshot(to journal.Head) *SaveSet {
	s := &SaveSet{Book: c.name, Volume: c.volume, From: c.saved, To: to, At: c.at}
	for _, t := range c.tables {
		var ts TableSave
		t.snapshot(&ts)
		s.Newest = max(s.Newest, t.base().newest)
		if len(ts.Keys) > 0 {
			s.Tables = append(s.Tables, ts)
		}
	}
	c.saving, c.pulse = s, 0
	return s
}

// Saved says that the snapshot is in the tables.
func (c *Core) Saved(s *SaveSet) {
	c.saved, c.saving = s.To, nil
	for _, t := range c.tables {
		t.saved()
	}
}

// Evict drops cold rows beyond limit per table, keeping those made at or after keepSince.
func (c *Core) Evict(limit int, keepSince clock.Micros) {
	for _, t := range c.tables {
		t.evict(limit, keepSince)
	}
}

// Resident returns how many rows are in memory.
func (c *Core) Resident() int {
	n := 0
	for _, t := range c.tables {
		n += t.count()
	}
	return n
}

// Restore sets the core to what the tables say: the block they stand for, and the latest id time in them.
func (c *Core) Restore(saved journal.Head, at, newest clock.Micros) {
	c.head, c.durable, c.saved, c.at = saved, saved, saved, at
	for _, t := range c.tables {
		b := t.base()
		b.newest, b.fresh = newest, 0
		if newest > 0 {
			b.fresh = newest + clock.Millisecond
		}
		if k, ok := t.(*Keys); ok {
			k.cold = saved.Seq > 0
		}
	}
}

// Replay applies a block of the journal, after the rows it touches were installed. Call with the same block until it
// returns no wants.
func (c *Core) Replay(b *journal.Block) ([]Want, error) {
	if b.Seq != c.head.Seq+1 || b.Prev != c.head.Hash {
		return nil, fault.DataDamaged.New("book %s: block %d does not follow block %d", c.name, b.Seq, c.head.Seq)
	}
	events := make([]any, 0, len(b.Events))
	c.touch.missing = c.touch.missing[:0]
	for i, e := range b.Events {
		if e.Type == openedType {
			if err := c.checkOpened(e); err != nil {
				return nil, err
			}
			continue
		}
		ev, err := c.machine.Decode(e.Type, e.Body)
		if err != nil {
			return nil, fault.DataDamaged.New("book %s: block %d event %d is not understood by this version; use the version that wrote it",
				c.name, b.Seq, i).Because(err)
		}
		c.machine.TouchEvent(ev, &c.touch)
		events = append(events, ev)
	}
	if len(c.touch.missing) > 0 {
		return append([]Want(nil), c.touch.missing...), nil
	}
	for _, ev := range events {
		c.machine.Apply(b.At, b.Seq, ev)
		for _, t := range c.tables {
			t.settle()
		}
	}
	c.at = max(c.at, b.At)
	c.head = journal.Head{Book: c.name, Seq: b.Seq, Hash: b.Hash, Epoch: b.Epoch}
	c.durable = c.head
	return nil, nil
}

// TakeOver raises the epoch and opens a block that says so. It must be the first block a writer seals (rule B4).
func (c *Core) TakeOver(now clock.Micros) {
	c.at = max(c.at, now)
	c.head.Epoch++
	o := opened{Epoch: c.head.Epoch, At: c.at, Version: c.machine.Version()}
	c.open.events = append(c.open.events, journal.Event{Type: openedType, Body: o.encode()})
}

func (c *Core) checkOpened(e journal.Event) error {
	o, err := decodeOpened(e.Body)
	if err != nil {
		return fault.DataDamaged.New("book %s: %v", c.name, err)
	}
	if o.Version > c.machine.Version() {
		return fault.DataDamaged.New("book %s was written by fold version %d and this program knows %d; run the newer program",
			c.name, o.Version, c.machine.Version())
	}
	return nil
}

// Describe returns a line for logs.
func (c *Core) Describe() string {
	return fmt.Sprintf("%s at block %d, epoch %d", c.name, c.head.Seq, c.head.Epoch)
}
