package takeover

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/proof/chaos"
)

// cutsPerBlow is how many commits are cut one soon after the other.
const cutsPerBlow = 12

// TestCutCommitsAreFoundOut cuts the journal's connection around COMMIT: before it was passed on, right after, and when
// it was done and the answer was under way. The platform cannot tell these apart. It must find out what stands, and
// answer accordingly.
func TestCutCommitsAreFoundOut(t *testing.T) {
	t.Parallel()
	w := stretch(t, storetest.Postgres(t)("").URL)
	w.marked = "/" // the name of any book
	c := genuine(t, w.url)
	c.Kills = rounds(t)
	c.Strike = func(ctx context.Context, _ *chaos.Platform) error {
		w.armed.Store(cutsPerBlow)
		return w.until(ctx, w.total()+cutsPerBlow)
	}
	s := play(t, c)
	report(t, "postgres-cut-commits", "connections cut around COMMIT", w.total(), fmt.Sprintf(
		"%d cut (%d before COMMIT was passed on, %d right after, %d with the answer under way)", w.total(), w.done[before].Load(),
		w.done[after].Load(), w.done[answered].Load()), s)
}

// until returns once so many connections were cut in all.
func (w *wire) until(ctx context.Context, n int) error {
	for w.total() < n {
		if err := wait(ctx, serverPoll); err != nil {
			return fmt.Errorf("%d of %d commits were cut: %w", w.total(), n, err)
		}
	}
	return nil
}

// TestControlLyingWireLoses answers the COMMIT of a credit with "done" and does not pass it on. The platform tells its
// caller, and ends when it finds at the next block that its own is not there. The loss must not stay hidden: either the
// platform refuses to start on such books, or the judge finds it.
func TestControlLyingWireLoses(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := stretch(t, storetest.Postgres(t)("").URL)
	w.lies, w.marked = true, "\x00\x00\x00\x0abalance/" // a parameter of ten bytes, such as balance/03
	program := genuine(t, w.url).Program
	p, err := program.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() }) // it has ended, unless the test has failed
	line := chaos.NewLine()
	line.Lead(p)
	log, err := chaos.OpenLog(filepath.Join(t.TempDir(), "acknowledged.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	judge, err := chaos.NewJudge(ctx, line, log, p.Card, 1)
	if err != nil {
		t.Fatal(err)
	}
	account := p.Card.Customers[0].Balance.Account
	credit := func(n int) *chaos.Ask {
		return &chaos.Ask{Op: chaos.Credit, On: account, Value: 7, Request: chaos.Request{
			As: chaos.Operator, Key: fmt.Sprint("credit-", n),
			Path: "/v1/accounts/" + account + "/credits", Body: `{"amount":{"currency":"JPY","value":7}}`,
		}}
	}
	w.armed.Store(1)
	for n := 0; w.total() == 0; n++ { // the last of these is the one
		if ack, err := chaos.Send(ctx, line, log, credit(n)); err != nil || ack.Status != 201 {
			t.Fatalf("a credit was answered %v %v", ack, err)
		}
	}
	if a, err := line.Call(ctx, credit(-1).Request); err == nil && chaos.ReadFacts(a).Final(a.Status) {
		t.Errorf("after a block that is not there, there was the answer %d %s", a.Status, a.Body)
	}
	if code, said := p.Exit(); code != 3 {
		t.Errorf("the platform ended with %d: %s", code, said)
	}
	line.Lead(nil)
	again, err := program.Start(ctx)
	if err != nil && strings.Contains(err.Error(), "data_damaged") {
		return // it knows of a block that its journal does not have
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Kill() })
	line.Lead(again)
	if err := errors.Join(judge.Settle(ctx, again.Started.Add(again.Ready)), judge.Check(ctx, true), log.Close()); err != nil {
		t.Fatal(err)
	}
	if judge.Right() {
		t.Error("a commit was lost, and neither the platform nor the judge has found out")
	}
}
