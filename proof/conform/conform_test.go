package conform

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/score"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/proof/sample"
	"github.com/koban-pay/koban/proof/sample/broken"
	"github.com/koban-pay/koban/tcc/wire"
)

// stand is the sample participant behind a wire, good or broken, which can be crashed.
type stand struct {
	t       *testing.T
	mistake string
	journal string
	clk     *clock.Manual
	service *sample.Service
	door    atomic.Pointer[http.Handler]
	url     string
}

func start(t *testing.T, mistake string, durable bool) *stand {
	s := &stand{t: t, mistake: mistake, clk: clock.NewManual(clock.Micros(1_795_000_000) * clock.Second)}
	if durable {
		s.journal = filepath.Join(t.TempDir(), "journal")
	}
	s.open()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*s.door.Load()).ServeHTTP(w, r) }))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(func() { server.Close(); _ = s.service.Close() })
	s.url = server.URL
	return s
}

func (s *stand) now() time.Time { return s.clk.Now().Time() }

func (s *stand) open() {
	var err error
	if s.service, err = sample.Open(s.journal, s.now); err != nil {
		s.t.Fatal(err)
	}
	verbs := s.service.Handler()
	if s.mistake != "" {
		if verbs, err = broken.Handler(s.mistake, s.service, s.now, s.clk.Advance); err != nil {
			s.t.Fatal(err)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/", verbs)
	mux.Handle("/setup/", http.StripPrefix("/setup", s.service.Setup()))
	mux.Handle(wire.ServicePath, wire.Bridge(verbs))
	door := http.Handler(mux)
	s.door.Store(&door)
}

// crash ends the sample without a word to its callers, and starts it on what its journal holds.
func (s *stand) crash(context.Context) error {
	if err := s.service.Close(); err != nil {
		return err
	}
	if err := broken.Forget(s.mistake, s.journal); err != nil {
		return err
	}
	s.open()
	return nil
}

// withHooks has the kit make accounts, and withAccounts gives it two.
func (s *stand) withHooks() Options {
	o := s.withAccounts()
	o.Setup, o.Accounts, o.Amount, o.Advance = s.url+"/setup", nil, 0, s.clk.Advance
	return o
}

func (s *stand) withAccounts() Options {
	o := Options{URL: s.url, Currency: money.PT, Amount: 100_000, Add: true, Clock: s.clk, Advance: s.clk.Advance}
	for range 2 {
		account, err := s.service.Open(sample.Amount{Currency: "PT", Value: o.Amount})
		if err != nil {
			s.t.Fatal(err)
		}
		o.Accounts = append(o.Accounts, account)
	}
	if s.journal != "" {
		o.Restart = s.crash
	}
	return o
}

func examine(t *testing.T, o Options) *Report {
	t.Helper()
	r, err := Run(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func failures(r *Report) (out []string) {
	for _, c := range r.Checks() {
		if c.Status == Failed {
			out = append(out, c.Name)
		}
	}
	return out
}

// TestGoodSamplePassesAll: with hooks and with bare accounts, over HTTP and over gRPC; nothing is left out but what the
// options do not allow.
func TestGoodSamplePassesAll(t *testing.T) {
	for _, x := range []struct {
		name   string
		grpc   bool
		hooks  bool
		notRun string
	}{
		{"http hooks", false, true, ""},
		{"http accounts", false, false, "confirm-after-suspension"},
		{"grpc hooks", true, true, "bad-member bad-json"},
	} {
		t.Run(x.name, func(t *testing.T) {
			s := start(t, "", true)
			o := s.withAccounts()
			if x.hooks {
				o = s.withHooks()
			}
			if x.grpc {
				o.URL = strings.Replace(o.URL, "http", "grpc", 1)
			}
			r := examine(t, o)
			var notRun []string
			for _, c := range r.Checks() {
				switch c.Status {
				case Failed:
					t.Errorf("%s: %s", c.Name, c.Found)
				case NotRun:
					notRun = append(notRun, c.Name)
					if c.Give == "" {
						t.Errorf("%s was not run, because %s; what to give is not said", c.Name, c.Found)
					}
				case Passed:
					if len(c.Calls) == 0 {
						t.Errorf("%s passed without a call", c.Name)
					}
				}
			}
			if slices.Sort(notRun); !slices.Equal(notRun, sorted(x.notRun)) || !r.OK || r.Passed+len(notRun) != len(Checks()) {
				t.Errorf("%d passed, not run: %v, should be %v", r.Passed, notRun, sorted(x.notRun))
			}
		})
	}
}

func sorted(words string) []string {
	out := strings.Fields(words)
	slices.Sort(out)
	return out
}

// TestAnEmptyAccountIsNoBrokenRule: an account that is not there, is empty or holds something else is said to be that, before
// any check; so is an --amount that is not there.
func TestAnEmptyAccountIsNoBrokenRule(t *testing.T) {
	s := start(t, "", false)
	open := func(currency string, value int64) string {
		account, err := s.service.Open(sample.Amount{Currency: currency, Value: value})
		if err != nil {
			t.Fatal(err)
		}
		return account
	}
	for want, account := range map[string]string{
		"nothing is available": open("PT", 0), "cannot be paid from": "nobody", "currency": open("JPY", 100_000), "available": open("PT", 99_999),
	} {
		o := s.withAccounts()
		o.Accounts = []string{account}
		if _, err := Run(t.Context(), o, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("account %s: %v, should say %q", account, err, want)
		}
	}
}

// nearby are the mistakes that show where two calls meet, each with the checks that are about the same.
var nearby = map[string]string{
	"try-duplicate-at-once":     "try-sets-aside try-duplicate try-duplicate-at-once lost-try",
	"confirm-duplicate-at-once": "confirm-takes confirm-duplicate confirm-duplicate-at-once lost-confirm",
	"cancel-duplicate-at-once":  "cancel-lets-go cancel-duplicate cancel-duplicate-at-once lost-cancel",
	"try-last-units":            "try-counts-holds try-last-units lost-refusal",
	"try-no-overdraw":           "try-one-too-many try-no-overdraw",
	"confirm-or-cancel":         "confirm-after-cancel cancel-after-confirm confirm-or-cancel",
	"try-and-cancel":            "try-after-cancel cancel-empty try-and-cancel",
	"answers-in-time-at-once":   "answers-in-time answers-in-time-at-once",
	"add-duplicate-at-once":     "add-adds add-duplicate add-duplicate-at-once",
}

// noticed are the checks that notice a mistake besides the one that is meant for it.
// "…" stands for any: where nothing works, much fails.
var noticed = map[string]string{
	"try-sets-aside": "…", "confirm-takes": "…", "cancel-lets-go": "…",

	"try-duplicate":         "try-duplicate-at-once lost-try answers-in-time",
	"confirm-duplicate":     "confirm-in-parts confirm-duplicate-at-once lost-confirm confirm-or-cancel",
	"cancel-duplicate":      "cancel-duplicate-at-once confirm-or-cancel lost-cancel",
	"cancel-empty":          "confirm-tombstone-elsewhere try-after-cancel try-long-after-cancel tombstone-lasts try-and-cancel",
	"try-after-cancel":      "tombstone-lasts try-and-cancel",
	"cancel-refused-try":    "try-too-late lost-refusal cancel-refused-try-elsewhere",
	"confirm-after-cancel":  "confirm-or-cancel",
	"cancel-after-confirm":  "confirm-or-cancel",
	"try-refused-duplicate": "lost-refusal",

	"try-exact":        "cancel-lets-go try-refused-duplicate cancel-refused-try cancel-refused-try-elsewhere try-counts-holds try-last-units",
	"try-one-too-many": "confirm-after-refused-try try-counts-holds",
	"try-counts-holds": "try-refused-duplicate cancel-refused-try cancel-refused-try-elsewhere try-last-units try-no-overdraw",
	"confirm-in-part":  "confirm-in-parts cancel-after-part",
	"two-parts":        "long-ids",
	"try-too-late":     "clock-agrees",

	// Whoever asks again at once meets the copy that is still under way.
	"try-duplicate-at-once":     "lost-try lost-refusal try-and-cancel",
	"try-last-units":            "try-no-overdraw lost-refusal",
	"try-no-overdraw":           "try-last-units lost-refusal",
	"confirm-duplicate-at-once": "lost-confirm confirm-or-cancel",
	"cancel-duplicate-at-once":  "lost-cancel confirm-or-cancel",
	"try-and-cancel":            "try-duplicate-at-once lost-try lost-refusal",

	"add-adds":      "add-duplicate add-duplicate-at-once add-other-body add-unknown-account",
	"add-duplicate": "add-duplicate-at-once add-other-body",
}

// TestEveryMistakeIsFound: each broken participant fails the check that is meant for it, and no other but those that have
// to notice; there is one for each check. With bare accounts, the meant check finds it too, or the kit before it.
func TestEveryMistakeIsFound(t *testing.T) {
	var caught atomic.Int64
	names := broken.Names()
	for _, c := range Checks() {
		if !slices.Contains(names, c) {
			t.Errorf("no broken participant is meant for %s", c)
		}
	}
	t.Run("all", func(t *testing.T) {
		for _, name := range names {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				if isFound(t, name) {
					caught.Add(1)
				}
			})
		}
	})
	n := int(caught.Load())
	score.Report(t, score.Line{
		ID: "conformance", Name: "conformance kit over the wire", Value: int64(n), OK: n == len(names) && n == len(Checks()),
		Figure: fmt.Sprintf("%d checks, %d of %d broken participants caught", len(Checks()), n, len(names)), Target: "every check, every broken participant",
	})
}

func isFound(t *testing.T, name string) bool {
	durable := strings.HasPrefix(name, "restart-")
	hooked := start(t, name, durable).withHooks()
	switch { // these wait for others at each call
	case nearby[name] != "":
		for _, near := range nearby {
			hooked.Only = append(hooked.Only, strings.Fields(near)...)
		}
	case strings.HasPrefix(name, "lost-"):
		hooked.Only = []string{"try-sets-aside", "confirm-takes", "cancel-lets-go", "lost-try", "lost-confirm", "lost-cancel", "lost-refusal"}
	}
	failed := failures(examine(t, hooked))
	if !slices.Contains(failed, name) {
		t.Errorf("it passes %s; it fails %v", name, failed)
		return false
	}
	noticing := strings.Fields(noticed[name])
	for _, f := range failed {
		if f != name && !slices.Contains(noticing, f) && noticed[name] != "…" {
			t.Errorf("what is broken for %s fails %s too", name, f)
		}
	}
	bare := start(t, name, durable).withAccounts()
	bare.Only = []string{name}
	r, err := Run(t.Context(), bare, nil)
	if err == nil && r.Passed > 0 {
		t.Errorf("with bare accounts it passes %s", name)
		return false
	}
	return true
}
