package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/term"
)

type faultCmd struct {
	List   faultListCmd   `cmd:"" default:"withargs" help:"Show the faults that were injected, and what they hit."`
	Inject faultInjectCmd `cmd:"" help:"Let calls to participants go wrong, or kill the platform at one."`
	Clear  faultClearCmd  `cmd:"" help:"End a fault, or all of them."`
}

// Help says more than one line can.
func (faultCmd) Help() string {
	return `Only on a platform to rehearse on (koban run --rehearsal). See what your flow does when a participant is slow, refuses, does
not answer, is asked twice or is dead. Faults end with the process.`
}

type faultListCmd struct {
	JSON  bool `name:"json" help:"Print the list as JSON."`
	where `embed:""`
}

// Run prints the faults.
func (x *faultListCmd) Run(c *console) error {
	api, _, err := x.find(asOperator)
	if err != nil {
		return err
	}
	a, err := api.get("/v1/faults", nil)
	return say(c, x.JSON, a, rehearsed(err), func(p *page[injected]) {
		if len(p.Items) == 0 {
			fmt.Fprintln(c.out, "No faults. koban fault inject makes one.")
			return
		}
		printFaults(c.out, p.Items)
	})
}

type faultInjectCmd struct {
	Participant string         `help:"Whose calls: balance, points or code. Without it, everybody's." placeholder:"NAME"`
	Verb        string         `help:"Which calls: try, confirm, cancel or add. Without it, all of them." placeholder:"VERB"`
	Do          string         `help:"What goes wrong: slow, refuse, unknown, lost, duplicate, dead or late." placeholder:"ACTION" xor:"action" required:""`
	Kill        string         `help:"Kill the platform: before, during or after the call." placeholder:"MOMENT" xor:"action" required:""`
	Share       string         `help:"How many of the calls." placeholder:"30%"`
	Seed        *int64         `help:"Chooses the calls: the same seed chooses the same tries of a payment again." placeholder:"N"`
	Delay       *time.Duration `help:"For slow and late, by the platform's clock." placeholder:"800ms"`
	Code        string         `help:"For refuse: the code of the refusal. Without it, limit_exceeded." placeholder:"CODE"`
	For         *time.Duration `help:"How long, by the platform's clock. Without it, until it is cleared." placeholder:"2m"`
	Times       *int64         `help:"How many calls go wrong before it is over." placeholder:"N"`
	Nth         *int64         `help:"With --kill: at which of the chosen calls. Without it, the first." placeholder:"N"`
	IdemKey     word           `name:"idempotency-key" help:"Makes trying again safe: the same key never injects twice." placeholder:"KEY"`
	JSON        bool           `name:"json" help:"Print the fault as JSON."`
	where       `embed:""`
}

// Help says what the actions do.
func (faultInjectCmd) Help() string {
	return `slow       the call takes --delay longer
refuse     the participant says no, with --code; the call does not reach it
unknown    the call is lost: no effect, no answer
lost       the answer is lost: the call has its effect
duplicate  the call arrives twice, at the same time or one after the other
dead       nobody listens: the connection is refused at once
late       the call is given up, and arrives after --delay, perhaps after its cancel`
}

// Run injects a fault.
func (x *faultInjectCmd) Run(c *console) error {
	api, _, err := x.find(asOperator)
	if err != nil {
		return err
	}
	body, err := x.body()
	if err != nil {
		return err
	}
	a, err := api.post("/v1/faults", string(x.IdemKey), body)
	return say(c, x.JSON, a, rehearsed(err), func(f *injected) {
		printFaults(c.out, []injected{*f})
		fmt.Fprintf(c.out, "koban fault list shows what it hits, koban fault clear %s ends it.\n", f.ID)
	})
}

// body says to the platform what was said on the command line; what makes no sense, the platform refuses by name.
func (x *faultInjectCmd) body() (map[string]any, error) {
	body := map[string]any{"do": x.Do}
	if x.Kill != "" {
		body["do"], body["when"] = "kill", x.Kill
	}
	if x.Share != "" {
		n, err := strconv.ParseInt(strings.TrimSuffix(x.Share, "%"), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("--share is %q; expected a whole percentage, such as 30%%", x.Share)
		}
		body["share_percent"] = n
	}
	for name, text := range map[string]string{"participant": x.Participant, "verb": x.Verb, "code": x.Code} {
		if text != "" {
			body[name] = text
		}
	}
	for name, n := range map[string]*int64{"seed": x.Seed, "times": x.Times, "nth": x.Nth} {
		if n != nil {
			body[name] = *n
		}
	}
	for name, d := range map[string]*time.Duration{"delay_ms": x.Delay, "for_ms": x.For} {
		if d != nil {
			body[name] = d.Milliseconds()
		}
	}
	return body, nil
}

type faultClearCmd struct {
	ID      string `arg:"" optional:"" help:"The fault, as koban fault list names it."`
	All     bool   `help:"All of them."`
	IdemKey word   `name:"idempotency-key" help:"Makes trying again safe." placeholder:"KEY"`
	JSON    bool   `name:"json" help:"Print the faults that were ended as JSON."`
	where   `embed:""`
}

// Run ends faults.
func (x *faultClearCmd) Run(c *console) error {
	if x.All == (x.ID != "") {
		return errors.New("say which fault to clear, or --all; koban fault list shows them")
	}
	api, _, err := x.find(asOperator)
	if err != nil {
		return err
	}
	body := map[string]any{}
	if x.ID != "" {
		body["id"] = x.ID
	}
	a, err := api.post("/v1/faults/clear", string(x.IdemKey), body)
	return say(c, x.JSON, a, rehearsed(err), func(p *page[injected]) {
		if len(p.Items) == 0 {
			fmt.Fprintln(c.out, "Nothing went wrong on purpose any more.")
			return
		}
		printFaults(c.out, p.Items)
	})
}

// rehearsed says what to do where a platform has none of this.
func rehearsed(err error) error {
	var no *refusal
	if errors.As(err, &no) && no.fault.Code == string(fault.RouteNotFound) {
		no.fault.Message = "This platform is not one to rehearse on: nobody breaks its participants or moves its clock. " +
			"Start one to rehearse on: koban run --rehearsal --data ./koban-rehearsal"
	}
	return err
}

// injected is a fault, as the platform tells it.
type injected struct {
	ID          string     `json:"id"`
	Participant string     `json:"participant"`
	Verb        string     `json:"verb"`
	Do          string     `json:"do"`
	Share       int64      `json:"share_percent"`
	Seed        int64      `json:"seed"`
	DelayMs     int64      `json:"delay_ms"`
	Code        string     `json:"code"`
	Times       int64      `json:"times"`
	When        string     `json:"when"`
	Nth         int64      `json:"nth"`
	Since       time.Time  `json:"since_at"`
	Until       *time.Time `json:"until_at"`
	Seen        int64      `json:"seen"`
	Hit         int64      `json:"hit"`
	Over        bool       `json:"over"`
}

func printFaults(w *term.Writer, faults []injected) {
	t := w.Table("fault", "what", "where", "share", "since", ">hit", "until")
	for _, f := range faults {
		t.Row(w.Mark(f.ID), w.Bold(f.what()), f.where(), f.share(), timeText(f.Since), fmt.Sprintf("%d of %d", f.Hit, f.Seen), f.until(w))
	}
	t.Print()
}

func (f *injected) what() string {
	switch f.Do {
	case "slow", "late":
		return f.Do + " " + (time.Duration(f.DelayMs) * time.Millisecond).String()
	case "refuse":
		return f.Do + " " + f.Code
	case "kill":
		return fmt.Sprintf("%s %s call %d", f.Do, f.When, f.Nth)
	}
	return f.Do
}

func (f *injected) where() string {
	who, verb := f.Participant, f.Verb
	if who == "" {
		who = "everybody"
	}
	if verb == "" {
		verb = "every verb"
	}
	return who + ", " + verb
}

func (f *injected) share() string {
	if f.Share == 100 {
		return "all"
	}
	return fmt.Sprintf("%d%%, seed %d", f.Share, f.Seed)
}

func (f *injected) until(w *term.Writer) string {
	switch {
	case f.Over:
		return w.Dim("over")
	case f.Until != nil:
		return timeText(*f.Until)
	case f.Times > 0:
		return fmt.Sprintf("%d were hit", f.Times)
	case f.Do == "kill":
		return "it happens"
	}
	return "cleared"
}
