package journal

import (
	"encoding/binary"
	"fmt"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
)

// Limits of what one block may hold. The writer of a book cuts its batches to them before it seals.
const (
	MaxBlockBytes = 4 << 20 // of Block.Size
	MaxEvents     = 1 << 16
	MaxBookName   = 64 // bytes, of a-z 0-9 - _ . /
)

// Format is the version of the stored bytes and of the hash rule. It stands in every block.
const Format = 1

// Hash is SHA-256 of a block (see Block.Hash).
type Hash = [32]byte

// Event is one fact. The journal does not look inside.
type Event struct {
	Type uint32
	Body []byte
}

// Block is what one commit adds to one book.
type Block struct {
	Book  string
	Seq   uint64       // 1, 2, 3 … without gaps
	Epoch uint64       // the writer's; never lower than the block's before
	At    clock.Micros // the book's clock when the block was decided
	Prev  Hash         // the hash of block Seq-1; zeros for Seq 1
	Salt  [16]byte     // random; hides each event's hash from those who are shown another event of the block
	// Events are in the order in which they were decided. There is at least one.
	Events []Event
	// Notes are written in the commit of the block, and only if the block is; they are no part of it, and are not read with it.
	Notes []Note

	Hash Hash // set by Seal; set and checked by Decode

	body []byte // the stored bytes, from Seal or Decode
}

// Head is the last block of a book. A book without blocks has Seq 0 and zeros.
type Head struct {
	Book  string
	Seq   uint64
	Hash  Hash
	Epoch uint64
}

// Head returns the head that the book has once b is appended.
func (b *Block) Head() Head { return Head{Book: b.Book, Seq: b.Seq, Hash: b.Hash, Epoch: b.Epoch} }

// EventSize returns how many bytes an event with a body of n bytes adds to a block, at most.
func EventSize(n int) int { return n + 2*binary.MaxVarintLen32 }

// Size returns the most bytes that b can take once stored.
func (b *Block) Size() int {
	n := fixedBytes + binary.MaxVarintLen32
	for _, e := range b.Events {
		n += EventSize(len(e.Body))
	}
	return n
}

// Seal fixes b: it computes the stored bytes and the hash. All other fields must be set, and must not change afterwards.
// It panics if b breaks a rule that its writer has to keep: a name that CheckBook refuses, no events, more than
// MaxEvents or MaxBlockBytes, a sequence number of 0, a first block with a predecessor.
func Seal(b *Block) {
	if err := b.check(); err != nil {
		panic("journal: seal: " + err.Error())
	}
	b.body = encode(b)
	b.Hash = hash(b, treeRoot(b))
}

func (b *Block) check() error {
	switch {
	case CheckBook(b.Book) != nil:
		return CheckBook(b.Book)
	case b.Seq == 0:
		return fmt.Errorf("blocks are numbered from 1")
	case b.Seq == 1 && b.Prev != Hash{}:
		return fmt.Errorf("the first block has no predecessor")
	case len(b.Events) == 0:
		return fmt.Errorf("a block holds at least one event")
	case len(b.Events) > MaxEvents:
		return fmt.Errorf("%d events, at most %d", len(b.Events), MaxEvents)
	case b.Size() > MaxBlockBytes:
		return fmt.Errorf("%d bytes, at most %d", b.Size(), MaxBlockBytes)
	}
	return nil
}

// CheckBook says whether name can name a book: 1 to MaxBookName of a-z 0-9 - _ . /
func CheckBook(name string) error {
	if len(name) == 0 || len(name) > MaxBookName {
		return fmt.Errorf("the name of a book has 1 to %d characters, not %d", MaxBookName, len(name))
	}
	for i := range len(name) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == '/' {
			continue
		}
		return fmt.Errorf("the name of a book has only a-z 0-9 - _ . /: %q", name)
	}
	return nil
}

// Damage says where the record is damaged. It is the cause of a fault.DataDamaged; find it with errors.As.
type Damage struct {
	Book string
	Seq  uint64 // the first block that is not as it must be
	What string
}

// Error says what is wrong, and what to do.
func (d *Damage) Error() string { return fmt.Sprintf("book %s, block %d: %s", d.Book, d.Seq, d.What) }

func damaged(book string, seq uint64, format string, args ...any) error {
	d := &Damage{Book: book, Seq: seq, What: fmt.Sprintf(format, args...)}
	return fault.DataDamaged.New("the journal is damaged").Because(d)
}
