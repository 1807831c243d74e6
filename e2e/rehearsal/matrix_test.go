package rehearsal

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/koban-pay/koban/internal/score"
)

// verbs are what each participant is asked.
var verbs = map[string][]string{
	"balance": {"try", "confirm", "cancel", "add"},
	"points":  {"try", "confirm", "cancel", "add"},
	"code":    {"try", "confirm", "cancel"},
}

// spoilers refuse a Try, so that everybody else is asked to cancel.
var spoilers = map[string]string{"balance": "points", "points": "balance", "code": "points"}

// actions are what can go wrong, each at every call until it is cleared.
var actions = map[string]object{
	"slow":      {"do": "slow", "delay_ms": 900},
	"refuse":    {"do": "refuse", "code": "account_suspended"},
	"unknown":   {"do": "unknown"},
	"lost":      {"do": "lost"},
	"duplicate": {"do": "duplicate"},
	"dead":      {"do": "dead"},
	"late":      {"do": "late", "delay_ms": 45_000},
}

const (
	paidByBalance = 800
	paidByPoints  = 200
)

// flow is one payment or refund that meets a fault.
type flow struct {
	*platform
	customer  int
	balance   int64 // what the customer has before
	points    int64
	id        string
	refund    bool
	fault     string
	path, key string // of the request, to send it again
	request   object
}

// newFlow prepares the payment, or the refund of a payment, that asks the participant for the verb.
func newFlow(p *platform, customer int, participant, verb string) *flow {
	p.t.Helper()
	f := &flow{platform: p, customer: customer, key: rand.Text()}
	f.balance, f.points = f.wallet()
	s := p.post("/v1/code-sessions", object{"payload": p.card.Merchants[0].Payload, "customer": p.card.Customers[customer].ID})
	f.path, f.request = "/v1/payments", object{
		"kind": "charge", "session": s["id"], "amount": yen(paidByBalance + paidByPoints), "async": true,
		"sources": []object{{"type": "points", "amount": object{"currency": "PT", "value": paidByPoints}}, {"type": "balance"}},
	}
	if f.refund = participant == "points" && verb == "add"; f.refund {
		paid := f.settle(p.post(f.path, f.request).text("id"))
		if paid["status"] != "CAPTURED" {
			p.t.Fatalf("the payment to give back is %v", paid)
		}
		f.path, f.request = "/v1/payments/"+paid.text("id")+"/refunds", object{"async": true}
	}
	return f
}

func yen(n int64) object { return object{"currency": "JPY", "value": n} }

// wallet returns what the customer has, and requires that nothing of it is held.
func (f *flow) wallet() (balance, points int64) {
	f.t.Helper()
	c := f.card.Customers[f.customer]
	b, p := f.get("/v1/accounts/"+c.Balance.Account), f.get("/v1/accounts/"+c.Points.Account)
	if b.int("held") != 0 || p.int("held") != 0 {
		f.t.Errorf("held are ¥%d and %d points", b.int("held"), p.int("held"))
	}
	return b.int("posted"), p.int("posted")
}

// ask sends the request, or sends it again.
func (f *flow) ask() {
	f.t.Helper()
	status, o := f.send(http.MethodPost, f.path, f.key, f.request)
	switch {
	case status == 0: // the platform has died
	case status < 300:
		f.id = o.text("id")
	default:
		e, _ := o["error"].(map[string]any)
		if f.id = object(e).text("payment"); f.id == "" {
			f.t.Fatalf("%s: %d %v", f.path, status, o)
		}
	}
}

func (f *flow) read() object { f.t.Helper(); return f.get("/v1/payments/" + f.id) }

func underWay(p object) bool { return p["resource_status"] == "WORK_IN_PROGRESS" }

// settle waits for the end. Once it is decided, the clock goes on meanwhile, in case something waits for it; before, it must
// not: a payment gives up after 30 s, and a busy machine may need long for the first step.
func (f *flow) settle(id string) (p object) {
	f.t.Helper()
	f.id = id
	f.await("the end of "+id, func() bool { p = f.read(); return !underWay(p) }, func() {
		if f.explain().text("decision") != "" {
			f.advance(10 * time.Second)
		}
	})
	return p
}

func (f *flow) explain() object { f.t.Helper(); return f.get("/v1/payments/" + f.id + "/explain") }

// ends requires the end of a payment, and that the customer has what that leaves them, also after everything that was late
// has arrived.
func (f *flow) ends(p object, status, code string) {
	f.t.Helper()
	why, _ := p["failure"].(map[string]any)
	if p["status"] != status || object(why).text("code") != code {
		f.t.Errorf("it ends %v %v; expected %s %s", p["status"], why, status, code)
	}
	f.advance(time.Minute)
	if status == "CAPTURED" { // a refund gives all of its payment back, and what failed took nothing
		f.balance, f.points = f.balance-paidByBalance, f.points-paidByPoints
	}
	if b, pt := f.wallet(); b != f.balance || pt != f.points {
		f.t.Errorf("the customer has ¥%d and %d points; expected ¥%d and %d", b, pt, f.balance, f.points)
	}
}

// Each action × each verb × each participant: the payment ends as it must, within the platform's patience.
func TestEveryFaultEndsAsItMust(t *testing.T) {
	t.Parallel()
	var ended atomic.Int64
	t.Run("of", func(t *testing.T) { faultEverybody(t, &ended) })
	want := int64(11 * len(actions)) // verbs of all participants
	score.Report(t, score.Line{
		ID: "faults-matrix", Name: "payments under each fault of koban fault, at each verb of each participant",
		Figure: fmt.Sprintf("%d of %d ended as they must", ended.Load(), want), Target: "all", Value: ended.Load(), OK: ended.Load() == want,
	})
}

func faultEverybody(t *testing.T, ended *atomic.Int64) {
	for participant := range verbs {
		t.Run(participant, func(t *testing.T) {
			t.Parallel()
			p := start(t, t.TempDir(), "--rehearsal")
			n := 0
			for _, verb := range verbs[participant] {
				for action, body := range actions {
					f := newFlow(p, n%len(p.card.Customers), participant, verb)
					if verb == "cancel" {
						p.inject(object{"participant": spoilers[participant], "verb": "try", "do": "refuse", "code": "limit_exceeded"})
					}
					fault := object{"participant": participant, "verb": verb}
					for name, v := range body {
						fault[name] = v
					}
					f.fault = p.inject(fault)
					f.ask()
					f.meet(verb, action)
					if t.Failed() {
						t.Fatalf("%s of %s by %s", action, verb, participant)
					}
					n++
					ended.Add(1)
				}
			}
			p.stop()
			command(t, 0, "verify", "--data", p.dir)
		})
	}
}

// meet sees a flow through its fault.
func (f *flow) meet(verb, action string) {
	f.t.Helper()
	status, code := "CAPTURED", ""
	switch {
	case verb == "cancel":
		status, code = "FAILED", "limit_exceeded"
	case f.refund:
		status = "SUCCEEDED"
	}
	f.await("the fault hits", func() bool { return f.hits(f.fault) > 0 })
	switch {
	case action == "duplicate":
	case action == "slow":
		passed := int64(0)
		f.await("the slow calls are over", func() bool {
			if n := f.hits(f.fault); n > passed { // one second for each call that waits
				f.advance(time.Second)
				passed = n
			}
			return !underWay(f.read())
		})
	case verb == "try" && action == "refuse":
		status, code = "FAILED", "account_suspended"
	case verb == "try":
		status, code = "FAILED", "gave_up"
		f.advance(31 * time.Second)
	default:
		f.persists(verb)
	}
	p := f.settle(f.id)
	f.clear()
	f.ends(p, status, code)
}

// persists requires that a decided payment stays as it was decided, for as long as a participant does not do its part, and
// that the participant is asked again and again; then the fault is cleared.
func (f *flow) persists(verb string) {
	f.t.Helper()
	f.advance(time.Minute)
	f.await("the participant is asked again", func() bool { return f.hits(f.fault) >= 3 }, func() { f.advance(time.Minute) })
	e := f.explain()
	decided := "confirm"
	if verb == "cancel" {
		decided = "cancel"
	}
	p, _ := e["payment"].(map[string]any)
	if !underWay(p) || e["decision"] != decided || len(e.list("owed")) != 1 || e.list("owed")[0]["verb"] != verb {
		f.t.Errorf("it stands at %v, decided %v, and owes %v", p["resource_status"], e["decision"], e["owed"])
	}
	f.clear()
}

// A Try that arrives after its Cancel, and before its deadline, takes nothing and holds nothing.
func TestLateTryAfterItsCancel(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "--rehearsal")
	for participant, spoiler := range spoilers {
		f := newFlow(p, 0, participant, "try")
		p.inject(object{"participant": spoiler, "verb": "try", "do": "refuse", "code": "limit_exceeded"})
		f.fault = p.inject(object{"participant": participant, "verb": "try", "do": "late", "delay_ms": 5_000})
		f.ask()
		end := f.settle(f.id)
		if f.hits(f.fault) == 0 {
			t.Errorf("no Try of %s was late", participant)
		}
		p.clear()
		f.advance(6 * time.Second)
		p.await("the late Try arrives", func() bool { return p.late() == "0" })
		f.ends(end, "FAILED", "limit_exceeded")
	}
	p.stop()
	command(t, 0, "verify", "--data", p.dir)
}

// The platform dies before, during and after a call of each verb: the payment ends as if nothing had happened.
func TestKilledAtEveryVerb(t *testing.T) {
	t.Parallel()
	who := []string{"points"}
	if *full {
		who = []string{"points", "balance", "code"}
	}
	p := start(t, t.TempDir(), "--rehearsal")
	n := 0
	for _, participant := range who {
		for _, verb := range verbs[participant] {
			for _, when := range []string{"before", "during", "after"} {
				f := newFlow(p, n%20, participant, verb)
				if verb == "cancel" {
					f.request["amount"] = yen(10_000_000) // more than the balance has
				}
				p.inject(object{"participant": participant, "verb": verb, "do": "kill", "when": when})
				f.ask()
				p.killed()
				p = start(t, p.dir, "--rehearsal")
				f.platform = p
				f.ask()
				end := f.settle(f.id)
				switch {
				case verb == "cancel":
					f.ends(end, "FAILED", "insufficient_funds")
				case f.refund:
					f.ends(end, "SUCCEEDED", "")
				default:
					f.ends(end, "CAPTURED", "")
				}
				if t.Failed() {
					t.Fatalf("killed %s %s of %s", when, verb, participant)
				}
				n++
			}
		}
	}
	p.stop()
	command(t, 0, "verify", "--data", p.dir)
	score.Report(t, score.Line{
		ID: "faults-kill", Name: "the platform killed at a verb of a participant, by koban fault",
		Figure: fmt.Sprintf("%d deaths, %d ended as they must", n, n), Target: fmt.Sprintf("%d deaths, each ends as it must", n), Value: int64(n), OK: n > 0,
	})
}
