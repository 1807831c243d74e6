package disk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/koban-pay/koban/platform"
	"github.com/koban-pay/koban/proof/chaos"
)

// remains are the folder of a platform that has ended, and all that it had acknowledged. Copies of the folder are
// damaged and judged.
type remains struct {
	binary     string
	dir        string
	checkpoint string // exported when nothing was damaged yet, and kept elsewhere
	judge      *chaos.Judge
	card       *platform.Card
	answers    map[string]string // what the platform answers to questions, by path
	scratch    string            // where copies are made
	with       []string          // further arguments of verify
}

// trade is how many payments stand in the remains.
const trade = 120

// made are the remains that tests share. They are only ever copied.
var made struct {
	sync.Mutex
	by map[bool]*remains
}

// remain returns what a platform left that was killed, so that much stands in the logs of the databases only, or that
// stopped in order.
func remain(t *testing.T, killed bool) *remains {
	t.Helper()
	made.Lock()
	defer made.Unlock()
	if made.by == nil {
		made.by = map[bool]*remains{}
	}
	if made.by[killed] == nil {
		made.by[killed] = newRemains(t, killed)
	}
	return made.by[killed]
}

// newRemains runs a platform, has it make some of everything, and ends it.
func newRemains(t *testing.T, killed bool) *remains {
	t.Helper()
	scratch, err := inMemory("remains-") // until the run ends: tests share it
	if err != nil {
		t.Fatal(err)
	}
	r := &remains{binary: koban(t), scratch: scratch}
	r.dir, r.checkpoint = filepath.Join(scratch, "data"), filepath.Join(scratch, "checkpoint.json")
	program := chaos.Program{Path: r.binary, Data: r.dir}
	p, err := program.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Kill() }() // of a test that has failed
	r.card = p.Card
	ids, err := r.deal(t.Context(), p, filepath.Join(scratch, "acknowledged.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if killed {
		err = p.Kill()
	} else {
		err = p.Stop(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	whole := r.copied(t)
	if code, said := r.verify(t.Context(), whole, "--export-checkpoint", r.checkpoint); code != 0 {
		t.Fatalf("verify of what is whole ended with code %d: %s", code, said)
	}
	if killed { // what the log of a database lost is not missed by what is left
		r.with = []string{"--checkpoint", r.checkpoint, "--public-key", filepath.Join(whole, "checkpoint.pub")}
	}
	r.answers = map[string]string{}
	for _, q := range r.questions(ids) {
		r.answers[q] = ""
	}
	for range 2 { // asked twice: what is not the same every time cannot be compared
		if err := r.live(t.Context(), whole, func(ctx context.Context, line *chaos.Line) error {
			return r.learn(ctx, line)
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.right(t.Context(), whole); err != nil {
		t.Fatalf("what is whole is wrong: %v", err)
	}
	return r
}

// object is a JSON object.
type object map[string]any

func (o object) text() string {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err) // texts and numbers always can
	}
	return string(b)
}

// deal makes payments, captures, voids and refunds, all acknowledged in the end, and returns the ids of the payments.
func (r *remains) deal(ctx context.Context, p *chaos.Platform, path string) ([]string, error) {
	line := chaos.NewLine()
	line.Lead(p)
	log, err := chaos.OpenLog(path)
	if err != nil {
		return nil, err
	}
	if r.judge, err = chaos.NewJudge(ctx, line, log, r.card, 1); err != nil {
		return nil, err
	}
	if err := chaos.Enrich(ctx, line, log, r.card); err != nil {
		return nil, err
	}
	ids, errs := make([]string, trade), make([]error, trade)
	var all sync.WaitGroup
	for worker := range clients {
		all.Go(func() {
			for n := worker; n < trade; n += clients {
				ids[n], errs[n] = r.one(ctx, line, log, n)
			}
		})
	}
	all.Wait()
	return ids, errors.Join(errors.Join(errs...), r.judge.Sample(ctx, 0), log.Close())
}

// one makes payment n and what belongs to it.
func (r *remains) one(ctx context.Context, line *chaos.Line, log *chaos.Log, n int) (string, error) {
	from, to := r.card.Customers[n%len(r.card.Customers)], r.card.Merchants[n%len(r.card.Merchants)]
	send := func(op chaos.Op, as chaos.Role, on, path string, body object) (chaos.Ack, error) {
		a := &chaos.Ask{Op: op, On: on, Request: chaos.Request{As: as, Key: fmt.Sprintf("%s-%d", op, n), Path: path, Body: body.text()}}
		if op == chaos.Charge {
			a.Customer, a.Merchant, a.Manual = from.ID, to.ID, n%3 == 0
		}
		return chaos.Send(ctx, line, log, a)
	}
	charge := object{
		"kind": "charge", "customer": from.ID, "merchant": to.ID, "amount": object{"currency": "JPY", "value": 1000 + n},
		"sources":   []object{{"type": "points", "amount": object{"currency": "JPY", "value": 1 + n%90}}, {"type": "balance"}},
		"reference": fmt.Sprintf("order %d", n), "metadata": object{"table": fmt.Sprint(n)},
	}
	if n%3 == 0 {
		charge["capture"] = "manual"
	}
	if n%4 == 0 {
		s, err := send(chaos.Session, chaos.CustomerApp, "", "/v1/code-sessions", object{"payload": to.Payload, "customer": from.ID})
		if err != nil {
			return "", err
		}
		charge["session"] = s.ID
	}
	paid, err := send(chaos.Charge, chaos.CustomerApp, "", "/v1/payments", charge)
	if err != nil || paid.Status != 201 {
		return "", fmt.Errorf("payment %d: %s %w", n, &paid, err)
	}
	path := "/v1/payments/" + paid.ID
	switch n % 6 {
	case 0:
		_, err = send(chaos.Capture, chaos.Operator, paid.ID, path+"/capture", object{})
	case 3:
		_, err = send(chaos.Void, chaos.Operator, paid.ID, path+"/void", object{})
	case 1, 2:
		_, err = send(chaos.Refund, chaos.Operator, paid.ID, path+"/refunds", object{"amount": object{"currency": "JPY", "value": 100}})
	}
	return paid.ID, err
}

// questions are what the platform is asked before and after a damage. The answers may not differ.
func (r *remains) questions(payments []string) (out []string) {
	out = append(out, "/v1/payments?limit=100", "/v1/payments?limit=100&status=VOIDED", "/v1/payments?limit=100&status=PARTIALLY_REFUNDED")
	for _, c := range r.card.Customers {
		out = append(out, "/v1/customers/"+c.ID+"/accounts", "/v1/payments?limit=100&customer="+c.ID, "/v1/accounts/"+c.Balance.Account)
	}
	for _, m := range r.card.Merchants {
		out = append(out, "/v1/accounts/"+m.Account, "/v1/payments?limit=100&merchant="+m.ID)
	}
	for n, id := range payments {
		if out = append(out, "/v1/payments/"+id); n%10 == 0 {
			out = append(out, "/v1/payments/"+id+"/explain")
		}
	}
	for _, s := range []string{"balance", "points", "code", "payment"} {
		out = append(out, "/v1/feeds/"+s+"?after=0&limit=100", "/v1/feeds/"+s+"?after=30&limit=50")
	}
	return out
}

// learn keeps what is answered, and drops what was answered otherwise before.
func (r *remains) learn(ctx context.Context, line *chaos.Line) error {
	for _, q := range slices.Sorted(maps.Keys(r.answers)) {
		a, err := line.Call(ctx, chaos.Request{As: chaos.Operator, Path: q})
		if err != nil || a.Status != 200 {
			return fmt.Errorf("%s: %d %s %w", q, a.Status, a.Body, err)
		}
		if was := r.answers[q]; was != "" && was != string(a.Body) {
			return fmt.Errorf("%s was answered %s, and then %s", q, was, a.Body)
		}
		r.answers[q] = string(a.Body)
	}
	return nil
}

// copied returns a copy of the folder.
func (r *remains) copied(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(r.scratch, "copy-")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.CopyFS(filepath.Join(dir, "data"), os.DirFS(r.dir)), privately(filepath.Join(dir, "data"))); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "data")
}

// privately takes everybody else's rights away from a copy: a platform that others can read does not start.
func privately(dir string) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	})
}

// verify has the books of a folder judged, and returns the exit code and what was said.
func (r *remains) verify(ctx context.Context, dir string, args ...string) (code int, said string) {
	out, err := exec.CommandContext(ctx, r.binary, append([]string{"verify", "--data", dir, "--rebuild"}, args...)...).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		return exit.ExitCode(), string(out)
	default:
		return -1, err.Error()
	}
	return 0, string(out)
}

// refusedError says that a platform did not start.
type refusedError struct {
	code int
	said string
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("exit code %d: %s", e.code, strings.TrimSpace(e.said))
}

// life bounds the life of a platform on a copy: far more than it needs, on a machine that is busy with others.
const life = 2 * time.Minute

// live runs a platform on a folder while f is at work. It returns a refusedError if the platform does not start, or ends.
func (r *remains) live(ctx context.Context, dir string, f func(context.Context, *chaos.Line) error) error {
	ctx, cancel := context.WithTimeout(ctx, life)
	defer cancel()
	program := chaos.Program{Path: r.binary, Data: dir}
	p, err := program.Exec()
	if err != nil {
		return err
	}
	defer func() { _ = p.Kill() }() // it has nothing to finish
	if err := p.Wait(ctx); err != nil {
		select {
		case <-p.Ended():
			code, said := p.Exit()
			return &refusedError{code, said}
		default:
			return err
		}
	}
	line := chaos.NewLine()
	line.Lead(p)
	err = f(ctx, line)
	select {
	case <-p.Ended(): // of what it has met meanwhile
		code, said := p.Exit()
		return &refusedError{code, said}
	default:
		return err
	}
}

// differ returns where two texts begin to differ.
func differ(a, b string) (string, string) {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	n = max(0, n-40)
	cut := func(s string) string { return s[min(n, len(s)):min(n+200, len(s))] }
	return cut(a), cut(b)
}

// right runs a platform on a folder and requires that everything acknowledged is there, once, unchanged, and that every
// question is answered as it was.
func (r *remains) right(ctx context.Context, dir string) error {
	return r.live(ctx, dir, func(ctx context.Context, line *chaos.Line) error {
		for q, want := range r.answers {
			a, err := line.Call(ctx, chaos.Request{As: chaos.Operator, Path: q})
			if err != nil || a.Status != 200 || string(a.Body) != want {
				was, is := differ(want, string(a.Body))
				return fmt.Errorf("%s was answered …%s, and now %d …%s (%v)", q, was, a.Status, is, err)
			}
		}
		judge := r.judge.Again(line)
		if err := judge.Check(ctx, true); err != nil {
			return err
		}
		if !judge.Right() {
			return fmt.Errorf("%s: %s", &judge.Verdict, strings.Join(judge.Examples, "; "))
		}
		return nil
	})
}
