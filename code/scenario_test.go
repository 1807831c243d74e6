package code

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/booktest"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

const tenant id.Tenant = 7

// TestScenarios runs testdata/*.txt, whose language testdata/README explains.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 6 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &script{T: t, Harness: harness(t), file: file, sent: map[string]any{}}
			s.run(string(text))
		})
	}
}

func harness(t testing.TB) *booktest.Harness {
	return booktest.New(t, "code", func() book.Machine { return NewMachine(0, 1, DefaultRules) })
}

type script struct {
	*testing.T
	*booktest.Harness
	file string
	line int
	sent map[string]any // what was asked in the same words before, to send duplicates with the same times
}

func (s *script) run(text string) {
	for i, line := range strings.Split(text, "\n") {
		s.line = i + 1
		line, _, _ = strings.Cut(line, "#")
		if w := strings.Fields(line); len(w) > 0 {
			s.statement(w)
		}
	}
	s.Rebuild()
	verify(s.T, s.Harness)
}

// verify replays the whole journal and holds the rows to the invariants.
func verify(t testing.TB, h *booktest.Harness) {
	t.Helper()
	m := NewMachine(0, 1, DefaultRules)
	if _, err := book.Recover(context.Background(), "code/00", 0, m, h.Log, book.NewMemState()); err != nil {
		t.Fatal(err)
	}
	for _, f := range m.Check() {
		if len(f.Violations) > 0 {
			t.Errorf("%s: %s", f.Invariant, strings.Join(f.Violations, "; "))
		}
	}
}

func (s *script) fail(format string, args ...any) {
	s.Helper()
	s.Fatalf("%s:%d: %s", s.file, s.line, fmt.Sprintf(format, args...))
}

func (s *script) statement(w []string) {
	switch w[0] {
	case "shop", "scan":
		s.made(w)
	case "try", "confirm", "cancel":
		_, err := s.Do(branch.CommandOf(s.request(w), branch.Japan))
		s.expect(err, w[len(w)-1])
	case "wait":
		s.Advance(s.time(w[1]))
	case "late":
		s.Clock.Advance(s.time(w[1]))
	case "restart":
		s.Restart()
	default:
		reply, err := s.Do(&ReadSession{Tenant: tenant, ID: name(w[0])})
		if err != nil {
			s.fail("%v", err)
		}
		if v := reply.(Session); v.Status.String() != w[1] {
			s.fail("%v", v.Status)
		}
	}
}

func (s *script) expect(err error, want string) {
	s.Helper()
	got := "ok"
	if err != nil {
		got = string(fault.Of(err).Code)
	}
	if got != want {
		s.fail("%s, want %s (%v)", got, want, err)
	}
}

// made asks for a shop or a session. Under a known key it checks that the reply leads to the first one.
func (s *script) made(w []string) {
	body, caller := w[:len(w)-1], fmt.Sprintf("line %d", s.line)
	if i := slices.Index(w, "key"); i > 0 {
		body, caller = w[:i], w[i+1]
	}
	print := [16]byte(name(strings.Join(body, " ")))
	fresh := name(w[1])
	var cmd any = &Register{Tenant: tenant, Key: name("key " + caller), Fingerprint: print, Merchant: fresh, Details: []byte(w[1])}
	if w[0] == "scan" {
		c := &Scan{
			Tenant: tenant, Key: name("key " + caller), Fingerprint: print, ID: fresh, Customer: name(w[2]), Merchant: name(w[3]),
			Currency: money.JPY,
		}
		if len(body) > 4 {
			c.Minor = s.int(body[4])
		}
		cmd = c
	}
	reply, err := s.Do(branch.CommandOf(cmd, branch.Japan))
	s.expect(err, w[len(w)-1])
	if again, ok := reply.(Repeated); ok && again.ID != fresh {
		s.fail("the key leads to %x, not to %x", again.ID, fresh)
	}
}

// request makes a request of the contract. One that was made in the same words before is sent again as it was.
func (s *script) request(w []string) any {
	words := strings.Join(w[:len(w)-1], " ")
	if r, ok := s.sent[words]; ok {
		return r
	}
	now := s.Clock.Now()
	b, session := part(w[1]), name(w[2])
	var r any
	switch w[0] {
	case "try":
		by, c := now+clock.Minute, money.JPY
		if i := slices.Index(w, "by"); i > 0 {
			by = now.Add(s.time(w[i+1]))
		}
		if slices.Contains(w, "USD") {
			c = money.USD
		}
		r = &tcc.TryRequest{
			Branch: b, Account: session, Amount: money.Amount{Minor: s.int(w[5]), Currency: c}, Purpose: tcc.Charge, NotAfter: by,
			EffectiveAt: now, Customer: name(w[3]), Merchant: name(w[4]),
		}
	case "confirm":
		n := int64(1)
		if i := slices.Index(w, "capture"); i > 0 {
			n = s.int(w[i+1])
		}
		r = &tcc.ConfirmRequest{Branch: b, Account: session, Capture: uint32(n), Amount: money.Yen(s.int(w[3])), EffectiveAt: now}
	case "cancel":
		r = &tcc.CancelRequest{Branch: b, Account: session, NotAfter: now + clock.Minute, EffectiveAt: now}
	}
	s.sent[words] = r
	return r
}

func (s *script) int(word string) int64 {
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		s.fail("%v", err)
	}
	return n
}

func (s *script) time(word string) time.Duration {
	d, err := time.ParseDuration(word)
	if err != nil {
		s.fail("%v", err)
	}
	return d
}

// name returns the id of a thing with a name.
func name(word string) id.ID {
	h := sha256.Sum256([]byte(word))
	return id.Compose(booktest.Start, 0, [9]byte(h[:9]))
}

func part(word string) tcc.Branch {
	return tcc.Branch{Tenant: tenant, ID: name("pay " + word).Facet(1)}
}
