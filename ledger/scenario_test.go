package ledger_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
)

// TestScenarios runs testdata/*.txt, whose language testdata/README explains.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 12 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &script{T: t, book: newBook[string](), file: file}
			s.run(string(text))
		})
	}
}

type script struct {
	*testing.T
	*book[string]
	file  string
	line  int
	day   ledger.Day
	chain []ledger.Transfer[string]
	want  string // of the chain that is being read, "" when none is
}

func (s *script) run(text string) {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		s.line = i + 1
		line, _, _ = strings.Cut(line, "#")
		words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '→' })
		inChain := strings.HasPrefix(line, " ")
		if len(words) > 0 && s.want != "" && !inChain || i == len(lines)-1 {
			s.endChain()
		}
		switch {
		case len(words) == 0:
		case inChain:
			s.chain = append(s.chain, s.transfer(words))
		default:
			s.statement(words)
		}
	}
}

func (s *script) statement(words []string) {
	last := words[len(words)-1]
	switch words[0] {
	case "account":
		s.open(words[1:])
	case "day":
		at, err := time.Parse(time.DateOnly, words[1])
		s.check(err)
		s.day = ledger.Day(at.Unix() / 86400)
	case "chain":
		s.want = last
	case "move", "hold", "expect", "post", "void":
		s.expect(s.do(s.T, s.day, s.transfer(words[:len(words)-1])), last)
	case "status":
		to, ok := ledger.ParseStatus(words[2])
		if !ok {
			s.fail("no status %s", words[2])
		}
		err := s.account(words[1]).CanBecome(to)
		s.expect(code(err), last)
		if err == nil {
			s.account(words[1]).Become(to)
		}
	case "receive":
		s.expect(code(s.account(words[1]).CanReceive(s.amount(words[2], words[1]), s.day)), last)
	case "take":
		s.expect(code(s.account(words[1]).CanTake(s.amount(words[2], words[1]), s.day)), last)
	default:
		s.compare(words)
	}
}

// transfer reads "move A → B 5", "hold h on A 5", "expect h on A 5", "post h → B 5 [final]" or "void h".
func (s *script) transfer(words []string) ledger.Transfer[string] {
	arg := func(i int) string {
		if i >= len(words) {
			s.fail("%q is too short", strings.Join(words, " "))
		}
		return words[i]
	}
	switch words[0] {
	case "move":
		return ledger.Move(arg(1), arg(2), s.amount(arg(3), arg(1)))
	case "hold", "expect":
		side := ledger.Credit
		if a := s.accounts[arg(3)]; a != nil {
			side = a.Normal
		}
		if words[0] == "hold" {
			side = side.Opposite()
		}
		if side == ledger.Debit {
			return ledger.HoldDebit(arg(1), arg(3), s.amount(arg(4), arg(3)))
		}
		return ledger.HoldCredit(arg(1), arg(3), s.amount(arg(4), arg(3)))
	case "post":
		if words[len(words)-1] == "final" {
			return ledger.PostFinal(arg(1), arg(2), s.amount(arg(3), arg(2)))
		}
		return ledger.Post(arg(1), arg(2), s.amount(arg(3), arg(2)))
	case "void":
		return ledger.Void(arg(1))
	}
	s.fail("%q is no transfer", strings.Join(words, " "))
	panic("unreachable")
}

func (s *script) endChain() {
	if s.want == "" {
		return
	}
	got := s.do(s.T, s.day, s.chain...)
	s.expect(got, s.want)
	s.chain, s.want = nil, ""
}

// open reads "cash JPY credit [may_go_negative] [cap=5] [day_in=5] …".
func (s *script) open(words []string) {
	currency, err := money.ParseCurrency(words[1])
	s.check(err)
	a := &ledger.Account{Currency: currency, Normal: ledger.Credit, Status: ledger.Open}
	if words[2] == "debit" {
		a.Normal = ledger.Debit
	}
	terms := map[string]*int64{
		"cap": &a.Cap, "day_in": &a.Limits.DayIn, "day_out": &a.Limits.DayOut,
		"month_in": &a.Limits.MonthIn, "month_out": &a.Limits.MonthOut,
	}
	for _, w := range words[3:] {
		name, n, _ := strings.Cut(w, "=")
		switch to := terms[name]; {
		case to != nil:
			*to = s.amount(n, "").Minor
		case w == "may_go_negative":
			a.MayGoNegative = true
		default:
			s.fail("no term %s", w)
		}
	}
	s.accounts[words[0]] = a
}

// compare reads "cash posted 5 held 5 …", or "h open 5 posted 5 …" of a hold.
func (s *script) compare(words []string) {
	var facts map[string]string
	if h := s.holds[words[0]]; h != nil {
		facts = map[string]string{"open": num(h.Open()), "posted": num(h.Posted), "released": num(h.Released)}
	} else {
		a := s.account(words[0])
		facts = map[string]string{
			"posted": num(a.Posted()), "held": num(a.Held()), "incoming": num(a.Incoming()), "available": num(a.Available()),
			"status": a.Status.String(), "entries": fmt.Sprint(a.Version), "day_in": num(a.Used.DayIn),
			"day_out": num(a.Used.DayOut), "month_in": num(a.Used.MonthIn), "month_out": num(a.Used.MonthOut),
		}
	}
	if len(words)%2 == 0 {
		s.fail("%q is no list of names and values", words)
	}
	for i := 1; i < len(words); i += 2 {
		got, ok := facts[words[i]]
		want := strings.ReplaceAll(words[i+1], ",", "")
		if !ok || got != want {
			s.fail("%s: %s is %s, not %s", words[0], words[i], got, want)
		}
	}
}

func num(n int64) string { return strconv.FormatInt(n, 10) }

// amount reads "1,000", in the currency of the named account, or "5_USD" in another one.
func (s *script) amount(word, account string) money.Amount {
	currency := money.JPY
	if a := s.accounts[account]; a != nil {
		currency = a.Currency
	}
	digits, code, ok := strings.Cut(word, "_")
	if ok {
		var err error
		currency, err = money.ParseCurrency(code)
		s.check(err)
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(digits, ",", ""), 10, 64)
	s.check(err)
	return money.Of(n, currency)
}

func (s *script) account(name string) *ledger.Account {
	a := s.accounts[name]
	if a == nil {
		s.fail("no account %s", name)
	}
	return a
}

func (s *script) expect(got, want string) {
	if got != want {
		s.fail("%s, not %s", got, want)
	}
}

func (s *script) check(err error) {
	if err != nil {
		s.fail("%v", err)
	}
}

func (s *script) fail(format string, args ...any) {
	s.Helper()
	s.Fatalf("%s:%d: %s", s.file, s.line, fmt.Sprintf(format, args...))
}
