package sim

import (
	"context"
	"maps"
	"slices"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/payment"
)

// disk is what survives every crash: the journal and the state tables of the whole platform.
type disk struct {
	log    *book.MemLog
	tables *tables
	// landed is told of every block when it becomes durable, once.
	landed func(*journal.Block)
}

func newDisk(landed func(*journal.Block)) *disk {
	return &disk{log: book.NewMemLog(), tables: newTables(), landed: landed}
}

// write appends a block, or finds it there already: offering the same block again is safe.
func (d *disk) write(b *journal.Block) (fenced bool) {
	ctx := context.Background()
	before, _ := d.log.Head(ctx, b.Book)
	fate, _ := d.log.Write(ctx, journal.Batch{Blocks: []*journal.Block{b}})
	if !fate.Fenced[0] && before.Seq < b.Seq {
		d.landed(b)
	}
	return fate.Fenced[0]
}

// stale reports whether h is not the head of its book any more.
func (d *disk) stale(h journal.Head) bool {
	fate, _ := d.log.Write(context.Background(), journal.Batch{Check: []journal.Head{h}})
	return fate.Stale[0]
}

// has reports whether the journal has the block that h names.
func (d *disk) has(h journal.Head) bool {
	blocks, _ := d.log.Read(context.Background(), h.Book, h.Seq, 1)
	return h.Seq > 0 && len(blocks) == 1 && blocks[0].Hash == h.Hash
}

// tables are the state tables, with the indexes that the sweep and lists of payments read.
type tables struct {
	*book.MemState
	unfinished map[place]bool
	payments   map[place]id.ID // and their merchants
}

type place struct {
	volume int
	key    book.Key
}

func newTables() *tables {
	return &tables{MemState: book.NewMemState(), unfinished: make(map[place]bool), payments: make(map[place]id.ID)}
}

const (
	paymentTable   = "payments" // kind, status, resource, currency, amount, captured, refunded, customer, merchant …
	resourceColumn = 2
	merchantColumn = 8
)

// Save implements book.State.
func (t *tables) Save(ctx context.Context, sets []*book.SaveSet) ([]string, error) {
	lost, err := t.MemState.Save(ctx, sets)
	for _, set := range sets {
		for i := range set.Tables {
			if s := &set.Tables[i]; s.Name() == paymentTable && !slices.Contains(lost, set.Book) {
				t.index(set.Volume, s)
			}
		}
	}
	return lost, err
}

func (t *tables) index(volume int, s *book.TableSave) {
	for i, k := range s.Keys {
		at, row := place{volume, k}, s.Args[i*s.Width():(i+1)*s.Width()]
		if merchant, ok := row[merchantColumn].([]byte); ok {
			t.payments[at] = id.ID(merchant)
		}
		if row[resourceColumn] == int64(payment.WorkInProgress) {
			t.unfinished[at] = true
		} else {
			delete(t.unfinished, at)
		}
	}
}

// list returns payments of a merchant, newest first, from the one before on.
func (t *tables) list(tenant id.Tenant, merchant, before id.ID, limit int) (ids []id.ID) {
	for at, m := range t.payments {
		if at.key.Tenant == tenant && m == merchant && (before.IsNil() || at.key.ID.Compare(before) < 0) {
			ids = append(ids, at.key.ID)
		}
	}
	slices.SortFunc(ids, func(a, b id.ID) int { return b.Compare(a) })
	return ids[:min(len(ids), limit)]
}

// Wipe implements book.State.
func (t *tables) Wipe(ctx context.Context, name string, volume int, list []book.Table) error {
	if book.Name("payment", volume) == name {
		maps.DeleteFunc(t.unfinished, func(p place, _ bool) bool { return p.volume == volume })
		maps.DeleteFunc(t.payments, func(p place, _ id.ID) bool { return p.volume == volume })
	}
	return t.MemState.Wipe(ctx, name, volume, list)
}

// open lists the unfinished payments of a volume, in order.
func (t *tables) open(volume int) (keys []book.Key) {
	for p := range t.unfinished {
		if p.volume == volume {
			keys = append(keys, p.key)
		}
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}

func compareKeys(a, b book.Key) int {
	if a.Tenant != b.Tenant {
		return int(a.Tenant) - int(b.Tenant)
	}
	return a.ID.Compare(b.ID)
}

// noise makes a generator of random numbers readable, for the source of ids.
type noise struct{ next func() uint64 }

func (n noise) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(n.next() >> 32)
	}
	return len(b), nil
}
