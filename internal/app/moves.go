package app

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/journal"
	"github.com/koban-pay/koban/internal/rpc"
)

// moves are the moves of the platform's clock. Each is durable in the journal's database before the clock shows it, so
// that a start, here or on another machine that takes the store over, never shows an earlier time than books hold.
type moves struct {
	journal *journal.Journal
	clock   *clock.Virtual

	mu   sync.Mutex
	last int // number of the last move
	by   map[rpc.Key]move
}

// move is one move of the clock. It is stored as JSON.
type move struct {
	Ahead clock.Micros    `json:"ahead"` // how far ahead of the machine's clock it brought the platform's, in all
	At    clock.Micros    `json:"at"`    // the time that it moved the clock to
	Key   rpc.Key         `json:"key"`   // of the request
	Print rpc.Fingerprint `json:"print"`
}

const (
	maxMoves = 10_000                                  // a start reads them all
	maxTime  = clock.Micros(4102444800) * clock.Second // 2100-01-01; ids and cards of people end somewhere
)

func moveName(n int) string { return fmt.Sprintf("rehearsal.move.%05d", n) }

// openMoves reads the moves, and puts the clock where they brought it.
func openMoves(ctx context.Context, j *journal.Journal, c *clock.Virtual) (*moves, error) {
	m := &moves{journal: j, clock: c, by: make(map[rpc.Key]move)}
	for {
		text, ok, err := j.Constant(ctx, moveName(m.last+1))
		if err != nil {
			return nil, fmt.Errorf("app: read where the clock was moved to: %w", err)
		}
		if !ok {
			return m, nil
		}
		if err := m.take(text); err != nil {
			return nil, err
		}
	}
}

// ahead returns how far the clock is ahead of the machine's.
func (m *moves) ahead() clock.Micros { return clock.Micros(0).Add(m.clock.Ahead()) }

// take makes a move that is durable.
func (m *moves) take(text []byte) error {
	var one move
	if err := json.Unmarshal(text, &one); err != nil {
		return fmt.Errorf("app: move %d of the clock cannot be read: %w", m.last+1, err)
	}
	m.last++
	m.by[one.Key] = one
	m.clock.Advance(one.Ahead.Sub(m.ahead()))
	return nil
}

// advance moves the clock to where target says, given where it stands, once for each key.
//
// Errors: target's; fault.IdempotencyKeyReused; fault.InvalidRequest if the clock never goes there;
// fault.Unavailable (unknown) if the journal cannot be written.
func (m *moves) advance(ctx context.Context, c *rpc.Call, target func(now clock.Micros) (clock.Micros, error)) (move, error) {
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
		to, err := target(now)
		if err != nil {
			return move{}, err
		}
		ahead := m.ahead() + to - now
		text, err := json.Marshal(move{Ahead: ahead, At: to, Key: c.Key, Print: c.Fingerprint})
		if err != nil {
			return move{}, fault.Bug.New("a move of the clock cannot be written").Because(err)
		}
		// What stands there may be of an earlier request whose outcome was not known. Then it is made, and this one after it.
		stands, err := m.journal.Fix(ctx, moveName(m.last+1), text)
		if err != nil {
			return move{}, fault.Unavailable.New("").Because(err)
		}
		if err := m.take(stands); err != nil {
			return move{}, fault.DataDamaged.New("").Because(err)
		}
	}
}

// targetOf reads where a request wants the clock to be.
func targetOf(by *int64, to string) func(clock.Micros) (clock.Micros, error) {
	return func(now clock.Micros) (clock.Micros, error) {
		var at clock.Micros
		param := "to"
		switch {
		case (by == nil) == (to == ""):
			return 0, fault.MissingField.New("expected either by_ms or to").WithParam("by_ms")
		case by != nil:
			param, at = "by_ms", now+clock.Micros(*by)*clock.Millisecond
		default:
			t, err := time.Parse(time.RFC3339, to)
			if err != nil {
				t, err = time.Parse(time.DateOnly, to)
			}
			if err != nil {
				return 0, fault.InvalidRequest.New("%q is no time; expected one such as 2027-01-31 or 2027-01-31T09:00:00Z", to).WithParam("to")
			}
			at = clock.FromTime(t)
		}
		switch {
		case at <= now:
			return 0, fault.InvalidRequest.New("the platform's clock says %s already, and never goes back; name a later time", now).WithParam(param)
		case at > maxTime:
			return 0, fault.InvalidRequest.New("the platform's clock goes no further than %s", maxTime).WithParam(param)
		}
		return at, nil
	}
}
