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
	"github.com/koban-pay/koban/tcc/tccrpc"
	"github.com/koban-pay/koban/tcc/tccrpc/sample"
	"github.com/koban-pay/koban/tcc/tccrpc/sample/broken"
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
	mux.Handle(tccrpc.ServicePath, tccrpc.Bridge(verbs))
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

// noticed are the checks that notice a mistake besides the one that is meant for it.
var noticed = map[string]string{}

// TestEveryMistakeIsFound: each broken participant fails the check that is meant for it, and no other but those that have
// to notice; there is one for each check. With bare accounts, the meant check finds it too.
func TestEveryMistakeIsFound(t *testing.T) {
	caught := 0
	names := broken.Names()
	for _, c := range Checks() {
		if !slices.Contains(names, c) {
			t.Errorf("no broken participant is meant for %s", c)
		}
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			s := start(t, name, strings.HasPrefix(name, "restart-"))
			failed := failures(examine(t, s.withHooks()))
			if !slices.Contains(failed, name) {
				t.Fatalf("it passes %s; failed: %v", name, failed)
			}
			caught++
			if also := slices.DeleteFunc(failed, func(f string) bool { return f == name || slices.Contains(strings.Fields(noticed[name]), f) }); len(also) > 0 {
				t.Errorf("it fails %s too", strings.Join(also, " "))
			}
			bare := start(t, name, strings.HasPrefix(name, "restart-"))
			o := bare.withAccounts()
			o.Only = []string{name}
			for _, c := range examine(t, o).Checks() {
				if c.Status == Passed {
					t.Errorf("with bare accounts it passes %s", name)
				}
			}
		})
	}
	score.Report(t, score.Line{ID: "conformance", Name: "conformance kit over the wire", Value: int64(caught), OK: caught == len(names) && len(names) == len(Checks()),
		Figure: fmt.Sprintf("%d checks, %d of %d broken participants caught", len(Checks()), caught, len(names)), Target: "every check, every broken participant"})
}
