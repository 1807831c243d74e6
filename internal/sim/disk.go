package sim

import (
	"context"
	"slices"

	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/journal"
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

// tables are the state tables, with the index that the sweep reads: which payments are unfinished.
type tables struct {
	*book.MemState
	unfinished map[place]bool
}

type place struct {
	volume int
	key    book.Key
}

func newTables() *tables {
	return &tables{MemState: book.NewMemState(), unfinished: make(map[place]bool)}
}

const (
	paymentTable   = "payments"
	resourceColumn = 2 // kind, status, resource, …
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
		if s.Args[i*s.Width()+resourceColumn] == int64(payment.WorkInProgress) {
			t.unfinished[place{volume, k}] = true
		} else {
			delete(t.unfinished, place{volume, k})
		}
	}
}

// Wipe implements book.State.
func (t *tables) Wipe(ctx context.Context, name string, volume int, list []book.Table) error {
	for p := range t.unfinished {
		if p.volume == volume && book.Name("payment", volume) == name {
			delete(t.unfinished, p)
		}
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
