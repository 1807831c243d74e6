package platform

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/sandbox/inject"
	"github.com/koban-pay/koban/tcc"
)

// A platform is created for production, to rehearse on, or with the demo company, and stays what it is for
// good. On one to rehearse on, participants can be broken and the clock be moved; its books therefore hold
// times that never were and money that nobody has, and must never be taken for real ones. So does the demo
// company. One for production must never meet either.

// modeName names the constant that says which of them a platform is.
const modeName = "platform.mode"

const (
	production    = "production"
	rehearsing    = "rehearsal"
	demonstrating = "demo"
)

// fixMode chooses what a platform is, if it is new, refuses to run it as another, and returns what it is.
func fixMode(ctx context.Context, j *journal.Journal, rehearse, demo bool) (is string, err error) {
	asked := modeAsked(rehearse, demo)
	is, err = modeOf(ctx, j)
	if err == nil && is == "" {
		var stands []byte
		stands, err = j.Fix(ctx, modeName, []byte(asked))
		is = string(stands)
	}
	if err != nil {
		return "", err
	}
	return agree(is, asked)
}

func modeAsked(rehearse, demo bool) string {
	switch {
	case rehearse:
		return rehearsing
	case demo:
		return demonstrating
	}
	return production
}

// agree returns what a platform is that was made for one thing and asked for another, if that goes together.
func agree(is, asked string) (string, error) {
	switch {
	case is == asked, is == demonstrating && asked == production: // a demo without its company is still one
		return is, nil
	case is == rehearsing:
		return "", fmt.Errorf("platform: these books were made to rehearse on: their times and their money are made " +
			"up, so they never " +
			"run in production: start with --rehearsal, or name other books with --data or --store")
	case asked == rehearsing:
		return "", fmt.Errorf("platform: these books were made for production or for a demo, and nobody may break " +
			"participants or move the " +
			"clock there: name other books to rehearse on with --data or --store, or start without --rehearsal")
	default:
		return "", fmt.Errorf("platform: these books were made for production, and the demo company is never made in " +
			"them: start with " +
			"--tenant none, or name other books for a demo with --data or --store")
	}
}

// modeOf returns what a platform is, "" if there is none yet. One that was created before there was a choice is for
// production.
func modeOf(ctx context.Context, j *journal.Journal) (string, error) {
	is, ok, err := j.Constant(ctx, modeName)
	if err != nil || ok {
		return string(is), err
	}
	if _, old, err := j.Constant(ctx, volumesName); err != nil || !old {
		return "", err
	}
	return production, nil
}

// rehearsal is what a platform has that was created to rehearse on.
type rehearsal struct {
	moves  *moves
	faults *inject.Injector
	replay replays
}

// rehearse puts the clock where it was when the platform stopped. The journal is open, the books are not.
func (a *App) rehearse(ctx context.Context) error {
	if !a.Rehearsal {
		return nil
	}
	m, err := openMoves(ctx, a.Journal, a.virtual, a.machine)
	if err != nil {
		return err
	}
	a.rehearsal = &rehearsal{moves: m, faults: inject.New(a.virtual, die)}
	a.Log.Warn("this platform is for rehearsal, not for production: participants can be broken, and the clock be moved", "state", a.rehearsal.state())
	return nil
}

// surround puts faults around every participant.
func (r *rehearsal) surround(p map[payment.Participant]tcc.Participant, to map[payment.Participant]tcc.Receiver) {
	for who, x := range p {
		p[who] = r.faults.Participant(who.String(), x)
	}
	for who, x := range to {
		to[who] = r.faults.Receiver(who.String(), x)
	}
}

// RehearsalState says in a line what is not as in production; "" in production.
func (a *App) RehearsalState() string {
	if a.rehearsal == nil {
		return ""
	}
	return a.rehearsal.state()
}

// state says in a line what is not as in production.
func (r *rehearsal) state() string {
	n := 0
	for _, f := range r.faults.List() {
		if !f.Over {
			n++
		}
	}
	what := map[int]string{0: "no faults", 1: "1 fault"}[n]
	if what == "" {
		what = fmt.Sprintf("%d faults", n)
	}
	if ahead := r.moves.ahead().Sub(0); ahead > 0 {
		return "the clock is " + span(ahead) + " ahead, " + what
	}
	return "the clock is right, " + what
}

// span writes a duration with days, to the second.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	d = d.Round(time.Second)
	if d < day {
		return trimSpan(d.String())
	}
	if rest := d % day; rest > 0 {
		return fmt.Sprintf("%dd%s", d/day, trimSpan(rest.String()))
	}
	return fmt.Sprintf("%dd", d/day)
}

// trimSpan cuts the zeros off 3h0m0s.
func trimSpan(s string) string {
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

var (
	demoDesc = describe("demo", "1 on a platform that was made with the demo company: its money is made "+
		"up.")
	rehearsalDesc = describe("rehearsal", "1 on a platform to rehearse on, 0 in production.")
	aheadDesc     = describe("clock_ahead_seconds", "Seconds that the clock was moved by, on a platform to rehearse on.")
	seenDesc      = describe("fault_calls_seen_total", "Calls to participants that an injected fault has looked at.", "fault", "participant", "verb", "do")
	lateDesc      = describe("fault_calls_late", "Calls that injected faults hold back, and that arrive later.")
	hitDesc       = describe("fault_calls_hit_total", "Calls to participants that an injected fault let go wrong.", "fault", "participant", "verb", "do")
)

// collect reads what the rehearsal counts; r is nil in production.
func (r *rehearsal) collect(total, now func(*prometheus.Desc, int64, ...string)) {
	now(rehearsalDesc, flag(r != nil))
	if r == nil {
		return
	}
	now(aheadDesc, int64(r.moves.ahead()/clock.Second))
	now(lateDesc, int64(r.faults.Late()))
	for _, f := range r.faults.List() {
		labels := []string{f.ID, orAny(f.Participant), orAny(f.Verb.String()), f.Do.String()}
		total(seenDesc, f.Seen, labels...)
		total(hitDesc, f.Hit, labels...)
	}
}

func orAny(s string) string {
	if s == "" {
		return "any"
	}
	return s
}
