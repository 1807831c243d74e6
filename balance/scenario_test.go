package balance

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// TestScenarios runs testdata/*.txt, whose language testdata/README explains.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 8 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &script{onThread: newOnThread(t), T: t, names: map[string]id.ID{}, tries: map[string]tcc.TryRequest{}, payments: map[string]id.ID{}}
			for i, line := range strings.Split(string(text), "\n") {
				s.line = file + ":" + strconv.Itoa(i+1)
				s.run(line)
			}
			s.audit()
		})
	}
}

type script struct {
	*onThread
	*testing.T
	line     string
	names    map[string]id.ID // accounts
	payments map[string]id.ID
	tries    map[string]tcc.TryRequest // by branch
	last     func() (tcc.Receipt, error)
	receipt  tcc.Receipt
	payment  id.ID
	legs     []tcc.Leg // of the last entry, not yet named
}

func (s *script) fail(format string, args ...any) {
	s.Helper()
	s.Fatalf(s.line+": "+format, args...)
}

func (s *script) run(line string) {
	line, _, _ = strings.Cut(line, "#")
	w := strings.Fields(line)
	switch {
	case len(w) == 0:
	case line[0] == ' ':
		s.leg(w)
	default:
		s.statement(w, w[len(w)-1])
	}
}

func (s *script) statement(w []string, want string) {
	switch w[0] {
	case "account":
		s.openAccount(w[1:])
	case "try", "confirm", "cancel", "add":
		s.last = s.verb(w[0], w[1:len(w)-1])
		s.do(want)
	case "again":
		first := s.receipt
		if s.do(want); s.receipt != first {
			s.fail("first %+v, then %+v", first, s.receipt)
		}
	case "credit":
		_, err := s.Credit(s.Context(), AddCredit{Key: s.key(), ID: s.new(), Account: s.names[w[1]], Amount: s.amount(w[2]), EffectiveAt: s.Clock.Now()})
		s.want(code(err), want)
	case "suspend", "lift", "close":
		s.want(code(s.status(w)), want)
	case "wait":
		d, err := time.ParseDuration(w[1])
		if err != nil {
			s.fail("%v", err)
		}
		s.Advance(d)
	case "restart":
		s.Restart()
	default:
		s.state(w)
	}
}

func (s *script) want(got, want string) {
	s.Helper()
	if got != want {
		s.fail("got %s, want %s", got, want)
	}
}

// do runs the last verb and takes note of what it did.
func (s *script) do(want string) {
	r, err := s.last()
	got := code(err)
	if r.Suspense {
		got = "suspense"
	}
	s.want(got, want)
	s.receipt, s.legs = r, nil
	entries, err := s.Entries(s.Context(), tenant, s.payment, []tcc.Receipt{r})
	if err != nil {
		s.fail("%v", err)
	}
	for _, e := range entries {
		s.legs = append(s.legs, e.Legs...)
	}
}

// leg checks one line of the last entry: "[pending] debit|credit account amount".
func (s *script) leg(w []string) {
	pending := w[0] == "pending"
	if pending {
		w = w[1:]
	}
	want := tcc.Leg{Account: s.named(w[1]), Debit: w[0] == "debit", Pending: pending, Amount: s.amount(w[2])}
	want.Kind = KindOf(want.Account).String()
	for i, l := range s.legs {
		if l == want {
			s.legs = append(s.legs[:i], s.legs[i+1:]...)
			return
		}
	}
	s.fail("the entry has no such line; left are %+v", s.legs)
}

// state checks an account: "name posted N held N available N status S".
func (s *script) state(w []string) {
	a, err := s.Account(s.Context(), tenant, s.named(w[0]))
	if err != nil {
		s.fail("%v", err)
	}
	for i := 1; i+1 < len(w); i += 2 {
		got := map[string]string{
			"posted": strconv.FormatInt(a.Posted(), 10), "held": strconv.FormatInt(a.Held(), 10),
			"available": strconv.FormatInt(a.Available(), 10), "status": a.Status.String(), "entries": strconv.FormatUint(a.Version, 10),
		}[w[i]]
		if want := strings.ReplaceAll(w[i+1], ",", ""); got != want {
			s.fail("%s: %s is %s, not %s", w[0], w[i], got, want)
		}
	}
}

func (s *script) named(name string) id.ID {
	if k, ok := parseOwn(name); ok {
		return s.machine().Own(k, money.JPY)
	}
	x, ok := s.names[name]
	if !ok {
		s.fail("no account %s", name)
	}
	return x
}

func (s *script) int(word string) int64 {
	n, err := strconv.ParseInt(strings.ReplaceAll(word, ",", ""), 10, 64)
	if err != nil {
		s.fail("%v", err)
	}
	return n
}

// amount reads yen, or an amount with its currency in front: USD:100.
func (s *script) amount(word string) money.Amount {
	c := money.JPY
	if before, after, ok := strings.Cut(word, ":"); ok {
		c, _ = money.ParseCurrency(before)
		word = after
	}
	return money.Of(s.int(word), c)
}

func (s *script) openAccount(w []string) {
	kind, ok := ParseKind(w[1])
	if !ok {
		s.fail("no kind %s", w[1])
	}
	terms, opening := Terms{Currency: money.JPY}, int64(0)
	for _, word := range w[2:] {
		name, value, _ := strings.Cut(word, "=")
		n := s.int(value)
		switch name {
		case "holds":
			opening = n
		case "cap":
			terms.Cap = n
		case "day_in":
			terms.Limits.DayIn = n
		case "day_out":
			terms.Limits.DayOut = n
		default:
			s.fail("what is %s?", word)
		}
	}
	s.names[w[0]] = s.open(kind, terms, opening)
}

func (s *script) status(w []string) error {
	x := s.names[w[1]]
	var err error
	switch w[0] {
	case "suspend":
		how, _ := ledger.ParseStatus(w[2])
		_, err = s.Suspend(s.Context(), tenant, x, how)
	case "lift":
		_, err = s.Lift(s.Context(), tenant, x)
	case "close":
		_, err = s.Close(s.Context(), tenant, x)
	}
	return err
}

// branchNamed returns the branch written as payment/number.
func (s *script) branchNamed(word string) tcc.Branch {
	name, part, _ := strings.Cut(word, "/")
	if s.payments[name].IsNil() {
		s.payments[name] = s.new()
	}
	s.payment = s.payments[name]
	return s.branch(s.payment, uint8(s.int(part)))
}

// fundings reads "kind amount kind amount …".
func (s *script) fundings(w []string) (list []tcc.Funding) {
	for i := 0; i+1 < len(w); i += 2 {
		list = append(list, tcc.Funding{From: w[i], Amount: s.amount(w[i+1])})
	}
	return list
}

func (s *script) verb(verb string, w []string) func() (tcc.Receipt, error) {
	b := s.branchNamed(w[0])
	switch verb {
	case "try":
		r := tcc.TryRequest{
			Branch: b, Account: s.named(w[1]), Amount: s.amount(w[2]), Purpose: tcc.Charge,
			NotAfter: s.Clock.Now().Add(time.Minute), EffectiveAt: s.Clock.Now(),
		}
		if known, ok := s.tries[w[0]]; ok && (len(w) > 3 || known.Amount == r.Amount && known.Account == r.Account) {
			r = known // a duplicate says what the first said
		}
		s.tries[w[0]] = r
		return func() (tcc.Receipt, error) { return s.Try(s.Context(), r) }
	case "confirm":
		try := s.tries[w[0]]
		r := tcc.ConfirmRequest{Branch: b, Account: try.Account, Capture: 1, Amount: s.amount(w[1]), EffectiveAt: try.EffectiveAt}
		for i, word := range w[2:] {
			switch {
			case word == "final":
				r.Final = true
			case strings.HasPrefix(word, "capture="):
				r.Capture = uint32(s.int(strings.TrimPrefix(word, "capture=")))
			case word == "to":
				r.To = s.fundings(w[3+i:])
			}
		}
		return func() (tcc.Receipt, error) { return s.Confirm(s.Context(), r) }
	case "cancel":
		try, ok := s.tries[w[0]]
		if !ok { // its Try will come later, or never
			try = tcc.TryRequest{Branch: b, Account: s.named(w[1]), NotAfter: s.Clock.Now().Add(time.Minute), EffectiveAt: s.Clock.Now()}
		}
		return func() (tcc.Receipt, error) { return s.Cancel(s.Context(), cancelOf(try)) }
	}
	r := tcc.AddRequest{
		Branch: b, Account: s.named(w[1]), Amount: s.amount(w[2]), Purpose: tcc.Charge, Funding: s.fundings(w[4:]),
		EffectiveAt: s.Clock.Now(),
	}
	return func() (tcc.Receipt, error) { return s.Add(s.Context(), r) }
}
