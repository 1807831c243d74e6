package book

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
)

// A book whose journal was changed, shortened in the middle or put in another order is refused.
func TestB13_BrokenChainIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(list []*journal.Block) []*journal.Block{
		"changed": func(list []*journal.Block) []*journal.Block {
			b := *list[3]
			b.Events = []journal.Event{{Type: toyTypeRang, Body: make([]byte, 16)}}
			journal.Seal(&b)
			list[3] = &b
			return list
		},
		"missing":   func(list []*journal.Block) []*journal.Block { return append(list[:3:3], list[4:]...) },
		"reordered": func(list []*journal.Block) []*journal.Block { list[3], list[4] = list[4], list[3]; return list },
	} {
		r := newRig(t)
		p := r.start(1)
		p.busyDay()
		p.close()
		log := r.log.(*MemLog)
		log.books["toy/00"] = spoil(append([]*journal.Block(nil), log.books["toy/00"]...))
		if _, err := Recover(background, "toy/00", 0, newToy(), log, NewMemState()); !fault.HasCode(err, fault.DataDamaged) {
			t.Errorf("%s: the book opens: %v", name, err)
		}
	}
}

// Each block follows the one before, and hides its events behind a salt of its own.
func TestB13_BlocksAreChainedAndSalted(t *testing.T) {
	r := newRig(t)
	p := r.start(1)
	p.busyDay()
	p.close()
	blocks, err := r.log.Read(background, "toy/00", 1, 1000)
	if err != nil || len(blocks) < 40 {
		t.Fatalf("%d blocks, %v", len(blocks), err)
	}
	salts := make(map[[16]byte]bool)
	var prev journal.Hash
	for i, b := range blocks {
		if b.Seq != uint64(i+1) || b.Prev != prev {
			t.Errorf("block %d, number %d, does not follow the one before", i+1, b.Seq)
		}
		prev = b.Hash
		if salts[b.Salt] {
			t.Error("a salt was used twice")
		}
		salts[b.Salt] = true
	}
}

// A block that leads to a state which must not be is damage, and no crash.
func TestB13_ImpossibleBlockIsDamage(t *testing.T) {
	log := NewMemLog()
	e := toyMoved{Move: toyMove{Amount: 1}} // between accounts that are not there
	b := &journal.Block{Book: "toy/00", Seq: 1, Epoch: 1, At: start, Events: []journal.Event{{Type: toyTypeMoved, Body: e.encode()}}}
	journal.Seal(b)
	if _, err := log.Write(background, journal.Batch{Blocks: []*journal.Block{b}}); err != nil {
		t.Fatal(err)
	}
	if _, err := Recover(background, "toy/00", 0, newToy(), log, NewMemState()); !fault.HasCode(err, fault.DataDamaged) {
		t.Errorf("the book opens: %v", err)
	}
}

// Personal data stands beside the record, durable with the block of the event that refers to it, and can be erased.
func TestB14_NotesStandBesideTheRecord(t *testing.T) {
	onStores(t, func(t *testing.T, r *rig) {
		p := r.start(1)
		j := r.log.(*journal.Journal)
		const text = "for Hanako's birthday"
		x := r.id()
		if _, err := p.books[0].Do(background, toyTell{x, text}); err != nil {
			t.Fatal(err)
		}
		if body, ok, err := j.Note(background, 7, "toy", x[:]); err != nil || !ok || string(body) != text {
			t.Errorf("when the command is answered, there is %q, %v, %v", body, ok, err)
		}
		before, err := j.Head(background, "toy/00")
		if err != nil {
			t.Fatal(err)
		}
		blocks, err := j.Read(background, "toy/00", before.Seq, 1)
		if err != nil || len(blocks) != 1 || len(blocks[0].Notes) != 0 || bytes.Contains(blocks[0].Events[0].Body, []byte(text)) {
			t.Errorf("the block tells the note: %v, %v", blocks, err)
		}
		if err := j.EraseNotes(background, 7, "toy", x[:]); err != nil {
			t.Fatal(err)
		}
		if body, ok, err := j.Note(background, 7, "toy", x[:]); err != nil || ok {
			t.Errorf("after it was erased, there is %q, %v", body, err)
		}
		if after, err := j.Head(background, "toy/00"); err != nil || after != before {
			t.Errorf("the book is at %v, %v; it was at %v", after, err, before)
		}
	})
}

// The kernel's own event, as the first release writes it, and with what a later one may add.
func TestB15_OpenedIsReadForEver(t *testing.T) {
	want := opened{Epoch: 3, At: start, Version: 2}
	const first = "08031080c097d1edff96031802"
	if got := hex.EncodeToString(want.encode()); got != first {
		t.Errorf("Opened is written as %s", got)
	}
	for _, text := range []string{first, first + "2005" + "2a03616263"} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if o, err := decodeOpened(b); err != nil || o != want {
			t.Errorf("%s reads as %+v, %v", text, o, err)
		}
	}
	if _, err := decodeOpened([]byte{8}); err == nil {
		t.Error("a broken one is read")
	}
}
