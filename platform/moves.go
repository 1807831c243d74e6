package platform

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
	rehearsalv1 "github.com/koban-pay/koban/gen/koban/rehearsal/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/rpc"
)

// moves are the moves of the platform's clock. Each is durable in the journal's database before the clock shows it, so
// that a start, here or on another machine that takes the store over, never shows an earlier time than books hold.
type moves struct {
	journal *journal.Journal
	clock   *clock.Virtual
	machine *clock.System // what clock goes by; nil if that is not a machine's
	stepped atomic.Int64  // microseconds that machine was stepped forward by in this process: its time follows them

	mu   sync.Mutex
	last int // number of the last move
	by   map[rpc.Key]move
}

// move is one move of the clock. It is stored as JSON.
type move struct {
	Ahead clock.Micros    `json:"ahead"`          // how far ahead of the machine's clock it brought the platform's, in all
	At    clock.Micros    `json:"at"`             // the time that it moved the clock to
	Step  clock.Micros    `json:"step,omitempty"` // of the machine's wall clock; its process alone sees a step as such
	Key   rpc.Key         `json:"key"`            // of the request
	Print rpc.Fingerprint `json:"print"`
}

const (
	maxMoves = 10_000                                  // a start reads them all
	maxTime  = clock.Micros(4102444800) * clock.Second // 2100-01-01; ids and cards of people end somewhere
)

func moveName(n int) string { return fmt.Sprintf("rehearsal.move.%05d", n) }

// openMoves reads the moves, and puts the clock where they brought it.
func openMoves(ctx context.Context, j *journal.Journal, c *clock.Virtual, s *clock.System) (*moves, error) {
	m := &moves{journal: j, clock: c, machine: s, by: make(map[rpc.Key]move)}
	for {
		text, ok, err := j.Constant(ctx, moveName(m.last+1))
		if err != nil {
			return nil, fmt.Errorf("platform: read where the clock was moved to: %w", err)
		}
		if !ok {
			return m, nil
		}
		one, err := m.take(text)
		if err != nil {
			return nil, err
		}
		m.clock.Advance(one.Ahead.Sub(m.ahead()))
	}
}

// ahead returns how far the clock is ahead of the machine's.
func (m *moves) ahead() clock.Micros {
	return clock.Micros(0).Add(m.clock.Ahead()) + clock.Micros(m.stepped.Load())
}

// take reads a move that is durable.
func (m *moves) take(text []byte) (one move, err error) {
	if err := json.Unmarshal(text, &one); err != nil {
		return one, fmt.Errorf("platform: move %d of the clock cannot be read: %w", m.last+1, err)
	}
	m.last++
	m.by[one.Key] = one
	return one, nil
}

// make lets the clock show a move that is durable: at once, or by a step of the machine's clock, which is followed if it is
// forward and ends the process if not.
func (m *moves) make(one move) {
	if one.Step == 0 {
		m.clock.Advance(one.Ahead.Sub(m.ahead()))
		return
	}
	m.stepped.Add(int64(max(one.Step, 0)))
	m.machine.Shift(one.Step.Sub(0))
}

// target is where a request wants the clock to be, given where it stands, and whether the machine's clock is to step there.
type target func(now clock.Micros) (to clock.Micros, step bool, err error)

// advance moves the clock to where target says, once for each key.
//
// Errors: target's; fault.IdempotencyKeyReused; fault.InvalidRequest if the clock never goes there;
// fault.Unavailable (unknown) if the journal cannot be written.
func (m *moves) advance(ctx context.Context, c *rpc.Call, target target) (move, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		if done, ok := m.by[c.Key]; ok {
			if done.Print != c.Fingerprint {
				return move{}, fault.IdempotencyKeyReused.New("")
			}
			return done, nil
		}
		if m.last >= maxMoves {
			return move{}, fault.InvalidRequest.New("the clock of these books was moved %d times, which is the most: start a fresh platform", maxMoves)
		}
		now := m.clock.Now()
		to, step, err := target(now)
		if err != nil {
			return move{}, err
		}
		if step && m.machine == nil {
			return move{}, fault.InvalidRequest.New("this platform does not go by a machine's clock").WithParam("step_ms")
		}
		next := move{Ahead: m.ahead() + max(to-now, 0), At: to, Key: c.Key, Print: c.Fingerprint}
		if step {
			next.Step = to - now
		}
		text, err := json.Marshal(next)
		if err != nil {
			return move{}, fault.Bug.New("a move of the clock cannot be written").Because(err)
		}
		// What stands there may be of an earlier request whose outcome was not known. Then it is made, and this one after it.
		stands, err := m.journal.Fix(ctx, moveName(m.last+1), text)
		if err != nil {
			return move{}, fault.Unavailable.New("").Because(err)
		}
		one, err := m.take(stands)
		if err != nil {
			return move{}, fault.DataDamaged.New("").Because(err)
		}
		m.make(one)
	}
}

// targetOf reads where a request wants the clock to be.
func targetOf(q *rehearsalv1.AdvanceClockRequest) target {
	return func(now clock.Micros) (at clock.Micros, step bool, err error) {
		param := "to"
		switch given := flag(q.ByMs != nil) + flag(q.To != nil) + flag(q.StepMs != nil); {
		case given != 1:
			return 0, false, fault.MissingField.New("expected one of by_ms, to and step_ms, found %d", given).WithParam("by_ms")
		case q.StepMs != nil:
			return now + clock.Micros(*q.StepMs)*clock.Millisecond, true, nil
		case q.ByMs != nil:
			param, at = "by_ms", now+clock.Micros(*q.ByMs)*clock.Millisecond
		default:
			t, err := time.Parse(time.RFC3339, *q.To)
			if err != nil {
				t, err = time.Parse(time.DateOnly, *q.To)
			}
			if err != nil {
				return 0, false, fault.InvalidRequest.New("%q is no time; expected one such as 2027-01-31 or 2027-01-31T09:00:00Z", *q.To).WithParam("to")
			}
			at = clock.FromTime(t)
		}
		switch {
		case at <= now:
			return 0, false, fault.InvalidRequest.New("the platform's clock says %s already, and never goes back; name a later time", now).WithParam(param)
		case at > maxTime:
			return 0, false, fault.InvalidRequest.New("the platform's clock goes no further than %s", maxTime).WithParam(param)
		}
		return at, false, nil
	}
}
