package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/koban-pay/koban/internal/term"
)

// typed runs a command against a platform that notes what it is sent, and returns the exit code and both.
func typed(t *testing.T, args ...string) (code int, said string, sent []string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		sent = append(sent, r.URL.RequestURI()+" "+string(body))
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"id":"x_1","status":"CAPTURED","items":[],"amount":{"currency":"JPY","value":1}}`))
	}))
	defer server.Close()
	var out strings.Builder
	w := term.New(&out, func(string) string { return "" })
	c := &console{in: strings.NewReader(""), out: w, err: w, env: func(string) string { return "" }}
	if !slices.Contains([]string{"sim", "bench", "run", "tcc", "verify"}, args[0]) { // those ask no platform
		at := 1 // after the words of the command
		if args[0] == "clock" {
			at = 2
		}
		args = slices.Concat(args[:at], []string{"--address", server.URL, "--key", "k", "--data", t.TempDir()}, args[at:])
	}
	return run(args, c), out.String(), sent
}

// A number that makes no sense is refused before anything is sent: 0 is never taken for what was left out, nor an empty word.
func TestNumbersAreRefusedBeforeAnythingIsSent(t *testing.T) {
	const huge = "9007199254740992" // 2^53
	const to = " --merchant mer_1 --customer cus_1"
	for _, line := range []string{ // '' is an empty word
		"refund pay_1 0", "refund pay_1 00", "refund pay_1 " + huge, "refund pay_1 1.5", "refund pay_1 1e3",
		"refund pay_1 ''", "refund -- pay_1 -5", "refund pay_1 5 --idempotency-key ''", "refund pay_1 5 --currency ''",
		"refund pay_1 99999999999999999999",
		"pay 0" + to, "pay " + huge + to, "pay ''" + to, "pay 5 --points 0" + to, "pay 5 --points=-1" + to, "pay" + to,
		"pay 5 --idempotency-key ''" + to, "pay 5 --merchant '' --customer cus_1", "pay 5 --merchant mer_1 --customer ''",
		"pay 5 --payload '' --customer cus_1",
		"payments --limit 0", "payments --limit=-1", "payments --limit 101", "payments --limit x",
		"payments --customer ''", "payments --cursor ''",
		"sim --seeds 0", "sim --payments 0", "sim --seeds=-1", "sim --walk --sample 0",
		"bench --duration 0s", "bench --duration=-1s", "bench --concurrency 0",
		"run --volumes 0", "run --volumes 65", "run --volumes=-1",
		"tcc test http://127.0.0.1:1 --amount 0", "tcc test http://127.0.0.1:1 --timeout 0s",
	} {
		args := strings.Fields(line)
		for i := range args {
			args[i] = strings.Trim(args[i], "'")
		}
		code, said, sent := typed(t, args...)
		want := exitCannot
		if args[0] == "refund" && slices.ContainsFunc(args, func(s string) bool { return s == "0" || s == "00" || s == "-5" || s == huge }) {
			want = exitRefused
		}
		if code != want || len(sent) > 0 || said == "" {
			t.Errorf("koban %q ended with %d and sent %v: %s", args, code, sent, said)
		}
	}
	for _, text := range []string{"99999d999999h", "-1h", "1d-30h"} {
		if d, err := parseSpan(text); err == nil {
			t.Errorf("the clock would be moved by %s for %q", d, text)
		}
	}
}

// What is left out means all of it, and what is said is sent as it was said.
func TestNumbersAreSentAsTheyAre(t *testing.T) {
	for _, tc := range []struct {
		args []string
		sent string
	}{
		{[]string{"refund", "pay_1"}, "/v1/payments/pay_1/refunds {}"},
		{[]string{"refund", "pay_1", "600"}, `/v1/payments/pay_1/refunds {"amount":{"currency":"JPY","value":600}}`},
		{[]string{"refund", "pay_1", "9007199254740991"}, `/v1/payments/pay_1/refunds {"amount":{"currency":"JPY","value":9007199254740991}}`},
		{[]string{"erase", "cus_1"}, "/v1/customers/cus_1/erase {}"},
		{[]string{"erase", "mer_1", "--idempotency-key", "k"}, "/v1/merchants/mer_1/erase {}"},
		{[]string{"payments", "--limit", "100"}, "/v1/payments?limit=100 "},
		{[]string{"payments"}, "/v1/payments?limit=20 "},
		{[]string{"clock", "step", "--", "-5s"}, `/v1/clock/advance {"step_ms":-5000}`},
		{[]string{"clock", "step", "3h"}, `/v1/clock/advance {"step_ms":10800000}`},
		{
			[]string{"pay", "1", "--merchant", "mer_1", "--customer", "cus_1"},
			`/v1/payments {"amount":{"currency":"JPY","value":1},"customer":"cus_1","kind":"charge","merchant":"mer_1"}`,
		},
		{
			[]string{"pay", "7", "--points", "7", "--merchant", "mer_1", "--customer", "cus_1"},
			`/v1/payments {"amount":{"currency":"JPY","value":7},"customer":"cus_1","kind":"charge","merchant":"mer_1",` +
				`"sources":[{"amount":{"currency":"PT","value":7},"type":"points"}]}`,
		},
	} {
		if code, said, sent := typed(t, tc.args...); code != exitDone || len(sent) != 1 || sent[0] != tc.sent {
			t.Errorf("koban %q ended with %d and sent %q, expected %q: %s", tc.args, code, sent, tc.sent, said)
		}
	}
}
