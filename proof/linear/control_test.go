package linear

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/koban-pay/koban/proof/chaos"
)

// bug is what a card does wrong, once, in the middle of its history.
type bug string

const (
	none       bug = ""
	stale      bug = "it shows what it was some time ago"
	lost       bug = "it forgets what it was given"
	doubled    bug = "it takes what it was given twice"
	overdrawn  bug = "it holds more than there is"
	twice      bug = "it ends a hold twice"
	tornHold   bug = "it shows a hold's money gone and held"
	wrongReply bug = "it refuses although there is enough"
)

// card is an account in memory, apart from the model. The n-th of its operations goes wrong.
type card struct {
	mu           sync.Mutex
	posted, held int64
	old          view
	n            int
	bug          bug
}

const (
	cardOps    = 4000
	cardBug    = 2000 // the operation that goes wrong, or the first after it that can
	cardOld    = 1000 // the operation that a stale read shows
	cardUsers  = 4
	cardOpened = 1_000_000
)

// do runs f as the next operation, and tells it whether that is to go wrong.
func (c *card) do(f func(wrong bool) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n++; c.n == cardOld {
		c.old = c.view()
	}
	if f(c.n >= cardBug && c.bug != none) {
		c.bug = none // it has happened
	}
}

func (c *card) view() view { return view{c.posted, c.held, c.posted - c.held} }

func (c *card) read() (v view) {
	c.do(func(wrong bool) bool {
		v = c.view()
		if wrong && c.bug == tornHold && c.held > 0 {
			v.Posted -= c.held
			v.Available = v.Posted - v.Held
			return true
		}
		if wrong && c.bug == stale {
			v = c.old
			return true
		}
		return false
	})
	return v
}

func (c *card) add(n int64) {
	c.do(func(wrong bool) bool {
		switch {
		case wrong && c.bug == lost:
			return true
		case wrong && c.bug == doubled:
			c.posted += 2 * n
			return true
		}
		c.posted += n
		return false
	})
}

func (c *card) hold(n int64) (done bool) {
	c.do(func(wrong bool) bool {
		enough := c.posted-c.held >= n
		bad := wrong && (c.bug == overdrawn && !enough || c.bug == wrongReply && enough)
		if done = enough != bad; done {
			c.held += n
		}
		return bad
	})
	return done
}

func (c *card) end(n int64, posts bool) {
	c.do(func(wrong bool) bool {
		bad := wrong && c.bug == twice
		for range 1 + map[bool]int{true: 1}[bad] {
			if c.held -= n; posts {
				c.posted -= n
			}
		}
		return bad
	})
}

// play lets users use a card at the same time, and returns its history.
func (c *card) play() []porcupine.Operation {
	c.posted = cardOpened
	h := newHistory()
	h.start("card", c.view())
	var crew sync.WaitGroup
	for user := range cardUsers {
		rnd := lots(uint64(user), 7)
		crew.Go(func() {
			for h.done() < cardOps {
				call, n := h.now(), 1+rnd.Int64N(2000)
				switch rnd.IntN(8) {
				case 0, 1, 2:
					h.record(user, call, steps{"card": {{verb: read, view: c.read()}}})
				case 3:
					c.add(n)
					h.record(user, call, steps{"card": {{verb: add, amount: n}}})
				case 4:
					n += cardOpened // much
					fallthrough
				default:
					id, posts := h.holds.Add(1), rnd.IntN(4) > 0
					if !c.hold(n) {
						h.record(user, call, steps{"card": {{verb: refuse, amount: n}}})
						continue
					}
					runtime.Gosched() // the hold is seen
					c.end(n, posts)
					last := release
					if posts {
						last = post
					}
					h.record(user, call, steps{"card": {{verb: hold, hold: id, amount: n}, {verb: last, hold: id, amount: n}}})
				}
			}
		})
	}
	crew.Wait()
	at := h.now()
	return append(h.accounts["card"], porcupine.Operation{Input: step{verb: read, view: c.read()}, Call: at, Return: h.now()})
}

// TestControlPlantedBugsAreNotLinearizable plants one mistake into a long history of many users. Each must be found, and
// a history without must pass.
func TestControlPlantedBugsAreNotLinearizable(t *testing.T) {
	t.Parallel()
	if err := linearizable((&card{}).play()); err != nil {
		t.Errorf("nothing is wrong with the card: %v", err)
	}
	for _, b := range []bug{stale, lost, doubled, overdrawn, twice, tornHold, wrongReply} {
		c := &card{bug: b}
		err := linearizable(c.play())
		for again := 0; c.bug != none && again < 50; again++ { // some need two clients to meet, which not every play has
			c = &card{bug: b}
			err = linearizable(c.play())
		}
		switch {
		case c.bug != none:
			t.Errorf("%s: it did not happen", b)
		case err == nil || !strings.Contains(err.Error(), "not linearizable"):
			t.Errorf("%s, and the checker says: %v", b, err)
		}
	}
}

// TestControlAnswersBeforeCommitIsNotLinearizable runs the same clients and kills against a platform that answers before
// it has committed, and against the same one that does not.
func TestControlAnswersBeforeCommitIsNotLinearizable(t *testing.T) {
	t.Parallel()
	for _, lies := range []bool{true, false} {
		t.Run(fmt.Sprintf("lies=%t", lies), func(t *testing.T) {
			program, err := chaos.Control(lies, t.TempDir(), "")
			if err != nil {
				t.Fatal(err)
			}
			w := open(t, program)
			wrong := w.judged(1000)
			if lies != (len(wrong) > 0) {
				t.Errorf("lies: %t; accounts that are not linearizable: %v", lies, wrong)
			}
			if len(wrong) > 0 {
				t.Logf("%d accounts, the first: %v", len(wrong), wrong[0])
			}
		})
	}
}
