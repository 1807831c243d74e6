package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/bits"

	"github.com/koban-pay/koban/internal/clock"
)

// The first byte of what is hashed keeps leaves, nodes and salts apart (RFC 6962, section 2.1).
const (
	leafTag = 0x00
	nodeTag = 0x01
	saltTag = 0x02
)

const blockTag = "koban block\n"

// leafSalt returns the salt of event i: the first half of SHA-256 over the block's salt and i. Whoever is shown the salt
// of one event learns nothing about another's.
func leafSalt(block [16]byte, i int) [16]byte {
	var in [21]byte
	in[0] = saltTag
	copy(in[1:], block[:])
	binary.BigEndian.PutUint32(in[17:], uint32(i))
	sum := sha256.Sum256(in[:])
	return [16]byte(sum[:])
}

// appendLeaf appends what the hash of a leaf is taken of.
func appendLeaf(out []byte, salt [16]byte, e Event) []byte {
	out = append(out, leafTag)
	out = append(out, salt[:]...)
	out = binary.BigEndian.AppendUint32(out, e.Type)
	return append(out, e.Body...)
}

// leaves appends the hashes of the leaves to out.
func leaves(b *Block, out []Hash) []Hash {
	var room [512]byte // the events of a payment are shorter
	in := room[:0]
	for i, e := range b.Events {
		in = appendLeaf(in[:0], leafSalt(b.Salt, i), e)
		out = append(out, sha256.Sum256(in))
	}
	return out
}

// treeRoot returns the root of the tree of the block's events.
func treeRoot(b *Block) Hash {
	var room [64]Hash // most blocks have fewer events
	return root(leaves(b, room[:0]))
}

func node(left, right Hash) Hash {
	var in [65]byte
	in[0] = nodeTag
	copy(in[1:], left[:])
	copy(in[33:], right[:])
	return sha256.Sum256(in[:])
}

// root returns the Merkle tree hash of at least one leaf (RFC 6962, section 2.1). It overwrites leaves.
func root(leaves []Hash) Hash {
	// Pairing neighbours level by level, and carrying an odd last one up, gives the tree of the RFC.
	for n := len(leaves); n > 1; n = (n + 1) / 2 {
		for i := 0; i < n/2; i++ {
			leaves[i] = node(leaves[2*i], leaves[2*i+1])
		}
		if n%2 == 1 {
			leaves[n/2] = leaves[n-1]
		}
	}
	return leaves[0]
}

// header is what the hash of a block covers besides its events.
type header struct {
	book       string
	seq, epoch uint64
	at         clock.Micros
	prev       Hash
	count      int
}

// hash returns SHA-256 over tag, format, book, number, epoch, time, previous hash, count of events and Merkle root (rule
// B13, and the epoch).
func (h header) hash(root Hash) Hash {
	in := make([]byte, 0, len(blockTag)+2+MaxBookName+8+8+8+32+4+32)
	in = append(in, blockTag...)
	in = append(in, Format, byte(len(h.book)))
	in = append(in, h.book...)
	in = binary.BigEndian.AppendUint64(in, h.seq)
	in = binary.BigEndian.AppendUint64(in, h.epoch)
	in = binary.BigEndian.AppendUint64(in, uint64(h.at))
	in = append(in, h.prev[:]...)
	in = binary.BigEndian.AppendUint32(in, uint32(h.count))
	in = append(in, root[:]...)
	return sha256.Sum256(in)
}

func (b *Block) header() header {
	return header{b.Book, b.Seq, b.Epoch, b.At, b.Prev, len(b.Events)}
}

func hash(b *Block, root Hash) Hash { return b.header().hash(root) }

// Verify recomputes the hash of b from its contents and says whether it is b.Hash.
func (b *Block) Verify() error {
	if hash(b, treeRoot(b)) != b.Hash {
		return damaged(b.Book, b.Seq, "its hash is not the one it was stored with")
	}
	return nil
}

// Proof shows that one event is in a block, and nothing about the block's other events but how many there are.
type Proof struct {
	Book  string
	Seq   uint64
	Epoch uint64
	At    clock.Micros
	Prev  Hash
	Count int // of the block's events
	Index int // of the event shown, from 0
	Salt  [16]byte
	Event Event
	Path  []Hash // siblings from the leaf up
}

// Prove returns the proof of event i of b.
func (b *Block) Prove(i int) (Proof, error) {
	if i < 0 || i >= len(b.Events) {
		return Proof{}, errors.New("journal: there is no such event in the block")
	}
	p := Proof{
		Book: b.Book, Seq: b.Seq, Epoch: b.Epoch, At: b.At, Prev: b.Prev,
		Count: len(b.Events), Index: i, Salt: leafSalt(b.Salt, i), Event: b.Events[i],
	}
	level := leaves(b, nil)
	for n := len(level); n > 1; n = (n + 1) / 2 {
		if s := i ^ 1; s < n {
			p.Path = append(p.Path, level[s])
		}
		for j := 0; j < n/2; j++ {
			level[j] = node(level[2*j], level[2*j+1])
		}
		if n%2 == 1 {
			level[n/2] = level[n-1]
		}
		i /= 2
	}
	return p, nil
}

// Verify says whether p proves its event to be in the block with that hash. It needs nothing but p and the hash.
func (p Proof) Verify(block Hash) error {
	bad := errors.New("journal: the proof does not lead to this block")
	if p.Index < 0 || p.Index >= p.Count || p.Count > MaxEvents || len(p.Path) > bits.Len(MaxEvents) || len(p.Book) > MaxBookName {
		return bad
	}
	h := sha256.Sum256(appendLeaf(nil, p.Salt, p.Event))
	path := p.Path
	for i, n := p.Index, p.Count; n > 1; i, n = i/2, (n+1)/2 {
		if i^1 >= n {
			continue // an odd last one is carried up
		}
		if len(path) == 0 {
			return bad
		}
		if i%2 == 0 {
			h = node(h, path[0])
		} else {
			h = node(path[0], h)
		}
		path = path[1:]
	}
	top := header{p.Book, p.Seq, p.Epoch, p.At, p.Prev, p.Count}
	if len(path) != 0 || top.hash(h) != block {
		return bad
	}
	return nil
}
