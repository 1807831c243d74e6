package feed

import (
	"testing"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
)

func heard(f *follower, seq uint64, counts ...book.PublicCount) bool {
	return f.hear(0, journal.Head{Seq: seq, Hash: hashOf(0, seq)}, counts)
}

func block(seq uint64) *journal.Block {
	return &journal.Block{Book: "shop/00", Seq: seq, Prev: hashOf(0, seq-1), Hash: hashOf(0, seq)}
}

func newFollower(at uint64) *follower {
	f := &follower{tracks: make([]track, 1)}
	f.begin(0, Position{at, hashOf(0, at)})
	return f
}

var one = book.PublicCount{Tenant: 1, N: 1}

// While a journal is read, what is heard is left to the reading; the reading goes on until it has all that was heard.
func TestWhatIsHeardWhileReadingIsRead(t *testing.T) {
	f := newFollower(4)
	if err := f.read(0, block(5), nil); err != nil {
		t.Fatal(err)
	}
	if heard(f, 6, one) || heard(f, 7, one) || len(f.queue) != 0 {
		t.Fatal("it was queued beside the reading")
	}
	if f.caughtUp(0) {
		t.Fatal("the reading ended before what was heard")
	}
	for _, seq := range []uint64{6, 7} {
		if err := f.read(0, block(seq), []book.PublicCount{one}); err != nil {
			t.Fatal(err)
		}
	}
	if !f.caughtUp(0) || !heard(f, 8, one) || len(f.queue) != 3 {
		t.Fatalf("%d blocks are queued, want 3", len(f.queue))
	}
	if b := f.queue[0]; b.From != 5 || b.Seq != 6 || b.Prev != hashOf(0, 4) {
		t.Errorf("the first stretch is %d to %d", b.From, b.Seq)
	}
}

func TestBlocksThatDoNotFollowAreNotTakenIn(t *testing.T) {
	other := block(5)
	other.Prev[0]++
	swapped := block(5)
	swapped.Hash[0]++
	for name, b := range map[string]*journal.Block{"a gap": block(6), "a repeat": block(4), "another predecessor": other, "not what was heard": swapped} {
		f := newFollower(4)
		heard(f, 5)
		if err := f.read(0, b, []book.PublicCount{one}); !fault.HasCode(err, fault.DataDamaged) || len(f.queue) != 0 {
			t.Errorf("%s: %v, %d queued", name, err, len(f.queue))
		}
	}
}

// A queue that is full leaves the rest to the journal.
func TestTheQueueIsBounded(t *testing.T) {
	f := newFollower(0)
	f.caughtUp(0)
	seq := uint64(0)
	for range maxQueued {
		seq++
		heard(f, seq, one)
	}
	if !heard(f, seq+1, one) || len(f.queue) != maxQueued || !f.tracks[0].behind {
		t.Errorf("%d blocks are queued, behind: %v", len(f.queue), f.tracks[0].behind)
	}
	total := 0
	for n := len(f.next()); n > 0; n = len(f.next()) {
		if n > maxBlocks {
			t.Fatalf("%d blocks in one command", n)
		}
		total += n
		f.drop(n)
	}
	if total != maxQueued || f.queue != nil {
		t.Errorf("%d blocks came out of a queue of %d", total, maxQueued)
	}
}

func TestACommandHasABoundedNumberOfRuns(t *testing.T) {
	f := newFollower(0)
	f.caughtUp(0)
	for i, n := range []int{maxCounts + 1, maxCounts - 1, 1, 1} {
		heard(f, uint64(i)+1, make([]book.PublicCount, n)...)
	}
	for i, want := range []int{1, 2, 1} {
		if got := len(f.next()); got != want {
			t.Errorf("command %d has %d blocks, want %d", i, got, want)
		}
		f.drop(want)
	}
}
