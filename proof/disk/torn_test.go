package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/score"
)

var tears = flag.Int("tears", 3, "how often TestTornLog damages the journal's log, in each of its two states")

// TestTornLog damages the end of the journal's log, as a disk does that stops in the middle. What was never acknowledged
// may go without a word. A cut into what was acknowledged has to be found by verify with a checkpoint that was exported
// before, unless all of it stands in the database already.
func TestTornLog(t *testing.T) {
	for _, moved := range []bool{false, true} {
		name := map[bool]string{false: "fresh", true: "moved"}[moved]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := remain(t, true)
			if moved {
				r = r.move(t)
			}
			seed := luck(t)
			all := tally{}
			for n := range *tears {
				one := r.tear(t, rand.New(rand.NewPCG(seed, uint64(n))), n)
				all.add(&one)
			}
			score.Report(t, score.Line{
				ID: "torn-log-" + name, Name: "a torn log of the journal, " + name,
				Figure: fmt.Sprintf("%d damages: %d found by verify, %d by the platform, %d lost nothing, %d MISSED", *tears, all.verify, all.refused, all.harmless, all.missed),
				Target: "0 missed", Value: int64(all.missed), Seeds: fmt.Sprint(seed), OK: all.missed == 0 && all.harmless > 0 && all.verify+all.refused > 0,
			})
		})
	}
}

// TestControlTornLogIsALoss cuts off the second half of the log, and asks the judge as well as verify: both have to find
// that what was acknowledged is gone. The platform alone takes the shorter log for all there is.
func TestControlTornLogIsALoss(t *testing.T) {
	t.Parallel()
	r := remain(t, true)
	dir := r.copied(t)
	path := filepath.Join(dir, "journal.db-wal")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(logHeader+frames(text)/2*frame)); err != nil {
		t.Fatal(err)
	}
	code, said := r.verify(t.Context(), dir, r.with...)
	lost := r.right(t.Context(), dir)
	t.Logf("the judge says: %v", lost)
	score.Report(t, score.Line{
		ID: "torn-log-control", Name: "a log of which half was cut off",
		Figure: fmt.Sprintf("the judge finds a loss: %t; verify ends with %d", lost != nil, code),
		Target: "both find it", Value: int64(code), OK: lost != nil && code == 1 && strings.Contains(said, "the checkpoint of"),
	})
}

// The write-ahead log of SQLite: a header, and frames of a header and a page (sqlite.org/fileformat2.html section 4.1).
const (
	logHeader   = 32
	frameHeader = 24
	frame       = frameHeader + page
)

// frames returns how many frames of a log are of its last round: those behind them are left from the round before.
func frames(text []byte) int {
	for n := 0; ; n++ {
		at := logHeader + n*frame
		if at+frame > len(text) || !bytes.Equal(text[at+8:at+16], text[16:24]) { // the salts
			return n
		}
	}
}

// tear damages a copy's log in one of three ways, in turn.
func (r *remains) tear(t *testing.T, rnd *rand.Rand, n int) tally {
	dir := r.copied(t)
	defer func() {
		if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
			t.Error(err)
		}
	}()
	path := filepath.Join(dir, "journal.db-wal")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := frames(text)
	if all < 10 {
		t.Fatalf("the log has %d frames", all)
	}
	var what string
	switch at := rnd.IntN(all); n % 3 {
	case 0: // half of a frame that nobody was told of
		what = "half a frame behind the last"
		half := text[logHeader+at*frame : logHeader+at*frame+frame/2]
		text = append(text[:logHeader+all*frame:logHeader+all*frame], half...)
	case 1:
		size := logHeader + at*frame + rnd.IntN(frame)
		what = fmt.Sprintf("cut in frame %d of %d", at, all)
		text = text[:size]
	case 2:
		what = fmt.Sprintf("the second half of frame %d of %d was not written", at, all)
		clear(text[logHeader+at*frame+frame/2 : logHeader+(at+1)*frame])
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	one := r.judgeCopy(t, dir, what)
	if n%3 == 0 && one.harmless == 0 {
		t.Errorf("%s: nothing acknowledged was lost, and it is not taken as it is", what)
	}
	return one
}

// move has what stands in the journal's log moved into the database, but leaves the log as it is: so a platform looks that
// was killed between a checkpoint and the next commit.
func (r *remains) move(t *testing.T) *remains {
	t.Helper()
	out, dir := *r, r.copied(t)
	out.dir = r.copied(t)
	name := filepath.Join(dir, "journal.db")
	before, err := os.ReadFile(name + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), store.Config{Path: name, CheckpointEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(name); err != nil || binary.BigEndian.Uint32(text[28:]) < 2 {
		t.Fatalf("the database was not filled: %v", err)
	}
	moved, err := os.ReadFile(name)
	if err = errors.Join(err, os.WriteFile(filepath.Join(out.dir, "journal.db"), moved, 0o600),
		os.WriteFile(filepath.Join(out.dir, "journal.db-wal"), before, 0o600), os.RemoveAll(filepath.Dir(dir))); err != nil {
		t.Fatal(err)
	}
	return &out
}
