package sim

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/payment"
)

// WalkOptions say how much of the crash walk to go.
type WalkOptions struct {
	Story    string // only this one; "" is all of them
	Sample   int    // of the pairs, one in so many; 0 or 1 means every pair, and a negative number none
	Threads  int    // 0 means as many as there are processors
	Plant    Plant
	Progress func(Progress) // Schedules counts the worlds, Payments the points
}

// WalkResult is what came of a crash walk.
type WalkResult struct {
	Stories    int         `json:"stories"`
	Steps      int         `json:"steps"`  // appends, saves and calls of all stories, undisturbed
	Points     int         `json:"points"` // misfortunes at one step: all of them
	Pairs      int         `json:"pairs"`  // a second misfortune at a step of the recovery from the first
	Violations []Violation `json:"violations"`
}

// point is one step of one story, and what happens there.
type point struct {
	story *story
	step  int
	what  misfortune
}

// tale is how a story ended.
type tale struct {
	steps    int
	longest  clock.Micros // that anything was under way
	status   string
	accounts []string
	found    []Violation
}

// walked is a point with all that was tried from there.
type walked struct {
	pairs int
	found []Violation
}

// Walk dies at every durable step and at every call of every story: before it, after it, and with its answer lost; and
// then a second time at every step of the recovery. The caller asks again, and the story has to end as if nothing had
// happened, to the yen. And at each of these steps the caller hangs up: then nothing may take longer than it does anyway.
//
// Errors: fault.InvalidRequest for a story that does not exist.
func Walk(o WalkOptions) (WalkResult, error) {
	r := WalkResult{Violations: []Violation{}}
	var points []point
	ends := make(map[*story]tale)
	for i := range stories {
		s := &stories[i]
		if o.Story != "" && o.Story != s.name {
			continue
		}
		e := s.told(map[int]misfortune{}, o.Plant, nil)
		ends[s] = e
		r.Stories++
		r.Steps += e.steps
		if e.status != s.ends || len(e.found) > 0 {
			r.Violations = append(r.Violations, Violation{0, "walk", fmt.Sprintf("undisturbed, %q ends as %q, expected %q; %v", s.name, e.status, s.ends, e.found)})
			continue
		}
		for step := 1; step <= e.steps; step++ {
			for what := diesBefore; what <= left; what++ {
				points = append(points, point{s, step, what})
			}
		}
	}
	if r.Stories == 0 {
		return r, fault.InvalidRequest.New("there is no story %q; there are %s", o.Story, strings.Join(Stories(), ", "))
	}
	worlds := r.Stories
	inOrder(len(points), o.Threads, func(i int) walked { return points[i].walk(ends[points[i].story], o) }, func(x walked) bool {
		r.Points++
		r.Pairs += x.pairs
		worlds += 1 + x.pairs
		r.Violations = append(r.Violations, x.found...)
		if o.Progress != nil {
			o.Progress(Progress{worlds, r.Points, len(r.Violations)})
		}
		return len(r.Violations) < DefaultBroken
	})
	return r, nil
}

// Stories returns the names of what a crash walk walks through.
func Stories() (names []string) {
	for _, s := range stories {
		names = append(names, s.name)
	}
	return names
}

// walk lets one misfortune happen, and then each pair with it.
func (p point) walk(want tale, o WalkOptions) (out walked) {
	first := map[int]misfortune{p.step: p.what}
	got := p.story.told(first, o.Plant, nil)
	out.found = append(out.found, p.story.compare(first, want, got)...)
	if p.what == left && got.longest > want.longest+prompt {
		out.found = append(out.found, Violation{0, "I19", p.story.where(first) + fmt.Sprintf("something was under way for %v, and %v where "+
			"nobody hangs up", got.longest.Sub(0), want.longest.Sub(0))})
	}
	if o.Sample < 0 || p.what == left {
		return out
	}
	n := p.step*7 + int(p.what) // so that samples are of other pairs at each point
	for step := p.step + 1; step <= got.steps; step++ {
		for what := diesBefore; what <= failed; what++ {
			if n++; n%max(o.Sample, 1) != 0 {
				continue
			}
			both := map[int]misfortune{p.step: p.what, step: what}
			out.pairs++
			out.found = append(out.found, p.story.compare(both, want, p.story.told(both, o.Plant, nil))...)
		}
	}
	return out
}

// told tells a story with misfortunes at some of its steps.
func (s *story) told(plans map[int]misfortune, plant Plant, out io.Writer) tale {
	w := newWorld(7, plant, out)
	w.run(w.now + 6*clock.Minute) // the first points expire before the story begins
	w.town.scanned = w.town.scanBy(w, w.town.customers[0])
	w.mix.wholeProcess = true
	w.plans = plans
	w.judge.longest = 0
	s.tell(w)
	w.run(w.now + 2*clock.Minute)
	e := tale{steps: w.steps}
	w.plans = nil
	w.judged(w.judge.ended)
	w.judged(w.judge.stored)
	e.status, e.accounts = w.end()
	e.longest = w.judge.longest
	e.found = w.judge.violations
	return e
}

// compare requires the same end.
func (s *story) compare(plans map[int]misfortune, want, got tale) (found []Violation) {
	for _, v := range got.found {
		found = append(found, Violation{0, v.Invariant, s.where(plans) + v.Message})
	}
	if d := difference(want.accounts, got.accounts); d != "" || got.status != want.status {
		found = append(found, Violation{0, "walk", s.where(plans) + fmt.Sprintf("it ends as %q, expected %q; %s", got.status, want.status, d)})
	}
	return found
}

// where names a walk so that it can be gone again.
func (s *story) where(plans map[int]misfortune) string {
	return fmt.Sprintf("koban sim --walk --story %q --at %s --trace: ", s.name, written(plans))
}

// written returns plans as text that Retell reads.
func written(plans map[int]misfortune) string {
	var list []string
	for _, step := range slices.Sorted(maps.Keys(plans)) {
		list = append(list, strconv.Itoa(step)+"-"+flags[plans[step]])
	}
	return strings.Join(list, ",")
}

var flags = [...]string{diesBefore: "before", diesAfter: "after", lost: "lost", failed: "failed", left: "gone"}

// Retell tells one story with the misfortunes that at names, such as "5-before,9-lost", and returns what it broke. out
// hears every event.
//
// Errors: fault.InvalidRequest if there is no such story or at makes no sense.
func Retell(name, at string, plant Plant, out io.Writer) ([]Violation, error) {
	i := slices.IndexFunc(stories, func(s story) bool { return s.name == name })
	if i < 0 {
		return nil, fault.InvalidRequest.New("there is no story %q; there are %s", name, strings.Join(Stories(), ", "))
	}
	plans := map[int]misfortune{}
	for part := range strings.SplitSeq(at, ",") {
		number, word, _ := strings.Cut(part, "-")
		step, err := strconv.Atoi(number)
		what := slices.Index(flags[:], word)
		if err != nil || what < int(diesBefore) {
			return nil, fault.InvalidRequest.New("%q: expected a step and what happens there, such as 5-before, 5-after, 5-lost, 5-failed or 5-gone", part)
		}
		plans[step] = misfortune(what)
	}
	s := &stories[i]
	return s.compare(plans, s.told(map[int]misfortune{}, plant, nil), s.told(plans, plant, out)), nil
}

// end is how a story ended: what became of its payments, and what stands on every account.
func (w *World) end() (status string, accounts []string) {
	var list []string
	w.judge.eachPayment(func(_ book.Key, p *payment.Payment) {
		if p.Kind == payment.Refund {
			list = append(list, p.Status.String())
			return
		}
		list = slices.Insert(list, 0, strings.TrimSpace(p.Status.String()+" "+string(p.Failure)))
	})
	return strings.Join(list, " + "), w.judge.accounts()
}

func difference(want, got []string) string {
	for i := range max(len(want), len(got)) {
		if a, b := at(want, i), at(got, i); a != b {
			return fmt.Sprintf("%q, expected %q", b, a)
		}
	}
	return ""
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "nothing"
}
