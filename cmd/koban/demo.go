package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/koban-pay/koban/code/emv"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/term"
	"github.com/koban-pay/koban/judge/verify"
	"github.com/koban-pay/koban/platform"
)

type demoCmd struct {
	Store string `help:"Keep the books on PostgreSQL, in a database that holds nothing else." env:"KOBAN_STORE" placeholder:"URL"`
	Seed  uint64 `help:"Choose where the platform dies: the same seed dies at the same step. Without it, anywhere." placeholder:"N"`
	JSON  bool   `name:"json" help:"Print the outcome as JSON."`
	Keep  bool   `help:"Keep the books of the demo, and say where they are."`
}

// Help says more than one line can.
func (demoCmd) Help() string {
	return `It starts a platform of its own in a temporary folder, reads a shop's code and pays. Then it pays again, and the platform
kills itself in the middle of that payment, at any one of its durable steps. The platform is started again and heals by
itself; the payment is refunded, and the books are proved. It takes a few seconds and leaves nothing behind.`
}

// demoResult is what the demo came to.
type demoResult struct {
	Seed     uint64               `json:"seed"`
	Payments []*payment           `json:"payments"`
	KilledAt demoStep             `json:"killed_at"`
	AtDeath  *platform.Unfinished `json:"at_death"`
	HealedIn int64                `json:"healed_in_ms"`
	Verify   *verify.Report       `json:"verify"`
}

// demoStep is a durable step of a payment, and how many there are before it is complete.
type demoStep struct {
	Step int `json:"step"`
	Of   int `json:"of"`
}

// demo is one run.
type demo struct {
	*demoCmd
	c      *console
	w      *term.Writer // says nothing with --json
	dir    string
	child  *child
	clk    clock.Clock
	second map[string]any // the request whose answer was lost
	result demoResult
}

// demoTime bounds a run, whatever happens.
const demoTime = 90 * time.Second

// Run runs the demo. It ends with 1 if anything was not as it has to be.
func (x *demoCmd) Run(c *console) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), demoTime)
	defer cancel()
	d := &demo{demoCmd: x, c: c, w: c.out, clk: clock.NewSystem()}
	if x.JSON {
		d.w = term.New(discard{}, c.env)
	}
	if d.result.Seed = x.Seed; x.Seed == 0 {
		d.result.Seed = rand.Uint64N(1 << 32) //nolint:gosec // it draws faults, not secrets
	}
	if d.dir, err = os.MkdirTemp("", "koban-demo-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.clean()) }()
	for _, step := range []func(context.Context) error{d.start, d.pay, d.die, d.heal, d.refund, d.prove} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if x.JSON {
		printJSON(c.out, d.result)
	}
	return nil
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// clean stops the platform and removes the folder.
func (d *demo) clean() error {
	if d.child != nil {
		d.child.stop()
	}
	if d.Keep {
		fmt.Fprintf(d.w, "\nThe books are kept in %s\n", d.dir)
		return nil
	}
	return os.RemoveAll(d.dir)
}

func (d *demo) title(n int, format string, args ...any) {
	fmt.Fprintf(d.w, "\n%s %s\n", d.w.Mark(fmt.Sprintf("%d.", n)), d.w.Bold(fmt.Sprintf(format, args...)))
}

func (d *demo) start(ctx context.Context) (err error) {
	fmt.Fprintf(d.w, "%s  a payment company in one program\n", d.w.Bold("Koban"))
	d.title(1, "Start a platform")
	if err := d.launch(ctx); err != nil {
		return err
	}
	card := d.child.card
	fmt.Fprintf(d.w, "   %s · %s · process %d · ready in %s\n", card.Address, card.Store, card.PID, d.child.ready.Round(time.Millisecond))
	fmt.Fprintf(d.w, "   %d customers, %d shops\n", len(card.Customers), len(card.Merchants))
	return nil
}

func (d *demo) launch(ctx context.Context) (err error) {
	d.child, err = launch(ctx, d.dir, d.Store)
	return err
}

func (d *demo) api() *client {
	return newClient(d.child.card.Address, d.child.card.Keys.CustomerApp, "")
}

func (d *demo) operator() *client {
	return newClient(d.child.card.Address, d.child.card.Keys.Operator, "")
}

// scan opens a session: the customer holds the phone to the shop's code.
func (d *demo) scan(key string) (*session, error) {
	card := d.child.card
	a, err := d.api().post("/v1/code-sessions", key, map[string]string{"payload": card.Merchants[0].Payload, "customer": card.Customers[0].ID})
	if err != nil {
		return nil, err
	}
	s := new(session)
	return s, unmarshal(a, s)
}

func order(s *session) map[string]any {
	return map[string]any{
		"kind": "charge", "session": s.ID, "amount": amount{"JPY", demoAmount},
		"sources": []map[string]any{{"type": "points", "amount": amount{"PT", demoPoints}}, {"type": "balance"}},
	}
}

func (d *demo) pay(context.Context) error {
	payload := d.child.card.Merchants[0].Payload
	d.title(2, "Scan a shop's code and pay ¥%d, %d of it in points", demoAmount, demoPoints)
	code, err := emv.Decode(payload)
	if err != nil {
		return fmt.Errorf("the demo shop's code: %w", err)
	}
	v := code.View()
	fmt.Fprintf(d.w, "   %s\n   EMV merchant-presented, %s · %s · %s\n", d.w.Dim(payload), strings.ToUpper(*v.Profile),
		d.w.Bold(term.Clean(d.child.card.Merchants[0].Name)), v.Currency)
	s, err := d.scan("demo-scan-1")
	if err != nil {
		return err
	}
	p, err := d.send("demo-pay-1", order(s))
	if err != nil {
		return err
	}
	e, err := d.explain(p.ID)
	if err != nil {
		return err
	}
	e.print(d.w.Indent("   "), map[string]string{p.Merchant: d.child.card.Merchants[0].Name})
	if p.Status != "CAPTURED" {
		return fmt.Errorf("the payment is %s; expected CAPTURED", p.Status)
	}
	d.result.KilledAt.Of = e.stepsBeforeTheLast()
	return nil
}

// send pays, and keeps the payment for the result.
func (d *demo) send(key string, body map[string]any) (*payment, error) {
	a, err := d.api().post("/v1/payments", key, body)
	if err != nil {
		return nil, err
	}
	p := new(payment)
	if err := unmarshal(a, p); err != nil {
		return nil, err
	}
	d.result.Payments = append(d.result.Payments, p)
	return p, nil
}

func (d *demo) explain(id string) (*explanation, error) {
	a, err := d.operator().get("/v1/payments/"+url.PathEscape(id)+"/explain", nil)
	if err != nil {
		return nil, err
	}
	e := new(explanation)
	return e, unmarshal(a, e)
}

// stepsBeforeTheLast counts the durable steps of a payment before the one that completes it.
func (e *explanation) stepsBeforeTheLast() int {
	n := -1
	for _, b := range e.Blocks {
		n += int(b.Events)
	}
	return n
}

// die pays again, and the platform kills itself at one of the durable steps of this payment.
func (d *demo) die(ctx context.Context) error {
	at := &d.result.KilledAt
	at.Step = 1 + rand.New(rand.NewPCG(d.result.Seed, 0)).IntN(at.Of) //nolint:gosec // where to die is no secret
	d.title(3, "Pay again, and die in the middle")
	fmt.Fprintf(d.w, "   the platform will SIGKILL itself at durable step %s of %d  %s\n", d.w.Warn(fmt.Sprint(at.Step)), at.Of,
		d.w.Dim(fmt.Sprintf("(--seed %d)", d.result.Seed)))
	s, err := d.scan("demo-scan-2")
	if err != nil {
		return err
	}
	if err := d.child.arm(ctx, at.Step); err != nil {
		return err
	}
	d.second = order(s)
	text, err := json.Marshal(d.second)
	if err != nil {
		return err
	}
	if _, err = d.api().call(http.MethodPost, "/v1/payments", text, "demo-pay-2"); err == nil {
		return errors.New("the platform answered; expected it to die first")
	}
	if err := d.child.died(ctx); err != nil {
		return err
	}
	fmt.Fprintf(d.w, "   %s: the caller knows nothing\n", d.w.Bad("killed, connection lost"))
	left, err := platform.Autopsy(ctx, d.dir, d.Store)
	if err != nil {
		return fmt.Errorf("read the journal of the dead platform: %w", err)
	}
	if len(left) != 1 || left[0].Resource != "WORK_IN_PROGRESS" {
		return fmt.Errorf("the journal shows %d unfinished payments; expected the one that was under way", len(left))
	}
	d.result.AtDeath = &left[0]
	fmt.Fprintf(d.w, "   the journal says: %s  %s, %s, phase %s%s\n", d.w.Mark(left[0].ID), left[0].Status, d.w.Warn(left[0].Resource), left[0].Phase,
		decidedText(left[0].Decision))
	return nil
}

func decidedText(decision string) string {
	if decision == "" {
		return ", undecided"
	}
	return ", decided: " + decision
}

// heal starts the platform again and watches the payment end by itself; then the caller asks again under its key.
func (d *demo) heal(ctx context.Context) error {
	d.title(4, "Start it again, and watch it heal")
	began := d.clk.Now()
	if err := d.launch(ctx); err != nil {
		return err
	}
	id := d.result.AtDeath.ID
	for {
		a, err := d.operator().get("/v1/payments/"+id, nil)
		if err != nil {
			return err
		}
		p := new(payment)
		if err := unmarshal(a, p); err != nil {
			return err
		}
		if p.Resource != "WORK_IN_PROGRESS" {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("payment %s did not heal in time", id)
		case <-clock.Pause(5 * time.Millisecond):
		}
	}
	healed := d.clk.Now().Sub(began)
	d.result.HealedIn = healed.Milliseconds()
	fmt.Fprintf(d.w, "   ready in %s, healed %s after the start, with nobody's help\n", d.child.ready.Round(time.Millisecond),
		d.w.Good(healed.Round(time.Millisecond).String()))
	p, err := d.send("demo-pay-2", d.second)
	if err != nil {
		return err
	}
	if p.ID != id || p.Status != "CAPTURED" {
		return fmt.Errorf("the caller's retry got %s %s; expected the same payment, CAPTURED", p.ID, p.Status)
	}
	fmt.Fprintf(d.w, "   the caller asks again under the same key:\n")
	printPayment(d.w.Indent("   "), p, false)
	return nil
}

func (d *demo) refund(context.Context) error {
	last := d.result.Payments[len(d.result.Payments)-1]
	d.title(5, "Refund it")
	a, err := d.operator().post("/v1/payments/"+last.ID+"/refunds", "demo-refund-1", map[string]any{})
	if err != nil {
		return err
	}
	r := new(payment)
	if err := unmarshal(a, r); err != nil {
		return err
	}
	d.result.Payments = append(d.result.Payments, r)
	printPayment(d.w.Indent("   "), r, false)
	if r.Status != "SUCCEEDED" {
		return fmt.Errorf("the refund is %s; expected SUCCEEDED", r.Status)
	}
	return nil
}

// prove verifies the books beside the running platform.
func (d *demo) prove(ctx context.Context) error {
	d.title(6, "Prove the books")
	report, err := platform.Verify(ctx, platform.VerifyConfig{Data: filepath.Clean(d.dir), StoreURL: d.Store})
	if err != nil {
		return err
	}
	d.result.Verify = report
	printReport(d.w.Indent("   "), report)
	if !report.OK {
		return quiet(exitRefused)
	}
	fmt.Fprintf(d.w, "\n%s\n", d.w.Good("Nothing lost, nothing doubled, nothing stuck."))
	fmt.Fprintf(d.w, "%s\n", d.w.Dim("koban run keeps a platform running; koban --help shows what to do with it."))
	return nil
}
