package points

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
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/branch"
)

const tenant id.Tenant = 7

// TestScenarios runs testdata/*.txt, whose language testdata/README explains.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 13 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &script{T: t, file: file, rules: RuleSet{}, sent: map[string]any{}}
			s.Harness = booktest.New(t, "points", func() book.Machine { return NewMachine(0, 1, s.rules) })
			s.run(string(text))
		})
	}
}

type script struct {
	*testing.T
	*booktest.Harness
	file  string
	line  int
	rules RuleSet
	sent  map[string]any // what was asked under a name first, to send duplicates with the same times
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
	m := NewMachine(0, 1, nil)
	if _, err := book.Recover(context.Background(), "points/00", 0, m, h.Log, book.NewMemState()); err != nil {
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
	last := w[len(w)-1]
	switch w[0] {
	case "rules":
		s.rules[tenant] = Rules{RefundDays: s.int(w[2]), ReleaseDays: s.int(w[4]), AddDays: s.int(w[6])}
	case "open":
		s.expect(&Open{Tenant: tenant, Owner: name(w[1])}, "ok")
	case "grant":
		s.grant(w)
	case "try", "confirm", "cancel", "add", "refund":
		s.expect(s.request(w), last)
	case "status":
		to, ok := ledger.ParseStatus(w[2])
		if !ok {
			s.fail("no status %s", w[2])
		}
		s.expect(&SetStatus{Tenant: tenant, Account: account(w[1]), Status: to}, last)
	case "wait":
		s.Advance(s.time(w[1]))
	case "late":
		s.Clock.Advance(s.time(w[1]))
	case "restart":
		s.Restart()
	default:
		s.look(w)
	}
}

// expect submits a command and compares what came of it: ok, suspense or a code.
func (s *script) expect(cmd any, want string) {
	s.Helper()
	reply, err := s.Do(branch.CommandOf(cmd, branch.Japan))
	if again, ok := reply.(Repeated); ok && err == nil {
		reply, err = s.Do(&ReadGrant{Tenant: tenant, ID: again.ID})
	}
	got := "ok"
	if r, ok := reply.(tcc.Receipt); ok && r.Suspense {
		got = "suspense"
	}
	if err != nil {
		got = string(fault.Of(err).Code)
	}
	if got != want {
		s.fail("%s, want %s (%v)", got, want, err)
	}
}

func (s *script) grant(w []string) {
	class := Free
	if w[3] == "paid" {
		class = Paid
	}
	var expires clock.Micros
	if w[4] != "never" {
		expires = s.at(w[4])
	}
	key := fmt.Sprintf("line %d", s.line)
	if w[5] == "key" {
		key = w[6]
	}
	print := sha256.Sum256([]byte(strings.Join(w[:5], " ")))
	cmd := &Grant{
		Tenant: tenant, Key: name("key " + key), Fingerprint: [16]byte(print[:16]), ID: name(fmt.Sprint(w, s.line)), Account: account(w[1]),
		Amount: s.points(w[2]), Class: class, ExpiresAt: expires, EffectiveAt: s.Clock.Now(),
	}
	s.expect(cmd, w[len(w)-1])
}

// request makes a request of the contract. One that was made under the same words before is sent again as it was.
func (s *script) request(w []string) any {
	words := strings.Join(w[:len(w)-1], " ")
	if r, ok := s.sent[words]; ok {
		return r
	}
	now := s.Clock.Now()
	b := part(w[1])
	a := account(w[2])
	var r any
	switch w[0] {
	case "try":
		by := now + clock.Minute
		if i := slices.Index(w, "by"); i > 0 {
			by = s.at(w[i+1])
		}
		r = &tcc.TryRequest{Branch: b, Account: a, Amount: s.points(w[3]), Purpose: tcc.Charge, NotAfter: by, EffectiveAt: now}
	case "confirm":
		n := 1
		if i := slices.Index(w, "capture"); i > 0 {
			n = s.int(w[i+1])
		}
		final := slices.Contains(w, "final")
		r = &tcc.ConfirmRequest{Branch: b, Account: a, Capture: uint32(n), Amount: s.points(w[3]), Final: final, EffectiveAt: now}
	case "cancel":
		r = &tcc.CancelRequest{Branch: b, Account: a, NotAfter: now + clock.Minute, EffectiveAt: now}
	case "add":
		r = &tcc.AddRequest{Branch: b, Account: a, Amount: s.points(w[3]), Purpose: tcc.Credit, EffectiveAt: now}
	case "refund":
		r = &tcc.AddRequest{Branch: b, Account: a, Amount: s.points(w[3]), Purpose: tcc.Refund, Origin: part(w[5]).ID, EffectiveAt: now}
	}
	s.sent[words] = r
	return r
}

func (s *script) look(w []string) {
	x := account(w[0])
	if k, ok := ParseKind(w[0]); ok {
		x = OwnAccount(k, 0, 1)
	}
	reply, err := s.Do(&Read{Tenant: tenant, Account: x})
	if err != nil {
		s.fail("%v", err)
	}
	v := reply.(View)
	if w[1] == "lots" {
		if got := lots(v.Lots); got != strings.Join(w[2:], " ") {
			s.fail("lots %s", got)
		}
		return
	}
	for i := 1; i < len(w); i += 2 {
		got, ok := map[string]int64{"posted": v.Posted, "held": v.Held, "available": v.Available}[w[i]]
		if !ok || got != int64(s.int(w[i+1])) {
			s.fail("%s is %d", w[i], got)
		}
	}
}

func lots(ls Lots) string {
	if len(ls) == 0 {
		return "-"
	}
	var out []string
	for _, l := range ls {
		word := fmt.Sprintf("%d:%d", l.N, l.Left)
		if l.Held > 0 {
			word += fmt.Sprintf("/%d", l.Held)
		}
		out = append(out, word)
	}
	return strings.Join(out, " ")
}

func (s *script) int(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		s.fail("%v", err)
	}
	return n
}

func (s *script) points(word string) money.Amount { return points(int64(s.int(word))) }

func (s *script) at(word string) clock.Micros { return s.Clock.Now().Add(s.time(word)) }

func (s *script) time(word string) time.Duration {
	if days, ok := strings.CutSuffix(word, "d"); ok {
		return time.Duration(s.int(days)) * 24 * time.Hour
	}
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

func account(owner string) id.ID { return name(owner).Facet(tcc.PointsAccount) }

func part(word string) tcc.Branch {
	return tcc.Branch{Tenant: tenant, ID: name("pay " + word).Facet(1)}
}
