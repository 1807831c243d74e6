package journal_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/koban-pay/koban/book/journal"
)

// block returns a sealed block after prev with n events.
func block(prev journal.Head, epoch uint64, n int, what string) *journal.Block {
	b := &journal.Block{Book: prev.Book, Seq: prev.Seq + 1, Epoch: epoch, At: 1000, Prev: prev.Hash}
	copy(b.Salt[:], what)
	for i := range n {
		b.Events = append(b.Events, journal.Event{Type: uint32(i), Body: fmt.Appendf(nil, "%s %d", what, i)})
	}
	journal.Seal(b)
	return b
}

// treeOf is the Merkle tree hash written down as RFC 6962, section 2.1 defines it.
func treeOf(leaves [][32]byte) [32]byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	left, right := treeOf(leaves[:k]), treeOf(leaves[k:])
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

// hashOf is the rule of block hashes (B13), written a second time, straight from its words.
func hashOf(b *journal.Block) [32]byte {
	var leaves [][32]byte
	for i, e := range b.Events {
		salt := sha256.Sum256(append(append([]byte{2}, b.Salt[:]...), byte(i>>24), byte(i>>16), byte(i>>8), byte(i)))
		var in bytes.Buffer
		in.WriteByte(0)
		in.Write(salt[:16])
		in.Write([]byte{byte(e.Type >> 24), byte(e.Type >> 16), byte(e.Type >> 8), byte(e.Type)})
		in.Write(e.Body)
		leaves = append(leaves, sha256.Sum256(in.Bytes()))
	}
	root := treeOf(leaves)
	var in bytes.Buffer
	in.WriteString("koban block\n")
	in.Write([]byte{1, byte(len(b.Book))})
	in.WriteString(b.Book)
	for _, n := range []uint64{b.Seq, b.Epoch, uint64(b.At)} {
		for s := 56; s >= 0; s -= 8 {
			in.WriteByte(byte(n >> s))
		}
	}
	in.Write(b.Prev[:])
	n := len(b.Events)
	in.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	in.Write(root[:])
	return sha256.Sum256(in.Bytes())
}

func TestHashFollowsTheRule(t *testing.T) {
	for n := 1; n <= 70; n++ {
		b := block(journal.Head{Book: "payment/03", Seq: 4, Hash: [32]byte{9}}, 2, n, "rule")
		if b.Hash != hashOf(b) {
			t.Fatalf("%d events: hash %x, the rule gives %x", n, b.Hash, hashOf(b))
		}
	}
}

// The hash of this block is part of the format: if it changes, every journal that was ever written is unreadable.
func TestHashOfAKnownBlock(t *testing.T) {
	b := block(journal.Head{Book: "balance/00"}, 1, 3, "known")
	const want = "2408463e111553fced4f39aa7a774f533ba9a786a42fa71c2e9fc68ac3f0831b"
	if got := hex.EncodeToString(b.Hash[:]); got != want {
		t.Errorf("the known block has hash %s, want %s", got, want)
	}
}

func TestHashCoversEverything(t *testing.T) {
	base := func() *journal.Block { return block(journal.Head{Book: "a", Seq: 1, Hash: [32]byte{1}}, 1, 3, "x") }
	for name, change := range map[string]func(*journal.Block){
		"book":        func(b *journal.Block) { b.Book = "b" },
		"number":      func(b *journal.Block) { b.Seq++ },
		"epoch":       func(b *journal.Block) { b.Epoch++ },
		"time":        func(b *journal.Block) { b.At++ },
		"previous":    func(b *journal.Block) { b.Prev[31]++ },
		"salt":        func(b *journal.Block) { b.Salt[15]++ },
		"type":        func(b *journal.Block) { b.Events[1].Type++ },
		"body":        func(b *journal.Block) { b.Events[2].Body = []byte("y") },
		"order":       func(b *journal.Block) { b.Events[0], b.Events[1] = b.Events[1], b.Events[0] },
		"one removed": func(b *journal.Block) { b.Events = b.Events[:2] },
		"one doubled": func(b *journal.Block) { b.Events = append(b.Events, b.Events[2]) },
	} {
		b := base()
		if err := b.Verify(); err != nil {
			t.Fatalf("an unchanged block: %v", err)
		}
		change(b)
		if b.Verify() == nil {
			t.Errorf("%s changed, and the hash still holds", name)
		}
	}
}

func TestProofs(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5, 7, 8, 9, 31, 33, 64, 100} {
		b := block(journal.Head{Book: "a"}, 1, n, "proof")
		other := block(journal.Head{Book: "a"}, 1, n, "other")
		for i := range n {
			p, err := b.Prove(i)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Verify(b.Hash); err != nil {
				t.Fatalf("event %d of %d: %v", i, n, err)
			}
			if p.Verify(other.Hash) == nil {
				t.Fatalf("event %d of %d proves itself to be in another block", i, n)
			}
			for what, change := range map[string]func(*journal.Proof){
				"event":  func(p *journal.Proof) { p.Event.Body = []byte("more money") },
				"type":   func(p *journal.Proof) { p.Event.Type++ },
				"time":   func(p *journal.Proof) { p.At++ },
				"index":  func(p *journal.Proof) { p.Index++ },
				"count":  func(p *journal.Proof) { p.Count++ },
				"salt":   func(p *journal.Proof) { p.Salt[0]++ },
				"longer": func(p *journal.Proof) { p.Path = append(p.Path, [32]byte{}) },
				"cut":    func(p *journal.Proof) { p.Path = p.Path[:max(len(p.Path)-1, 0)]; p.Book = "b" },
			} {
				forged := p
				forged.Path = append([]journal.Hash(nil), p.Path...)
				change(&forged)
				if forged.Verify(b.Hash) == nil {
					t.Errorf("event %d of %d: a proof with another %s holds", i, n, what)
				}
			}
		}
		if _, err := b.Prove(n); err == nil {
			t.Error("an event that is not there was proved")
		}
	}
}

// Two events with the same bytes must not be recognizable as such by their neighbours' receipts.
func TestEqualEventsHaveDifferentSalts(t *testing.T) {
	b := &journal.Block{Book: "a", Seq: 1, Salt: [16]byte{7}, Events: []journal.Event{{Type: 1, Body: []byte("x")}, {Type: 1, Body: []byte("x")}}}
	journal.Seal(b)
	p, _ := b.Prove(0)
	q, _ := b.Prove(1)
	if p.Salt == q.Salt || reflect.DeepEqual(p.Path, q.Path) {
		t.Error("two equal events share a salt")
	}
}

// Whoever is shown a proof learns no other event of the block, not even by guessing it and comparing hashes.
func TestAProofShowsNoOtherEvent(t *testing.T) {
	mine, theirs := journal.Event{Type: 16, Body: []byte("mine")}, journal.Event{Type: 16, Body: []byte("theirs")}
	b := &journal.Block{Book: "a", Seq: 1, Salt: [16]byte{1: 7, 9: 9}, Events: []journal.Event{mine, theirs}}
	journal.Seal(b)
	p, err := b.Prove(0)
	if err != nil {
		t.Fatal(err)
	}
	shown := slices.Concat(p.Salt[:], p.Event.Body, p.Prev[:])
	for _, h := range p.Path {
		shown = append(shown, h[:]...)
	}
	if bytes.Contains(shown, theirs.Body) || bytes.Contains(shown, b.Salt[:]) {
		t.Error("the proof tells the other event, or the salt that all others follow from")
	}
	guess := slices.Concat(binary.BigEndian.AppendUint32(nil, theirs.Type), theirs.Body)
	for _, salt := range [][]byte{nil, make([]byte, 16), p.Salt[:]} {
		if sha256.Sum256(slices.Concat([]byte{0}, salt, guess)) == p.Path[0] {
			t.Error("the other event can be guessed")
		}
	}
}

func TestSealRefusesWhatABookMustNotWrite(t *testing.T) {
	for name, b := range map[string]*journal.Block{
		"no events":          {Book: "a", Seq: 1},
		"no number":          {Book: "a", Events: make([]journal.Event, 1)},
		"no name":            {Seq: 1, Events: make([]journal.Event, 1)},
		"a name with spaces": {Book: "a b", Seq: 1, Events: make([]journal.Event, 1)},
		"a long name":        {Book: string(make([]byte, 65)), Seq: 1, Events: make([]journal.Event, 1)},
		"a first with prev":  {Book: "a", Seq: 1, Prev: [32]byte{1}, Events: make([]journal.Event, 1)},
		"too many events":    {Book: "a", Seq: 1, Events: make([]journal.Event, journal.MaxEvents+1)},
		"too large":          {Book: "a", Seq: 1, Events: []journal.Event{{Body: make([]byte, journal.MaxBlockBytes)}}},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a block with %s was sealed", name)
				}
			}()
			journal.Seal(b)
		}()
	}
}
