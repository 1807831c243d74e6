package conform

import (
	"time"

	"github.com/koban-pay/koban/tcc/kit"
)

// What became of a check.
const (
	Passed = "passed"
	Failed = "failed"
	NotRun = "not_run"
)

// Report is what an examination found.
type Report struct {
	OK     bool     `json:"ok"` // all that ran passed, and something ran
	Target string   `json:"target"`
	At     string   `json:"at"`
	Passed int      `json:"passed"`
	Failed int      `json:"failed"`
	NotRun int      `json:"not_run"`
	Groups []Group  `json:"groups"`
	Timing []Timing `json:"timing"`
	// TimeoutMicros is how long the platform waits for an answer.
	TimeoutMicros int64 `json:"timeout_us"`
	// NotExamined says what the contract demands and no check can see from outside.
	NotExamined []string `json:"not_examined"`
}

// notExamined is what takes days, or a person, to find out.
var notExamined = []string{
	"Branches are kept: a duplicate may come days later. A service that forgets them after an hour passes every check.",
	"A tombstone stays until not_after and a day; the checks wait for its not_after.",
	"What could not be placed is seen to by a person.",
	"An answer is durable against the loss of power, not only of the process.",
}

// Group is the checks about one thing.
type Group struct {
	Name   string  `json:"name"`
	Checks []Check `json:"checks"`
}

// Check is one demand of the contract and what became of it.
type Check struct {
	Name   string `json:"name"`
	Group  string `json:"group"`
	What   string `json:"what"`            // the contract demands
	Status string `json:"status"`          // passed, failed or not_run
	Found  string `json:"found,omitempty"` // instead; or what is missing for the check to run
	Give   string `json:"give,omitempty"`  // what to give, so that it can run
	Why    string `json:"why"`             // what money goes wrong
	Fix    string `json:"fix"`             // what to change
	Calls  []Call `json:"calls"`
	// LeftOut is how many calls in the middle are not shown.
	LeftOut int `json:"calls_left_out"`
}

// Call is one call that was made.
type Call struct {
	By         string `json:"by"` // check; kit: to prepare or look; cut: nobody heard the answer
	Verb       string `json:"verb"`
	Request    string `json:"request"`
	Status     string `json:"status"` // "" if no answer came
	Answer     string `json:"answer"`
	Outcome    string `json:"outcome"`              // done, refused or unknown
	Understood string `json:"understood,omitempty"` // as the platform reads it, if it is not done
	TookMicros int64  `json:"took_us"`
}

// Timing says how long answers took, in microseconds.
type Timing struct {
	Verb  string `json:"verb"`
	Calls int    `json:"calls"`
	P50   int64  `json:"p50_us"`
	P99   int64  `json:"p99_us"`
	Max   int64  `json:"max_us"`
	Slow  int    `json:"slow"` // answers that came after the platform had stopped waiting
}

func newReport(o Options) *Report {
	r := &Report{NotExamined: notExamined, Target: o.URL, At: o.Clock.Now().Time().Format(time.RFC3339)}
	for _, name := range kit.Groups() {
		r.Groups = append(r.Groups, Group{Name: name, Checks: []Check{}})
	}
	return r
}

func (r *Report) add(c Check) {
	switch c.Status {
	case Passed:
		r.Passed++
	case Failed:
		r.Failed++
	default:
		r.NotRun++
	}
	for i := range r.Groups {
		if r.Groups[i].Name == c.Group {
			r.Groups[i].Checks = append(r.Groups[i].Checks, c)
		}
	}
}

func (r *Report) finish(n *notebook, timeout time.Duration) {
	r.OK = r.Failed == 0 && r.Passed > 0
	r.Timing = n.timings(timeout)
	r.TimeoutMicros = micros(timeout)
}

// Checks returns all checks of the report in order.
func (r *Report) Checks() (out []Check) {
	for _, g := range r.Groups {
		out = append(out, g.Checks...)
	}
	return out
}

// give says what makes a check run.
var give = map[kit.Need]string{
	kit.NeedRestart:  "give --restart 'COMMAND' that kills the service, as with kill -9, and starts it again",
	kit.NeedCrash:    "give --restart 'COMMAND' that kills the service, as with kill -9, and starts it again",
	kit.NeedSuspend:  "give --setup URL with the hooks /suspend and /balance",
	kit.NeedReceiver: "give --add, if the service can be given value",
	kit.NeedAccounts: "give a second --account",
	kit.NeedFunds:    "give an account with more, and --amount",
	kit.NeedJSON:     "give the http:// address, if there is one: over gRPC such a request cannot be written",
}

func (r *run) toCheck(x kit.Result) Check {
	c := Check{Name: x.Name, Group: x.Group, What: x.What, Why: x.Why, Fix: x.Fix, Found: x.Detail, Status: Failed, Calls: []Call{}}
	switch {
	case x.Skipped:
		c.Status, c.Give = NotRun, give[x.Lacks]
		return c
	case x.OK:
		c.Status = Passed
	}
	if calls, leftOut := evidence(r.notes.take(), !x.OK); calls != nil {
		c.Calls, c.LeftOut = calls, leftOut
	}
	return c
}
