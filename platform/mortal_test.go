package platform

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/payment"
)

// recorder keeps the batches that were written.
type recorder struct {
	book.Log
	batches []journal.Batch
}

func (r *recorder) Write(ctx context.Context, w journal.Batch) (journal.Fate, error) {
	r.batches = append(r.batches, w)
	return r.Log.Write(ctx, w)
}

// died is what a mortal throws in place of a signal.
type died struct{}

// TestMortalDiesBetweenFirstAndLastStep: whatever step is asked for, the process dies once that many steps are durable,
// and always before the payment is complete.
func TestMortalDiesBetweenFirstAndLastStep(t *testing.T) {
	var tape recorder
	r := &rig{t: t, config: Config{
		Data: t.TempDir(), Tenant: "demo", Volumes: 2, MinFree: 1,
		Watch: func(l book.Log) book.Log { tape.Log = l; return &tape },
	}}
	r.start()
	from := len(tape.batches)
	r.pay("one", 1200, 200)
	r.stop()
	for n := 1; n <= 12; n++ {
		written, complete := replayUntilDeath(t, tape.batches[from:], n)
		if complete {
			t.Errorf("step %d: the payment is complete", n)
		}
		if written == 0 {
			t.Errorf("step %d: the process died before the payment began", n)
		}
	}
	first, _ := replayUntilDeath(t, tape.batches[from:], 1)
	late, _ := replayUntilDeath(t, tape.batches[from:], 1000)
	if first >= late {
		t.Errorf("it died after %d batches for step 1, and after %d for the last", first, late)
	}
}

// replayUntilDeath writes the batches to a mortal that is to die at step n. It returns how many were written, and whether
// one of them completed the payment.
func replayUntilDeath(t *testing.T, batches []journal.Batch, n int) (written int, complete bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), DieFile)
	if err := os.WriteFile(path, []byte(strconv.Itoa(n)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tape := &recorder{Log: blank{}}
	m := &mortal{Log: tape, kill: func() { panic(died{}) }}
	m.arm(path)
	if _, err := os.Stat(path); err == nil {
		t.Fatal("the file stands although the process is armed")
	}
	defer func() {
		if p := recover(); p != nil && p != (died{}) {
			panic(p)
		}
		machine := payment.NewMachine(0, 1)
		for _, w := range tape.batches {
			for _, b := range w.Blocks {
				for _, e := range b.Events {
					a, ok := decided(machine, b, e).(payment.Advanced)
					complete = complete || ok && a.Standing.Resource != payment.WorkInProgress
				}
			}
		}
		written = len(tape.batches)
	}()
	for _, w := range batches {
		if _, err := m.Write(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	t.Errorf("step %d: it did not die", n)
	return 0, false
}

// blank takes every batch.
type blank struct{}

func (blank) Write(_ context.Context, w journal.Batch) (journal.Fate, error) {
	return journal.Fate{Fenced: make([]bool, len(w.Blocks)), Stale: make([]bool, len(w.Check))}, nil
}
func (blank) Head(context.Context, string) (journal.Head, error) { return journal.Head{}, nil }
func (blank) Read(context.Context, string, uint64, int) ([]*journal.Block, error) {
	return nil, nil
}
