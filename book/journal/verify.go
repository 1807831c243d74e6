package journal

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/koban-pay/koban/internal/clock"
)

// Verify reads all of a book, from its first block to its head, and recomputes every hash and link. It returns the head.
// progress, if not nil, is told the number of the last block that was found right, every so often.
//
// Errors: fault.DataDamaged, with a *Damage that names the first block that is not as it must be; what the store returns.
// What Verify cannot see is a tail that was cut off together with the head, or a chain that was written anew: Compare with
// an exported checkpoint does.
func (j *Journal) Verify(ctx context.Context, book string, progress func(seq uint64)) (Head, error) {
	head, err := j.Head(ctx, book)
	if err != nil {
		return head, err
	}
	var last Hash
	for seq := uint64(0); seq < head.Seq; {
		blocks, err := j.Read(ctx, book, seq+1, maxRead)
		if err != nil {
			return head, err
		}
		if len(blocks) == 0 {
			return head, damaged(book, seq+1, "it is missing")
		}
		if blocks[0].Prev != last {
			return head, damaged(book, seq+1, "it does not follow the block before it")
		}
		end := blocks[len(blocks)-1]
		seq, last = end.Seq, end.Hash
		if progress != nil {
			progress(seq)
		}
	}
	return head, nil
}

// Strays returns the books that have blocks but no head; there are none in a whole journal.
func (j *Journal) Strays(ctx context.Context) (books []string, err error) {
	err = j.db.Read(ctx, func(tx *sql.Tx) error {
		books, err = strayBooks(ctx, tx)
		return err
	})
	return books, err
}

// Checkpoint says what the heads were at some time. Signed, and kept where the platform's operator cannot change it, it
// makes a journal that was cut or written anew since visible (rule B13). Its JSON form is {"at":…,"heads":[{"book":…,
// "seq":…,"hash":…}],"signer":…,"signature":…} with hashes in hexadecimal.
type Checkpoint struct {
	At        clock.Micros     `json:"at"`
	Heads     []CheckpointHead `json:"heads"`
	Signer    Hex              `json:"signer"`    // the ed25519 public key
	Signature Hex              `json:"signature"` // ed25519 (RFC 8032) over Message
}

// CheckpointHead is one book's head in a checkpoint.
type CheckpointHead struct {
	Book string `json:"book"`
	Seq  uint64 `json:"seq"`
	Hash Hex    `json:"hash"`
}

// Hex is bytes whose text is hexadecimal.
type Hex []byte

// MarshalText returns the text.
func (h Hex) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

// UnmarshalText reads the text.
func (h *Hex) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

const checkpointTag = "koban checkpoint 1\n"

// Message returns the bytes that are signed: tag, time, number of heads, and of each its book's length and name, number
// and hash. Integers are big-endian.
func (c Checkpoint) Message() []byte {
	out := binary.BigEndian.AppendUint64([]byte(checkpointTag), uint64(c.At))
	out = binary.BigEndian.AppendUint32(out, uint32(len(c.Heads)))
	for _, h := range c.Heads {
		out = binary.BigEndian.AppendUint16(out, uint16(len(h.Book)))
		out = append(out, h.Book...)
		out = binary.BigEndian.AppendUint64(out, h.Seq)
		out = append(out, h.Hash...)
	}
	return out
}

// Export returns a checkpoint of every book, made at at and signed with key.
func (j *Journal) Export(ctx context.Context, at clock.Micros, key ed25519.PrivateKey) (Checkpoint, error) {
	heads, err := j.Heads(ctx)
	if err != nil {
		return Checkpoint{}, err
	}
	c := Checkpoint{At: at, Signer: Hex(key.Public().(ed25519.PublicKey)), Heads: []CheckpointHead{}}
	for _, h := range heads {
		c.Heads = append(c.Heads, CheckpointHead{h.Book, h.Seq, Hex(h.Hash[:])})
	}
	c.Signature = ed25519.Sign(key, c.Message())
	return c, nil
}

// ErrSignature says that a checkpoint was not signed by the expected key, or was changed since.
var ErrSignature = errors.New("journal: the checkpoint's signature does not hold")

// Check says whether c was signed by key. It needs no journal.
func (c Checkpoint) Check(key ed25519.PublicKey) error {
	for i, h := range c.Heads {
		if len(h.Hash) != len(Hash{}) || len(h.Book) > MaxBookName || i > 0 && strings.Compare(c.Heads[i-1].Book, h.Book) >= 0 {
			return ErrSignature
		}
	}
	if !bytes.Equal(c.Signer, key) || !ed25519.Verify(key, c.Message(), c.Signature) {
		return ErrSignature
	}
	return nil
}

// Compare says whether the journal still holds everything that c, signed by key, says it held. Together with Verify of
// each book that proves that nothing up to the checkpoint was changed, removed or cut off.
//
// Errors: ErrSignature; fault.DataDamaged, with a *Damage, for the first book that lacks what c names; what the store
// returns.
func (j *Journal) Compare(ctx context.Context, c Checkpoint, key ed25519.PublicKey) error {
	if err := c.Check(key); err != nil {
		return err
	}
	for _, h := range c.Heads {
		if h.Seq == 0 {
			continue
		}
		blocks, err := j.Read(ctx, h.Book, h.Seq, 1)
		if err != nil {
			return err
		}
		if len(blocks) == 0 {
			return damaged(h.Book, h.Seq, "the checkpoint of %s names it, but the book ends before it: its tail was cut off", c.At)
		}
		if !bytes.Equal(blocks[0].Hash[:], h.Hash) {
			return damaged(h.Book, h.Seq, "the checkpoint of %s has another hash for it: the book was written anew", c.At)
		}
	}
	return nil
}

// String returns the head as a person writes it.
func (h Head) String() string { return fmt.Sprintf("%s#%d %x", h.Book, h.Seq, h.Hash[:8]) }
