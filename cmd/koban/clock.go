package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

type clockCmd struct {
	Show    clockShowCmd    `cmd:"" default:"withargs" help:"Show the platform's time."`
	Advance clockAdvanceCmd `cmd:"" help:"Move the platform's clock forward, for everything and for good."`
	Step    clockStepCmd    `cmd:"" help:"Let the machine's clock step: forward as if it had slept, back as if somebody had set it wrong."`
}

// Help says more than one line can.
func (clockCmd) Help() string {
	return `Only on a platform to rehearse on (koban run --rehearsal). One clock drives everything: what becomes due when it is moved
runs at once: holds, sessions and points expire, breakers close, what waits in queues is tried again. It never goes back, and a
restart finds it where it was. A step is something else: the machine's own clock is then wrong, or the machine has slept, and the
platform has to find out which.`
}

type clockShowCmd struct {
	JSON  bool `name:"json" help:"Print the clock as JSON."`
	where `embed:""`
}

// Run prints the platform's time.
func (x *clockShowCmd) Run(c *console) error {
	api, _, err := x.find(asOperator)
	if err != nil {
		return err
	}
	a, err := api.get("/v1/clock", nil)
	return say(c, x.JSON, a, rehearsed(err), func(t *moved) { t.print(c) })
}

type clockAdvanceCmd struct {
	By      []string `arg:"" help:"3h, 90m, 30d; or to, and a time: to 2027-01-31, to 2027-01-31T09:00:00+09:00." placeholder:"3h | to TIME"`
	IdemKey word     `name:"idempotency-key" help:"Makes trying again safe: the same key never moves the clock twice." placeholder:"KEY"`
	JSON    bool     `name:"json" help:"Print the clock as JSON."`
	where   `embed:""`
}

// Run moves the platform's clock.
func (x *clockAdvanceCmd) Run(c *console) error {
	body, err := moveBody(x.By)
	if err != nil {
		return err
	}
	api, _, err := x.find(asOperator)
	if err != nil {
		return err
	}
	a, err := api.post("/v1/clock/advance", string(x.IdemKey), body)
	return say(c, x.JSON, a, rehearsed(err), func(t *moved) { t.print(c) })
}

type clockStepCmd struct {
	By      string `arg:"" help:"3h: the machine slept so long. -5s (behind --): its clock was set back, and the platform will end." placeholder:"3h | -5s"`
	IdemKey string `name:"idempotency-key" help:"Makes trying again safe: the same key never steps the clock twice." placeholder:"KEY"`
	JSON    bool   `name:"json" help:"Print the clock as JSON."`
	where   `embed:""`
}

// Run lets the wall clock that the platform goes by step.
func (x *clockStepCmd) Run(c *console) error {
	by, back := strings.CutPrefix(x.By, "-")
	d, err := parseSpan(by)
	if err != nil {
		return err
	}
	if back {
		d = -d
	}
	api, _, err := x.find(asOperator)
	if err != nil {
		return err
	}
	a, err := api.post("/v1/clock/advance", x.IdemKey, map[string]any{"step_ms": d.Milliseconds()})
	return say(c, x.JSON, a, rehearsed(err), func(t *moved) { t.print(c) })
}

// moveBody reads "3h", or "to" and a time.
func moveBody(words []string) (map[string]any, error) {
	switch {
	case len(words) == 2 && words[0] == "to":
		return map[string]any{"to": words[1]}, nil
	case len(words) == 1:
		d, err := parseSpan(words[0])
		if err != nil {
			return nil, err
		}
		return map[string]any{"by_ms": d.Milliseconds()}, nil
	}
	return nil, fmt.Errorf("found %q; expected how long, such as 3h, or to and a time, such as to 2027-01-31", words)
}

var days = regexp.MustCompile(`^(\d{1,5})d(.*)$`)

// parseSpan reads a duration as Go writes it, with days before it.
func parseSpan(text string) (time.Duration, error) {
	var whole time.Duration
	rest := text
	if m := days.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1]) // five digits are a number
		whole, rest = time.Duration(n)*24*time.Hour, m[2]
	}
	if whole > 0 && rest == "" {
		return whole, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration; expected one such as 3h, 90m or 30d", text)
	}
	if d += whole; d < 0 { // backwards, or more than a duration holds
		return 0, fmt.Errorf("%q: expected a duration forward, such as 3h, 90m or 30d", text)
	}
	return d, nil
}

// moved is the platform's clock, as the platform tells it.
type moved struct {
	At      time.Time `json:"at"`
	AheadMs int64     `json:"ahead_ms"`
}

func (m *moved) print(c *console) {
	t := c.out.Table("", "")
	t.Row(c.out.Dim("platform"), c.out.Bold(timeText(m.At)))
	t.Row(c.out.Dim("machine"), timeText(m.At.Add(-time.Duration(m.AheadMs)*time.Millisecond)))
	t.Print()
}
