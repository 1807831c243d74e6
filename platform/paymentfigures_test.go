package platform

import (
	"net/http"
	"strings"
	"testing"
)

// What payments do shows in the figures: how long they take, how long their participants take, and that nothing stands still.
func TestFiguresTellHowPaymentsGo(t *testing.T) {
	r := newRig(t, "")
	r.stop()
	r.config.Listen = "127.0.0.1:0"
	r.start()
	p := r.pay("once", 1200, 200)
	r.refund("back", p.Id, 100)
	got := r.ask("", "/metrics", "", "")
	if got.status != http.StatusOK {
		t.Fatal(got)
	}
	for _, line := range []string{
		`koban_payment_settle_seconds_count{kind="charge"} 1`, `koban_payment_settle_seconds_count{kind="refund"} 1`,
		`koban_participant_call_seconds_count{participant="balance",verb="try"} 2`,
		`koban_participant_call_seconds_count{participant="points",verb="confirm"} 1`,
		`koban_participant_call_seconds_bucket{participant="balance",verb="add",le="+Inf"} 2`,
		"koban_payments_running 0", "koban_payments_undriven 0", "koban_payments_undriven_oldest_seconds 0", "koban_payments_undriven_total 0",
		"koban_payment_reports_refused_total 0",
	} {
		if !strings.Contains(got.body, line+"\n") {
			t.Errorf("the figures lack %s", line)
		}
	}
	if t.Failed() {
		t.Log(got.body)
	}
}
