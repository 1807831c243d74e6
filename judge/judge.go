package judge

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/internal/attic"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// Violation says that something that must hold does not.
type Violation struct {
	Invariant string // such as "I3"
	Book      string // that shows it; "" if it is between books
	Seq       uint64 // number of the block, 0 if it is none
	Subject   string // the payment or account, as people know it; "" if there is none
	Message   string // one sentence, with the figures
}

// String returns the violation on one line.
func (v Violation) String() string {
	var s strings.Builder
	s.WriteString(v.Invariant + ": ")
	if v.Book != "" {
		s.WriteString(v.Book)
		if v.Seq > 0 {
			fmt.Fprintf(&s, " block %d", v.Seq)
		}
		s.WriteString(": ")
	}
	if v.Subject != "" && !strings.Contains(v.Message, v.Subject) {
		s.WriteString(v.Subject + ": ")
	}
	return s.String() + v.Message
}

// Config says how a judge works. Volumes and Found are required.
type Config struct {
	Volumes  int             // how many volumes each service's books are cut into
	IDs      *id.Codec       // names accounts and payments for people; nil: hexadecimal digits
	Found    func(Violation) // is told of every violation
	Keep     clock.Micros    // how long what has ended is kept in full, by the time of blocks; 0: for ever
	Remember int             // of how many rows that ended a digest is kept, for Row to compare with
	Forget   int             // of how many payments that ended something is kept, before all that ended is forgotten; 0: never
	Full     int             // how many payments that ended are kept in full at most, however short Keep is; 0: no limit
	// Attic takes the accounts that are not in use; nil: all are kept in memory. It is the judge's alone.
	Attic *attic.Attic
	// InUse is how many accounts of a service are in memory, once it has so many: twice as many at most. 0: 50,000.
	InUse int
	// Deep says that whatever ended goes to the attic, too, and comes back when something happens to it: nothing is forgotten, and
	// every row of every table is shown to Row once, after the last block.
	Deep bool
}

// inUse returns how many accounts of a ledger are in memory, at least, before the others go to the attic.
func (j *Judge) inUse() int { return cmp.Or(j.InUse, 50_000) }

// Judge is the judge of one platform's books. It is for one goroutine.
type Judge struct {
	Config
	books     map[string]*ledgerBook
	witnesses map[string]Witness
	tables    map[string]*Table
	checked   map[string]int64

	ledgers  map[string]*Ledger
	branches map[book.Key]*branch
	payments map[book.Key]*pay
	charges  map[book.Key][]gives // charges that ended before Keep, and may be refunded
	keys     records              // callers' keys, and what they stand for
	ended    map[digest]struct{}  // payments that are not kept in full any more
	past     *attic.Shelf         // payments that ended, with Deep
	rows     records              // rows that ended
	dropped  int64                // rows that were not remembered for want of room

	touched map[book.Key]struct{} // payments, since the last cut
	aging   []aged
	stuck   []aged          // ended, and are not right yet
	owed    map[purse]int64 // what the payments say that the platform's own accounts have
	feeds   map[string]*following
	now     clock.Micros // the latest time of any block
	since   clock.Micros // ids made until then may be older than what is judged; 0: everything is judged
	based   bool         // some book was not judged from its beginning
	sweep   uint32
	changed map[string]map[RowKey]struct{} // by book: rows that the last blocks changed
	seed    maphash.Seed
}

// ledgerBook is one book, as far as it was fed.
type ledgerBook struct {
	journal.Head
	at      clock.Micros
	service string
	volume  int
	base    uint64 // the block it was judged from; 0: from the beginning
}

// New returns a judge that has seen nothing.
func New(c Config) *Judge {
	j := &Judge{
		Config: c, books: map[string]*ledgerBook{}, witnesses: map[string]Witness{}, tables: map[string]*Table{},
		checked: map[string]int64{}, ledgers: map[string]*Ledger{}, branches: map[book.Key]*branch{}, payments: map[book.Key]*pay{},
		charges: map[book.Key][]gives{}, ended: map[digest]struct{}{},
		touched: map[book.Key]struct{}{}, owed: map[purse]int64{}, feeds: map[string]*following{}, changed: map[string]map[RowKey]struct{}{},
		seed: maphash.MakeSeed(),
	}
	j.keys, j.rows = &inMemory{j, map[digest]digest{}}, &inMemory{j, map[digest]digest{}}
	if j.Deep {
		j.past = j.Attic.Shelf("payments")
		j.rows = &inAttic{attic: j.Attic, prefix: "rows ", tables: map[string]*attic.Shelf{}}
		j.keys = &inAttic{attic: j.Attic, prefix: "keys ", tables: map[string]*attic.Shelf{}, clash: func(table string, k book.Key) {
			j.check(false, "I21", "", Name{}, "the key %x of %s was bound twice", k.ID[:4], table)
		}}
	}
	for service, make := range witnesses {
		w := make(j)
		j.witnesses[service] = w
		for _, t := range w.Tables() {
			t.service = service
			j.tables[t.Name] = t
		}
	}
	return j
}

// open returns the book of a name.
func (j *Judge) open(name string) *ledgerBook {
	b := j.books[name]
	if b == nil {
		b = &ledgerBook{Head: journal.Head{Book: name}}
		if i := strings.LastIndexByte(name, '/'); i > 0 {
			b.service = name[:i]
			_, _ = fmt.Sscanf(name[i+1:], "%d", &b.volume) // 0 where there is none
		}
		j.books[name] = b
	}
	return b
}

// Start says that a book is judged from a block on; what came before is believed as its tables have it (see Row). It is
// called before the book's first Block, if at all.
func (j *Judge) Start(h journal.Head, at clock.Micros) {
	b := j.open(h.Book)
	b.Head, b.base, b.at = h, h.Seq, at
	j.since, j.based = max(j.since, at+apart), true
}

// apart is how far the clocks of two books may lie apart.
const apart = clock.Minute

// old reports whether a payment may be older than what is judged.
func (j *Judge) old(x id.ID) bool { return j.since > 0 && x.Time() <= j.since }

// Head returns how far a book was fed.
func (j *Judge) Head(name string) journal.Head { return j.open(name).Head }

// Checked returns how often each invariant was checked.
func (j *Judge) Checked() map[string]int64 { return j.checked }

// Block judges the next block of its book (I7, and what its events say). The hash must have been recomputed by whoever
// read the block, as journal.Journal.Read does.
func (j *Judge) Block(b *journal.Block) {
	at := j.open(b.Book)
	e := &Event{j: j, at: at, Seq: b.Seq, At: b.At}
	ok := e.Check(b.Seq == at.Seq+1 && b.Prev == at.Hash && b.Epoch >= at.Epoch && b.At >= at.at, "I7", Name{},
		"block %d of epoch %d at %v follows block %d of epoch %d at %v: expected the next one, chained to it, no earlier",
		b.Seq, b.Epoch, b.At, at.Seq, at.Epoch, at.at)
	opened := slices.ContainsFunc(b.Events, func(ev journal.Event) bool { return ev.Type < book.FirstEventType })
	e.Check(opened == (b.Epoch > at.Epoch), "I7", Name{}, "block %d is of epoch %d, after %d; a writer raises it once, with the block that takes over", b.Seq, b.Epoch, at.Epoch)
	if !ok && b.Seq <= at.Seq {
		return // it has been judged, or stands where another one was
	}
	at.Head, at.at, j.now = b.Head(), b.At, max(j.now, b.At)
	j.numbered(at, b.Seq, b.Hash)
	if strings.HasSuffix(at.service, feedSuffix) {
		j.followed(e, b)
		return
	}
	w := j.witnesses[at.service]
	if w == nil {
		return
	}
	for _, ev := range b.Events {
		if ev.Type < book.FirstEventType {
			continue
		}
		if err := w.Event(e, ev.Type, ev.Body); err != nil {
			e.Wrong("I24", Name{}, "event of type %d cannot be read: %v", ev.Type, err)
		}
	}
}

// Event is the event that is being judged: where it stands.
type Event struct {
	j   *Judge
	at  *ledgerBook
	Seq uint64       // of the block
	At  clock.Micros // of the block
}

// Volume returns the volume of the event's book.
func (e *Event) Volume() int { return e.at.volume }

// based reports whether the book was not judged from its beginning, so that what is unknown may be older.
func (e *Event) based() bool { return e.at.base > 0 }

// Check counts that an invariant was checked, and says what is wrong unless ok, which it returns.
func (e *Event) Check(ok bool, invariant string, subject Name, format string, args ...any) bool {
	e.j.checked[invariant]++
	if !ok {
		e.Wrong(invariant, subject, format, args...)
	}
	return ok
}

// Wrong says what is wrong.
func (e *Event) Wrong(invariant string, subject Name, format string, args ...any) {
	e.j.Found(Violation{invariant, e.at.Book, e.Seq, subject.String(), fmt.Sprintf(format, args...)})
}

// check is Event.Check for what is no event's: book may be "".
func (j *Judge) check(ok bool, invariant, book string, subject Name, format string, args ...any) {
	j.checked[invariant]++
	if !ok {
		j.Found(Violation{Invariant: invariant, Book: book, Subject: subject.String(), Message: fmt.Sprintf(format, args...)})
	}
}

// Name is what people call something. It is put into words only where something is wrong.
type Name struct {
	j      *Judge
	prefix id.Prefix
	id     id.ID
}

// Account names an account.
func (j *Judge) Account(x id.ID) Name { return Name{j, id.Account, x} }

// Payment names the payment that a branch is a part of.
func (j *Judge) Payment(x id.ID) Name { return Name{j, id.Payment, x.Root()} }

// String returns the public text of the id.
func (n Name) String() string {
	switch {
	case n.j == nil:
		return ""
	case n.j.IDs == nil:
		return fmt.Sprintf("%s %x", n.prefix, n.id)
	}
	return n.j.IDs.Encode(n.prefix, n.id)
}

// digest stands for something that is not kept.
type digest uint64

func (j *Judge) digest(table string, k book.Key, parts ...string) digest {
	var h maphash.Hash
	h.SetSeed(j.seed)
	_, _ = h.WriteString(table) // a hash takes everything
	_, _ = h.Write([]byte{0, byte(k.Tenant >> 24), byte(k.Tenant >> 16), byte(k.Tenant >> 8), byte(k.Tenant)})
	_, _ = h.Write(k.ID[:])
	for _, p := range parts {
		_, _ = h.WriteString(p)
		_ = h.WriteByte(0)
	}
	return digest(h.Sum64())
}

// Key judges that a caller's key was bound: to one thing, once (I21). The row of the table of keys is what it says.
func (e *Event) Key(table string, tenant id.Tenant, key, target []byte, print []byte) {
	if len(key) != len(id.ID{}) {
		return
	}
	j, k := e.j, book.Key{Tenant: tenant, ID: id.ID(key)}
	bound := j.keys.bind(table, k, j.digest("", k, hex(target), hex(print)))
	e.Check(!bound, "I21", Name{}, "the key %x was bound before", key[:4])
}

// sortedKeys returns the keys of a map in order, so that what is found is always told in the same order.
func sortedKeys[V any](m map[book.Key]V) []book.Key {
	out := make([]book.Key, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.SortFunc(out, compareKeys)
	return out
}

func compareKeys(a, b book.Key) int {
	if a.Tenant != b.Tenant {
		return int(a.Tenant) - int(b.Tenant)
	}
	return a.ID.Compare(b.ID)
}
