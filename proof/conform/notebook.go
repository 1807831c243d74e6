package conform

import (
	"slices"
	"sync"
	"time"

	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/wire"
)

// notebook keeps what was said over the wire: of the check under way, and of all how long it took.
type notebook struct {
	mu    sync.Mutex
	calls []noted
	took  map[wire.Verb][]time.Duration
}

type noted struct {
	wire.Exchange
	By string // check, kit or cut
}

func (n *notebook) note(by string, e wire.Exchange) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls = append(n.calls, noted{e, by})
	if by != "cut" && e.Status != "" {
		if n.took == nil {
			n.took = make(map[wire.Verb][]time.Duration)
		}
		n.took[e.Verb] = append(n.took[e.Verb], e.Took)
	}
}

// take returns what was said since it was last called.
func (n *notebook) take() []noted {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := n.calls
	n.calls = nil
	return out
}

// timings returns how long answers took, by verb.
func (n *notebook) timings(limit time.Duration) []Timing {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []Timing
	for _, verb := range []wire.Verb{wire.Try, wire.Confirm, wire.Cancel, wire.Add} {
		all := n.took[verb]
		if len(all) == 0 {
			continue
		}
		slices.Sort(all)
		t := Timing{Verb: string(verb), Calls: len(all), P50: micros(all[len(all)/2]), P99: micros(all[len(all)*99/100]), Max: micros(all[len(all)-1])}
		for _, d := range all {
			if d > limit {
				t.Slow++
			}
		}
		out = append(out, t)
	}
	return out
}

func micros(d time.Duration) int64 { return d.Microseconds() }

// Most calls that are kept of a check, and most characters of a body.
const (
	mostCalls = 40
	mostText  = 2000
)

// evidence returns what was said in a check that failed, or the beginning of what was said in one that passed.
func evidence(all []noted, failed bool) (out []Call, leftOut int) {
	most := 8
	if failed {
		most = mostCalls
	}
	if leftOut = len(all) - most; leftOut > 0 { // the beginning says what it is about, the end what went wrong
		all = append(slices.Clone(all[:most/2]), all[len(all)-most/2:]...)
	}
	for _, e := range all {
		c := Call{
			By: e.By, Verb: string(e.Verb), Request: short(string(e.Request)), Status: e.Status, Answer: short(string(e.Answer)),
			Outcome: tcc.OutcomeOf(e.Err).String(), TookMicros: micros(e.Took),
		}
		if e.Err != nil {
			c.Understood = e.Err.Error()
		}
		out = append(out, c)
	}
	return out, max(leftOut, 0)
}

func short(text string) string {
	if len(text) <= mostText {
		return text
	}
	return text[:mostText] + "…"
}
