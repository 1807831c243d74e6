package inject

import (
	"slices"
	"strings"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/tcc"
)

// Verb is a call that a participant takes.
type Verb uint8

// The verbs. AnyVerb in a Spec means all of them.
const (
	AnyVerb Verb = iota
	Try
	Confirm
	Cancel
	Add
)

// Action is what goes wrong.
type Action uint8

// The actions.
const (
	Slow      Action = iota + 1 // the call takes Delay longer
	Refuse                      // the participant says no, with Code; the call does not reach it
	Unknown                     // the call is lost: no effect, no answer
	Lost                        // the answer is lost: the call has its effect
	Duplicate                   // the call arrives twice, by turns at the same time or one after the other
	Dead                        // nobody listens: the connection is refused at once
	Late                        // the call is given up, and arrives after Delay
	Kill                        // the platform dies
)

// Moment is when the platform dies.
type Moment uint8

// The moments.
const (
	Before Moment = iota + 1 // the participant has not heard of the call
	During                   // the participant is at work on it
	After                    // the participant has done it, and the coordinator has not heard so
)

var (
	verbWords   = []string{"", "try", "confirm", "cancel", "add"}
	actionWords = []string{"", "slow", "refuse", "unknown", "lost", "duplicate", "dead", "late", "kill"}
)

// String returns the verb's word, "" for AnyVerb.
func (v Verb) String() string { return verbWords[v] }

// String returns the action's word.
func (a Action) String() string { return actionWords[a] }

// Spec says what goes wrong where, and how often.
type Spec struct {
	Participant string // whose calls; "" is everybody's
	Verb        Verb   // which calls
	Do          Action
	Share       int           // percent of the calls that are chosen; 0 means 100
	Seed        uint64        // chooses them
	Delay       time.Duration // of Slow and Late, by the platform's clock
	Code        fault.Code    // of Refuse; "" means limit_exceeded
	For         time.Duration // how long the fault lasts, by the platform's clock; 0 means until it is cleared
	Times       int64         // the fault is over after so many calls; 0 means never
	When        Moment        // of Kill; 0 means Before
	Nth         int64         // of Kill: at which of the chosen calls; 0 means the first
}

// check refuses what makes no sense, by the names that the fields have in the API, and fills in what was left out. has
// tells which verbs each participant takes.
func (s *Spec) check(has map[string][]Verb) error {
	if err := s.checkTarget(has); err != nil {
		return err
	}
	for _, f := range []struct {
		param string
		set   bool
		fits  []Action // no action: all but Kill
	}{
		{"delay_ms", s.Delay != 0, []Action{Slow, Late}},
		{"code", s.Code != "", []Action{Refuse}},
		{"when", s.When != 0, []Action{Kill}},
		{"nth", s.Nth != 0, []Action{Kill}},
		{"times", s.Times != 0, nil},
		{"for_ms", s.For != 0, nil},
	} {
		if fits := slices.Contains(f.fits, s.Do) || f.fits == nil && s.Do != Kill; f.set && !fits {
			return wrong(f.param, "%s takes no %s; leave it out", s.Do, f.param)
		}
	}
	for _, f := range []struct {
		param string
		value int64
	}{{"delay_ms", int64(s.Delay)}, {"for_ms", int64(s.For)}, {"times", s.Times}, {"nth", s.Nth}} {
		if f.value < 0 {
			return wrong(f.param, "found %d; expected a number above zero", f.value)
		}
	}
	return s.fill()
}

func (s *Spec) checkTarget(has map[string][]Verb) error {
	if s.Do < Slow || s.Do > Kill {
		return wrong("do", "expected one of %s", strings.Join(actionWords[1:], ", "))
	}
	if s.Verb > Add {
		return wrong("verb", "expected one of %s", strings.Join(verbWords[1:], ", "))
	}
	if s.Share < 0 || s.Share > 100 {
		return wrong("share_percent", "found %d; expected 1 to 100", s.Share)
	}
	if s.When > After {
		return wrong("when", "expected before, during or after")
	}
	if s.Participant == "" {
		return nil
	}
	verbs, known := has[s.Participant]
	if !known {
		return wrong("participant", "there is no participant %q; there are %s", s.Participant, strings.Join(names(has), ", "))
	}
	if s.Verb != AnyVerb && !slices.Contains(verbs, s.Verb) {
		return wrong("verb", "%s is never asked to %s", s.Participant, s.Verb)
	}
	return nil
}

// fill puts in what was left out.
func (s *Spec) fill() error {
	if s.Share == 0 {
		s.Share = 100
	}
	switch s.Do {
	case Slow, Late:
		if s.Delay < time.Millisecond {
			return fault.MissingField.New("%s needs a delay of a millisecond or more", s.Do).WithParam("delay_ms")
		}
	case Refuse:
		if s.Code == "" {
			s.Code = fault.LimitExceeded
		}
		if s.Code.Summary() == "" || tcc.OutcomeOf(s.Code.New("")) != tcc.Refused {
			return wrong("code", "%q is no code that a participant refuses with, such as %s or %s", s.Code, fault.LimitExceeded, fault.AccountSuspended)
		}
	case Kill:
		s.When, s.Nth = max(s.When, Before), max(s.Nth, 1)
	default: // the others are complete as they are
	}
	return nil
}

func wrong(param, format string, args ...any) error {
	return fault.InvalidRequest.New(format, args...).WithParam(param)
}

func names(has map[string][]Verb) []string {
	var out []string
	for name := range has {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Fault is a fault as it stands.
type Fault struct {
	Spec
	ID    string       // names it until the process ends
	Since clock.Micros // when it was injected
	Until clock.Micros // when it ends by itself; 0 if it does not
	Seen  int64        // calls that it has looked at
	Hit   int64        // calls that it let go wrong
	Over  bool         // it lets nothing go wrong any more
}
