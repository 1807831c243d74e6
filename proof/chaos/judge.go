package chaos

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/platform"
)

// Judge compares a platform with what it has acknowledged. It believes the log alone.
type Judge struct {
	line *Line
	log  *Log
	tail *tail
	card *platform.Card
	rnd  *rand.Rand

	entries []*entry          // by number
	made    map[string]*entry // charges and refunds, by the id of the payment
	start   map[string]account
	checked int // entries that were looked at in full

	mu sync.Mutex
	Verdict
}

// NewJudge returns a judge of the platform that the line leads to, who reads what the accounts begin with and believes
// the log from there on.
func NewJudge(ctx context.Context, line *Line, log *Log, card *platform.Card, seed uint64) (*Judge, error) {
	j := &Judge{line: line, log: log, card: card, rnd: rand.New(rand.NewPCG(seed, 1<<32)), made: map[string]*entry{}, //nolint:gosec // a lot that can be drawn again
		start: map[string]account{}, Verdict: Verdict{Count: map[Breach]int{}, Ended: map[string]int{}}}
	ids := make([]string, 0, 2*len(card.Customers)+len(card.Merchants))
	for _, m := range card.Merchants {
		ids = append(ids, m.Account)
	}
	for _, c := range card.Customers {
		ids = append(ids, c.Balance.Account, c.Points.Account)
	}
	for _, id := range ids {
		var a account
		if err := j.get(ctx, "/v1/accounts/"+id, &a); err != nil {
			return nil, err
		}
		j.start[id] = a
	}
	var err error
	j.tail, err = openTail(log.file.Name())
	return j, err
}

// entry is an ask with what was answered.
type entry struct {
	Ask
	id    string // of the payment it made; every answer must name the same one
	final *Ack
}

// account is what an account shows.
type account struct {
	Posted int64 `json:"posted"`
	Held   int64 `json:"held"`
}

// Verdict is what a judge has found.
type Verdict struct {
	Count    map[Breach]int
	Examples []string       // the first of each kind
	Ended    map[string]int // how requests ended: op and state, or code
	Checks   int            // answers that were asked for again and compared
}

// Breach is a way of being wrong.
type Breach string

// The breaches.
const (
	Lost    Breach = "lost"    // something acknowledged is not there, or not as it was acknowledged
	Doubled Breach = "doubled" // a key has two effects, or there is an effect that nobody asked for
	Stuck   Breach = "stuck"   // something has not ended within 60 seconds of a start
	Changed Breach = "changed" // the same request was answered differently
	Wrong   Breach = "wrong"   // an answer that must not be given; an account that does not add up
)

// examples is how many breaches of a kind are described.
const examples = 8

func (j *Judge) breach(b Breach, format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.Count[b]++; j.Count[b] <= examples {
		j.Examples = append(j.Examples, string(b)+": "+fmt.Sprintf(format, args...))
	}
}

// Right reports whether nothing is wrong.
func (v *Verdict) Right() bool { return len(v.Count) == 0 }

// String counts the breaches.
func (v *Verdict) String() string {
	return fmt.Sprintf("lost %d, doubled %d, stuck %d, changed %d, wrong %d",
		v.Count[Lost], v.Count[Doubled], v.Count[Stuck], v.Count[Changed], v.Count[Wrong])
}

// catchUp reads what the log has got since.
func (j *Judge) catchUp() error {
	j.log.mu.Lock() // no line is half written meanwhile
	defer j.log.mu.Unlock()
	for {
		v, err := j.tail.next()
		if err != nil || v == nil {
			return err
		}
		switch v := v.(type) {
		case *Ask:
			for len(j.entries) < int(v.N) { // asks may be written a little out of order
				j.entries = append(j.entries, nil)
			}
			j.entries[v.N-1] = &entry{Ask: *v}
		case *Ack:
			j.heard(j.entries[v.N-1], v)
		}
	}
}

// heard takes an answer down.
func (j *Judge) heard(e *entry, a *Ack) {
	if (e.Op == Charge || e.Op == Refund) && a.ID != "" {
		if e.id == "" {
			e.id = a.ID
		}
		if e.id != a.ID {
			j.breach(Doubled, "key %s made %s and %s", e.Key, e.id, a.ID)
		}
		if other := j.made[a.ID]; other != nil && other != e {
			j.breach(Doubled, "%s was made by the keys %s and %s", a.ID, other.Key, e.Key)
		}
		j.made[a.ID] = e
	}
	if !a.Final(a.Status) {
		return
	}
	if e.final != nil {
		if e.final.Status != a.Status || e.final.Hash != a.Hash {
			j.breach(Changed, "%s %s was answered %s, then %s", e.Op, e.Key, e.final, a)
		}
		return
	}
	e.final = a
	j.Ended[string(e.Op)+" "+cmp.Or(a.State, a.Code, "done")]++
	j.proper(e, a)
}

// String returns what an answer said, in short.
func (a *Ack) String() string {
	return fmt.Sprintf("%d %s%s %s (%.8s)", a.Status, a.State, a.Code, a.ID, a.Hash)
}

// refusals are the codes that each kind of request may be refused with in a run: for want of funds, because another
// client was first, or because the platform was away for so long that the payment was given up.
var refusals = map[Op][]string{
	Charge:  {"insufficient_funds", "gave_up", "try_too_late", "session_expired"},
	Refund:  {"exceeds_captured", "already_refunded", "merchant_funds_short", "gave_up", "try_too_late"},
	Capture: {"not_capturable"},
	Void:    {"not_voidable"},
}

// proper requires that a final answer is one that may be given.
func (j *Judge) proper(e *entry, a *Ack) {
	want := 201
	if e.Op == Read {
		want = 200
	}
	switch {
	case a.Status == want, slices.Contains(refusals[e.Op], a.Code):
	case a.Status == 404:
		j.breach(Lost, "%s %s on %s: what it names was acknowledged, and is not there", e.Op, e.Key, e.On)
	default:
		j.breach(Wrong, "%s %s %s on %s was answered %s", e.Op, e.Path, e.Key, e.On, a)
	}
}

// Sample checks some of what was acknowledged, while clients are at work: every answer is repeated byte for byte.
func (j *Judge) Sample(ctx context.Context, n int) error {
	if err := j.catchUp(); err != nil {
		return err
	}
	j.each(ctx, j.drawn(n), j.repeats)
	return ctx.Err()
}

// drawn returns up to n entries that have ended, drawn by lot.
func (j *Judge) drawn(n int) (out []*entry) {
	for range min(n, len(j.entries)) {
		if e := j.entries[j.rnd.IntN(len(j.entries))]; e != nil && e.final != nil && e.Op != Read {
			out = append(out, e)
		}
	}
	return out
}

// Settle waits until the platform has ended everything by itself, and then asks for the answers that were lost. No
// client may be at work. It returns once everything has an answer, or 60 seconds have passed since the start.
func (j *Judge) Settle(ctx context.Context, started clock.Micros) error {
	left := started.Add(j.line.patience).Sub(j.line.clk.Now())
	until, cancel := context.WithTimeout(ctx, max(left, 0))
	defer cancel()
	if err := j.idle(until); err != nil && ctx.Err() == nil {
		j.breach(Stuck, "payments are unfinished %s after the start: %v", j.line.patience, err)
	}
	if err := j.catchUp(); err != nil {
		return err
	}
	var open []*entry
	for _, e := range j.entries {
		if e.final == nil && e.Op != Read {
			open = append(open, e)
		}
	}
	again, cancel := context.WithTimeout(ctx, j.line.patience)
	defer cancel()
	j.each(again, open, func(ctx context.Context, e *entry) {
		if _, err := Send(ctx, j.line, j.log, &e.Ask); err != nil {
			j.breach(Stuck, "%s %s: %v", e.Op, e.Key, err)
		}
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	return j.catchUp()
}

// idle returns once the platform lists no payment that is under way.
func (j *Judge) idle(ctx context.Context) error {
	for {
		var list struct {
			Items []struct {
				ID string `json:"id"`
			} `json:"items"`
		}
		err := j.get(ctx, "/v1/payments?status=ACCEPTED&limit=1", &list)
		if err == nil && len(list.Items) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%v, %w", list.Items, ctx.Err())
		case <-clock.Pause(lastWait):
		}
	}
}

// get reads an address into v.
func (j *Judge) get(ctx context.Context, path string, v any) error {
	a, err := j.line.Call(ctx, Request{As: Operator, Path: path})
	for range readAgain { // a machine that has much to do may take its time: what is judged is what is said
		if err == nil && a.Status != http.StatusServiceUnavailable || ctx.Err() != nil {
			break
		}
		<-clock.Pause(time.Second)
		a, err = j.line.Call(ctx, Request{As: Operator, Path: path})
	}
	if err != nil {
		return err
	}
	if a.Status != 200 {
		return fmt.Errorf("%s: %d %s", path, a.Status, a.Body)
	}
	if err := json.Unmarshal(a.Body, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// readAgain is how often a read is asked again that had no answer.
const readAgain = 5

// Check compares the platform with the log: all accounts, and what was acknowledged since the last check with some of
// what was before; with all, everything. Settle has to go before it.
func (j *Judge) Check(ctx context.Context, all bool) error {
	entries := append(slices.Clone(j.entries[j.checked:]), j.drawn(200)...)
	if all {
		entries = j.entries
	}
	books := j.reckon()
	j.each(ctx, entries, func(ctx context.Context, e *entry) {
		if e.final != nil {
			j.stands(ctx, e, books)
		}
	})
	j.accounts(ctx, books)
	if all {
		j.nothingElse(ctx)
	}
	j.each(ctx, entries, j.repeats) // last: on a platform that has forgotten, it would make what is missing
	j.checked = len(j.entries)
	return ctx.Err()
}

// judges is how many checks run at the same time.
const judges = 16

// each calls f for every entry.
func (j *Judge) each(ctx context.Context, entries []*entry, f func(context.Context, *entry)) {
	work := make(chan *entry)
	var wait sync.WaitGroup
	for range judges {
		wait.Go(func() {
			for e := range work {
				if ctx.Err() == nil {
					f(ctx, e)
				}
			}
		})
	}
	for _, e := range entries {
		if e != nil {
			work <- e
		}
	}
	close(work)
	wait.Wait()
}

// repeats requires that the same request is answered as it was.
func (j *Judge) repeats(ctx context.Context, e *entry) {
	if e.final == nil || e.Op == Read {
		return
	}
	limit, cancel := context.WithTimeout(ctx, j.line.patience)
	defer cancel()
	a, f, err := j.line.Settle(limit, e.Request, nil)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		j.breach(Stuck, "%s %s was answered %s, and now: %v", e.Op, e.Key, e.final, err)
	case e.id != "" && f.ID != "" && f.ID != e.id:
		j.breach(Lost, "key %s made %s, and is forgotten: now it made %s", e.Key, e.id, f.ID)
	case a.Status != e.final.Status || hashOf(a.Body) != e.final.Hash:
		j.breach(Changed, "%s %s was answered %s, and now %d %s", e.Op, e.Key, e.final, a.Status, a.Body)
	}
	j.mu.Lock()
	j.Checks++
	j.mu.Unlock()
}
