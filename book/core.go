package book

import (
	"fmt"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// Core is a book without goroutines, clock or I/O. Its owner calls it from one thread: submits commands, seals the
// events they led to into a block, writes the block, says what became of it, and tells the answers that may be told.
// The runner does so in production, the simulator in proofs.
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
	at      clock.Micros // the latest time that anything was decided at; never goes backwards
	sealed  clock.Micros // time of the last sealed block
	open    openBlock
	flight  *flight
	reads   []Answer // decided on durable state, without an event
	told    []Answer // may be told
	fold    uint32   // the highest fold version that the book was opened by
	saving  *SaveSet
	whole   bool         // the next snapshot is to be written whole: another writer has moved the tables
	ended   *fault.Error // why nothing is answered any more
	pulse   int          // commands since the last snapshot, to tell idle from busy
	usual   int          // how many events blocks had lately

	replayed uint64 // blocks, when the book was recovered
	rebuilt  bool   // from the first one on
}

// Done receives the outcome of a command, once it may be told.
type Done = func(reply any, err error)

// Answer is an answer that may be told, or waits for that.
type Answer struct {
	done  Done
	reply any
	err   error
}

// Tell gives the answer to its caller.
func (a Answer) Tell() { a.done(a.reply, a.err) }

// openBlock is what has been decided since the last seal.
type openBlock struct {
	events  []journal.Event
	size    int
	notes   []journal.Note
	answers []Answer
	public  []PublicCount
}

// flight is the sealed block that is being written.
type flight struct {
	block   *journal.Block
	answers []Answer // decided by what is in the block
	reads   []Answer // decided on the state after it, without an event
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
	return &Core{
		name: name, volume: volume, machine: m, tables: m.Tables(), head: journal.Head{Book: name},
		durable: journal.Head{Book: name}, saved: journal.Head{Book: name},
	}
}

// Name returns the book's name.
func (c *Core) Name() string { return c.name }

// Head returns the last sealed block, which need not be durable yet.
func (c *Core) Head() journal.Head { return c.head }

// Durable returns the last block known to be in the journal.
func (c *Core) Durable() journal.Head { return c.durable }

// SavedHead returns the block that the state tables stand for.
func (c *Core) SavedHead() journal.Head { return c.saved }

// Submit decides one command at now and keeps its answer until it may be told. If rows are missing it does nothing and
// returns them: fetch them, call Install, submit again.
func (c *Core) Submit(now clock.Micros, cmd any, done Done) []Want {
	if c.ended != nil {
		c.told = append(c.told, Answer{done: done, err: c.ended})
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
	if begins(len(c.open.events)) {
		c.at = notBefore(c.at, now) // one time for the whole block, so that a replay sees what decide saw
	}
	d := &c.decision
	d.reset(c.name, c.head.Seq+1)
	for _, t := range c.tables {
		t.base().seen = 0
	}
	c.machine.Decide(c.at, cmd, d)
	a := Answer{done: done, reply: d.reply}
	led := len(d.events) > 0 // to something that has to be durable first
	if err := c.append(d.events); err != nil {
		d.after, d.err, led = nil, err, false
	} else {
		c.note(d)
	}
	if d.after != nil {
		a.reply = d.after()
	}
	if d.err != nil {
		a.err = d.err
	}
	c.pulse++
	switch {
	case toldAtOnce():
		c.told = append(c.told, a)
	case !led && durable(c.seen(), c.durable.Seq):
		c.reads = append(c.reads, a)
	case len(c.open.events) > 0:
		c.open.answers = append(c.open.answers, a)
	default:
		c.flight.reads = append(c.flight.reads, a)
	}
}

// seen returns the latest block that changed a row which the last decision has read. What read only rows that are durable as
// they are need not wait for a block that changes others, nor hear of a disk that is full (rule B2).
func (c *Core) seen() (seq uint64) {
	for _, t := range c.tables {
		seq = max(seq, t.base().seen)
	}
	return seq
}

// stamp says which block the rows are changed for from now on.
func (c *Core) stamp(seq uint64) {
	for _, t := range c.tables {
		t.base().at = seq
	}
}

// append puts what was decided into the open block and applies it, or refuses all of it: no block may be too large to write.
func (c *Core) append(events []any) *fault.Error {
	if len(events) == 0 {
		return nil
	}
	if c.open.events == nil {
		c.open.events, c.open.answers = make([]journal.Event, 0, c.usual), make([]Answer, 0, c.usual)
	}
	before, size := len(c.open.events), 0
	for _, ev := range events {
		typ, body := c.machine.Encode(ev)
		if typ < FirstEventType {
			panic(fmt.Sprintf("book: %T has event type %d, and those below %d are the kernel's", ev, typ, FirstEventType))
		}
		c.open.events = append(c.open.events, journal.Event{Type: typ, Body: body})
		size += journal.EventSize(len(body))
	}
	if size > maxDecisionBytes || len(events) > maxDecisionEvents {
		clear(c.open.events[before:])
		c.open.events = c.open.events[:before]
		return fault.RequestTooLarge.New("it comes to %d bytes in %d events of book %s; at most %d bytes in %d events are written for one request",
			size, len(events), c.name, maxDecisionBytes, maxDecisionEvents)
	}
	c.open.size += size
	c.stamp(c.head.Seq + 1)
	for _, ev := range events {
		c.machine.Apply(c.at, c.head.Seq+1, ev)
		for _, t := range c.tables {
			t.settle()
		}
		if tenant, ok := c.machine.Public(ev); ok {
			c.open.public = count(c.open.public, tenant)
		}
	}
	return nil
}

// note keeps what the decision's events refer to for the commit of their block.
func (c *Core) note(d *Decision) {
	if len(d.notes) > 0 && len(d.events) == 0 {
		panic("book: " + c.name + " decided a note without an event that refers to it")
	}
	for _, n := range d.notes {
		c.open.notes = append(c.open.notes, n)
		c.open.size += len(n.ID) + len(n.Body)
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

// Await says that rows are going to be read aside. Those that come into memory meanwhile stay there, until Arrived is called
// for the same rows: a read that takes long finds them as they were when it began.
func (c *Core) Await(wants []Want) {
	for _, w := range wants {
		w.Table.base().await(w.Key)
	}
}

// Arrived puts the rows of a read into memory; rows is nil if it failed.
func (c *Core) Arrived(wants []Want, rows []any) {
	for i, w := range wants {
		if rows != nil {
			c.Install(w, rows[i])
		}
		w.Table.base().arrived(w.Key)
	}
}

// Install puts a fetched row into memory; raw is what the table's scan returned, nil where there is no such row.
func (c *Core) Install(w Want, raw any) { w.Table.install(w.Key, raw) }

// Sealable reports whether there is something to write and nothing in flight.
func (c *Core) Sealable() bool { return c.ended == nil && c.flight == nil && len(c.open.events) > 0 }

// Full reports whether the open block has reached its size limit, or as many answers wait as may: callers should wait, too.
func (c *Core) Full() bool {
	return c.open.size >= maxOpenBytes || len(c.open.events) >= maxOpenEvents || c.waiting() >= maxWaiting
}

// waiting returns how many answers wait that no seal has bounded. While a block cannot be written they wait for it, also
// those of callers who have gone.
func (c *Core) waiting() int {
	n := len(c.reads) + len(c.open.answers)
	if c.flight != nil {
		n += len(c.flight.reads)
	}
	return n
}

const (
	maxOpenBytes  = 2 << 20
	maxOpenEvents = 16384
	maxWaiting    = 65536

	// A decision is taken while the block is not full yet, so both together have to fit the journal's limits.
	maxDecisionBytes  = journal.MaxBlockBytes - maxOpenBytes - 4096 // the rest is the block's own and the kernel's
	maxDecisionEvents = journal.MaxEvents - maxOpenEvents - 1
)

// Seal closes the open block and returns it, to be written. salt makes the leaves of the block's tree unguessable.
// With snapshot, the state as of this block is encoded beside it, to be saved once the block is durable.
func (c *Core) Seal(salt [16]byte, snapshot bool) *journal.Block {
	b := &journal.Block{
		Book: c.name, Seq: c.head.Seq + 1, Epoch: c.head.Epoch, At: c.at, Prev: c.head.Hash,
		Salt: salt, Events: c.open.events, Notes: notesOf(c),
	}
	journal.Seal(b)
	c.head.Seq, c.head.Hash, c.sealed = b.Seq, b.Hash, b.At
	answers := c.open.answers
	if len(c.reads) > 0 { // what waits for a check of the head goes with the block: that the block could be appended is the check
		answers = append(c.reads, answers...)
	}
	c.flight = &flight{block: b, answers: answers, public: c.open.public}
	c.usual = max(len(b.Events), c.usual*7/8)
	c.open, c.reads = openBlock{}, nil
	if snapshot && c.saving == nil {
		c.flight.save = c.snapshot()
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

// Landed says that the block in flight is durable: its answers may be told. It returns the public events in it and the
// snapshot that goes with it, if one was taken. After the core has ended it does nothing.
func (c *Core) Landed() ([]PublicCount, *SaveSet) {
	f := c.flight
	if f == nil {
		return nil, nil
	}
	c.flight = nil
	c.durable = f.block.Head()
	if len(c.told) == 0 {
		c.told = f.answers
	} else {
		c.told = append(c.told, f.answers...)
	}
	// The append may have been over before these were decided, and another writer may have come in between.
	c.reads = append(c.reads, f.reads...)
	return f.public, f.save
}

// Ready takes the answers that were decided on durable state and led to no event. On a store that another process
// may write to, the head has to be checked before they are told (rule B4).
func (c *Core) Ready() []Answer {
	out := c.reads
	c.reads = nil
	return out
}

// Answers takes the answers that may be told. A done may submit the next command.
func (c *Core) Answers() []Answer {
	out := c.told
	c.told = nil
	return out
}

// Fence says that another writer has taken the book over: every caller who waits hears "unknown", and so does
// everyone who comes later. Memory must not be used again.
func (c *Core) Fence() { c.End(fault.Fenced.New("")) }

// End drops what is not known to be durable: every caller who waits hears why, and so does everyone who comes later.
// why must be a fault whose outcome is unknown. Only the first call counts.
func (c *Core) End(why *fault.Error) {
	if c.ended != nil {
		return
	}
	c.ended = why
	waiting := append(c.reads, c.open.answers...)
	if c.flight != nil {
		waiting = append(append(waiting, c.flight.answers...), c.flight.reads...)
	}
	c.reads, c.open, c.flight = nil, openBlock{}, nil
	for _, a := range waiting {
		c.told = append(c.told, Answer{done: a.done, err: why})
	}
}

// Ended returns why nothing is answered any more, nil while the core works.
func (c *Core) Ended() *fault.Error { return c.ended }

// Fenced reports whether the book was taken over.
func (c *Core) Fenced() bool { return c.ended != nil && c.ended.Code == fault.Fenced }

// Due returns the commands for rows whose time has come at now, at most limit of them. Rows that have to be fetched
// before one can tell are returned as wants; call again after Install. A command that fails comes up again after some
// seconds.
func (c *Core) Due(now clock.Micros, limit int) (cmds []any, wants []Want) {
	for _, t := range c.tables {
		b := t.base()
		var later []*dueAt
		for len(cmds)+len(wants) < limit {
			d := b.due.pop(now)
			if d == nil {
				break
			}
			if !t.resident(d.key) {
				later = append(later, d)
				wants = append(wants, Want{Table: t, Key: d.key})
				continue
			}
			if !t.dueNow(d, now) {
				continue
			}
			if cmd := c.machine.Expire(t, d.key); cmd != nil {
				cmds = append(cmds, cmd)
			}
		}
		for _, d := range later {
			b.due.push(d)
		}
	}
	return cmds, wants
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

// Ahead says until when due times have to be known. Those of rows that are in memory and not yet saved are noted from
// now on; call AddDue for those that the tables have.
func (c *Core) Ahead(t Table, until clock.Micros) {
	b := t.base()
	if b.timed && until > b.due.horizon {
		b.due.horizon = until
		t.expectUnsaved()
	}
}

// AddDue says that the tables have a row of t which is due at the given time.
func (c *Core) AddDue(t Table, k Key, at clock.Micros) {
	if !t.expect(k) {
		t.base().due.push(&dueAt{at: at, key: k})
	}
}

// Snapshot encodes what has changed since the last one, if the whole state is durable right now. It returns nil if
// it is not (then ask Seal for one), if nothing changed, or while another save is under way.
func (c *Core) Snapshot() *SaveSet {
	if c.ended != nil || c.saving != nil || underWay(c) || len(c.open.events) > 0 || c.head.Seq == c.saved.Seq {
		return nil
	}
	return c.snapshot()
}

// Unsaved returns how many blocks the state tables are behind the journal.
func (c *Core) Unsaved() uint64 { return c.durable.Seq - c.saved.Seq }

func (c *Core) snapshot() *SaveSet {
	s := &SaveSet{Book: c.name, Volume: c.volume, From: c.saved, To: c.head, At: c.sealed, Fold: c.fold}
	for _, t := range c.tables {
		var ts TableSave
		t.snapshot(&ts)
		s.Newest = max(s.Newest, t.base().newest)
		if len(ts.Keys) > 0 {
			s.Tables = append(s.Tables, ts)
		}
	}
	s.Whole, c.whole = c.whole, false
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

// Stands says that the tables stand for block h, which is one of this book's and not the one a snapshot started from:
// the writer before has saved once more. Everything that changed since is in memory and not saved.
func (c *Core) Stands(h journal.Head) {
	c.saved, c.whole = h, true
	if c.saving != nil {
		c.saving.From, c.saving.Whole, c.whole = h, true, false
	}
}

// Evict drops cold rows beyond what l allows for each table. Those made within l.Keep before now stay as long as there are
// less than twice as many.
func (c *Core) Evict(l Limits, now clock.Micros) {
	for _, t := range c.tables {
		limit := l.Rows
		if t.base().passing {
			limit = min(limit, l.Passing)
		}
		if l.part > 0 {
			limit = min(limit, max(leastRows, t.count()*l.part/1000))
		}
		t.evict(limit, now-l.Keep)
	}
}

// leastRows stay in memory of each table, however much others need: what is at work right now.
const leastRows = 100

// Forget drops every row that is saved.
func (c *Core) Forget() {
	for _, t := range c.tables {
		t.forget()
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

// UnsavedRows returns how many rows in memory are not in the tables yet.
func (c *Core) UnsavedRows() int {
	n := 0
	for _, t := range c.tables {
		n += t.unsaved()
	}
	return n
}

// Restore empties memory and sets the core to what the tables say.
func (c *Core) Restore(p Position) {
	c.head, c.durable, c.saved, c.at, c.sealed, c.fold = p.Head, p.Head, p.Head, p.At, p.At, p.Fold
	for _, t := range c.tables {
		t.restore(p.Head.Seq > 0)
		b := t.base()
		b.newest, b.fresh = p.Newest, 0
		if p.Newest > 0 {
			b.fresh = p.Newest + clock.Millisecond
		}
	}
}

// Replay applies a block of the journal, after the rows it touches were installed. Call with the same block until it
// returns no wants.
func (c *Core) Replay(b *journal.Block) ([]Want, error) {
	if b.Seq != c.head.Seq+1 || b.Prev != c.head.Hash {
		return nil, fault.DataDamaged.New("book %s: block %d does not follow block %d", c.name, b.Seq, c.head.Seq)
	}
	events, err := c.events(b)
	if err != nil {
		return nil, err
	}
	c.touch.missing, c.touch.event = c.touch.missing[:0], true
	for _, ev := range events {
		c.machine.TouchEvent(ev, &c.touch)
	}
	c.touch.event = false
	if len(c.touch.missing) > 0 {
		return append([]Want(nil), c.touch.missing...), nil
	}
	c.stamp(b.Seq)
	for i, ev := range events {
		if !replays(i) {
			continue
		}
		c.machine.Apply(b.At, b.Seq, ev)
		for _, t := range c.tables {
			t.settle()
		}
	}
	c.at, c.sealed = max(c.at, b.At), b.At
	c.head, c.durable = b.Head(), b.Head()
	return nil, nil
}

// events decodes a block for the machine. It refuses what a later program has written.
func (c *Core) events(b *journal.Block) ([]any, error) {
	events := make([]any, 0, len(b.Events))
	for i, e := range b.Events {
		if e.Type == openedType {
			if err := c.checkOpened(e); err != nil {
				return nil, err
			}
			continue
		}
		ev, err := c.decode(e)
		if err != nil {
			return nil, fault.DataDamaged.New("book %s: block %d event %d is not understood by this version; use the version that wrote it",
				c.name, b.Seq, i).Because(err)
		}
		events = append(events, ev)
	}
	return events, nil
}

func (c *Core) decode(e journal.Event) (any, error) {
	if e.Type < FirstEventType {
		return nil, fmt.Errorf("event type %d of the kernel is not known", e.Type)
	}
	return c.machine.Decode(e.Type, e.Body)
}

// TakeOver raises the epoch and opens a block that says so. It must be the first block a writer seals (rule B4).
func (c *Core) TakeOver(now clock.Micros) {
	c.at = max(c.at, now)
	c.head.Epoch = nextEpoch(c.head.Epoch)
	c.fold = max(c.fold, c.machine.Version())
	o := opened{Epoch: c.head.Epoch, At: c.at, Version: c.machine.Version()}
	c.open.events = append(c.open.events, journal.Event{Type: openedType, Body: o.encode()})
}

func (c *Core) checkOpened(e journal.Event) error {
	o, err := decodeOpened(e.Body)
	if err != nil {
		return fault.DataDamaged.New("book %s: %v", c.name, err)
	}
	c.fold = max(c.fold, o.Version)
	return c.checkFold()
}

// checkFold refuses a book that a later program has written.
func (c *Core) checkFold() error {
	if c.fold > c.machine.Version() {
		return fault.DataDamaged.New("book %s was written by fold version %d and this program knows %d; run the newer program",
			c.name, c.fold, c.machine.Version())
	}
	return nil
}

// Describe returns a line for logs.
func (c *Core) Describe() string {
	return fmt.Sprintf("%s at block %d, epoch %d", c.name, c.head.Seq, c.head.Epoch)
}
