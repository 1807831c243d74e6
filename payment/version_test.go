package payment

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/tcc"
)

// TestWhatWasShownNeverChanges: rows share payments with every answer that was given. Whatever happens to a payment, its
// refunds included, what was answered before and what commands were made of stays as it was.
func TestWhatWasShownNeverChanges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := newDesk(t)
		d.SaveEvery = rapid.SampledFrom([]int{0, 0, 5}).Draw(rt, "save every") // 0: the rows stay in memory all the time
		var shown []*Payment
		var looked []string
		show := func(p *Payment) *Payment {
			shown, looked = append(shown, p), append(looked, fmt.Sprintf("%+v", *p))
			return p
		}
		start := d.charge(rapid.SampledFrom([]Capture{Automatic, Manual}).Draw(rt, "capture"))
		show(&start.Payment)
		all := []*Payment{show(d.do(start).Payment)}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			i := rapid.IntRange(0, len(all)-1).Draw(rt, "payment")
			x := all[i].ID
			switch rapid.IntRange(0, 6).Draw(rt, "what") {
			case 0:
				all[i] = show(d.do(Defer{Tenant: 1, ID: x, Code: fault.Timeout}).Payment)
			case 1:
				all[i] = show(d.ask(x, Operate{Caller: d.caller(), Tenant: 1, Cause: ByCapture, Operation: d.fresh(), Payment: x}).Payment)
			case 2:
				if p := show(d.ask(x, StartRefund{Caller: d.caller(), Tenant: 1, ID: d.fresh(), Parent: x}).Payment); p.ID != x {
					all = append(all, p)
				}
			default: // some of what is owed is answered
				var list []Answer
				for _, st := range Owed(d.get(x)) {
					if o := rapid.SampledFrom([]tcc.Outcome{0, tcc.Done, tcc.Done, tcc.Unknown}).Draw(rt, "outcome"); o != 0 {
						list = append(list, Answer{Number: st.Part.Number, Verb: st.Verb, Outcome: o, Attempts: 1, Book: "x/00", Seq: 1})
					}
				}
				all[i] = show(d.do(Report{1, x, list}).Payment)
			}
			show(d.get(all[0].ID))
		}
		for i, p := range shown {
			if now := fmt.Sprintf("%+v", *p); now != looked[i] {
				rt.Fatalf("payment %d that was shown was\n%s\nand is\n%s", i, looked[i], now)
			}
		}
		d.Rebuild()
	})
}

// TestAnswersOfThePastAreCopies: what a caller is told of a request that settled earlier is not what the row holds.
func TestAnswersOfThePastAreCopies(t *testing.T) {
	d, x := captured(t)
	p := d.get(x)
	before := fmt.Sprintf("%+v", *p)
	if old := (facts{status: Authorized, resource: Wait, at: p.SettledAt}).seen(p); old.Captured != 0 || old.Sources[0].Captured != 0 {
		t.Errorf("when it was authorized it had captured: %+v", old.Sources)
	}
	if now := fmt.Sprintf("%+v", *p); now != before {
		t.Errorf("the payment was\n%s\nand is\n%s", before, now)
	}
}
