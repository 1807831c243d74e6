package platform

import (
	"context"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/gateway"
	rehearsalv1 "github.com/koban-pay/koban/gen/koban/rehearsal/v1"
	"github.com/koban-pay/koban/internal/rpc"
	"github.com/koban-pay/koban/sandbox/inject"
)

// The numbers of the contract are those of package inject: verbs, actions and moments are converted as they are.

// register offers the routes that only a platform to rehearse on has.
func (r *rehearsal) register(to *gateway.Registry) {
	const service = "koban.rehearsal.v1.RehearsalService."
	gateway.Handle(to, service+"ListFaults", r.ListFaults)
	gateway.Handle(to, service+"InjectFault", r.InjectFault)
	gateway.Handle(to, service+"ClearFaults", r.ClearFaults)
	gateway.Handle(to, service+"GetClock", r.GetClock)
	gateway.Handle(to, service+"AdvanceClock", r.AdvanceClock)
}

// ListFaults serves GET /v1/faults.
func (r *rehearsal) ListFaults(context.Context, *rehearsalv1.ListFaultsRequest) (*rehearsalv1.ListFaultsResponse, error) {
	return &rehearsalv1.ListFaultsResponse{Items: faultMessages(r.faults.List())}, nil
}

// InjectFault serves POST /v1/faults.
func (r *rehearsal) InjectFault(ctx context.Context, q *rehearsalv1.InjectFaultRequest) (*rehearsalv1.Fault, error) {
	return answerOnce(&r.replay, rpc.From(ctx), func() (*rehearsalv1.Fault, error) {
		f, err := r.faults.Inject(specOf(q))
		if err != nil {
			return nil, err
		}
		return faultMessage(f), nil
	})
}

// ClearFaults serves POST /v1/faults/clear.
func (r *rehearsal) ClearFaults(ctx context.Context, q *rehearsalv1.ClearFaultsRequest) (*rehearsalv1.ClearFaultsResponse, error) {
	return answerOnce(&r.replay, rpc.From(ctx), func() (*rehearsalv1.ClearFaultsResponse, error) {
		cleared, err := r.faults.Clear(q.GetId())
		if err != nil {
			return nil, err
		}
		return &rehearsalv1.ClearFaultsResponse{Items: faultMessages(cleared)}, nil
	})
}

// GetClock serves GET /v1/clock.
func (r *rehearsal) GetClock(context.Context, *rehearsalv1.GetClockRequest) (*rehearsalv1.Clock, error) {
	return &rehearsalv1.Clock{At: int64(r.moves.clock.Now()), AheadMs: r.moves.ahead().Sub(0).Milliseconds()}, nil
}

// AdvanceClock serves POST /v1/clock/advance.
func (r *rehearsal) AdvanceClock(ctx context.Context, q *rehearsalv1.AdvanceClockRequest) (*rehearsalv1.Clock, error) {
	m, err := r.moves.advance(ctx, rpc.From(ctx), targetOf(q))
	if err != nil {
		return nil, err
	}
	return &rehearsalv1.Clock{At: int64(m.At), AheadMs: m.Ahead.Sub(0).Milliseconds()}, nil
}

// maxSeed is the greatest whole number that JSON carries exactly everywhere.
const maxSeed = 1<<53 - 1

func specOf(q *rehearsalv1.InjectFaultRequest) inject.Spec {
	s := inject.Spec{
		Participant: q.GetParticipant(), Verb: inject.Verb(q.Verb), Do: inject.Action(q.Do), Share: int(q.GetSharePercent()),
		Delay: millis(q.GetDelayMs()), Code: fault.Code(q.GetCode()), For: millis(q.GetForMs()), Times: q.GetTimes(),
		When: inject.Moment(q.When), Nth: q.GetNth(),
	}
	if s.Seed = uint64(q.GetSeed()); q.Seed == nil {
		s.Seed = rand.Uint64N(maxSeed + 1) //nolint:gosec // it is shown, and no secret
	}
	return s
}

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

func faultMessages(faults []inject.Fault) (out []*rehearsalv1.Fault) {
	for _, f := range faults {
		out = append(out, faultMessage(f))
	}
	return out
}

func faultMessage(f inject.Fault) *rehearsalv1.Fault {
	return &rehearsalv1.Fault{
		Id: f.ID, Participant: optional(f.Participant), Verb: rehearsalv1.FaultVerb(f.Verb), Do: rehearsalv1.FaultAction(f.Do),
		SharePercent: int64(f.Share), Seed: int64(f.Seed), DelayMs: optional(f.Delay.Milliseconds()), Code: optional(string(f.Code)),
		Times: optional(f.Times), When: rehearsalv1.FaultMoment(f.When), Nth: optional(f.Nth),
		SinceAt: int64(f.Since), UntilAt: optional(int64(f.Until)), Seen: f.Seen, Hit: f.Hit, Over: f.Over,
	}
}

// optional returns nil for what was left out.
func optional[T comparable](v T) *T {
	if v == *new(T) {
		return nil
	}
	return &v
}

// replays keeps the answers about faults by their requests' keys, in memory: they last as long as what they made, which
// ends with the process (rule B6).
type replays struct {
	mu    sync.Mutex
	by    map[rpc.Key]replay
	order []rpc.Key
}

type replay struct {
	print  rpc.Fingerprint
	answer proto.Message
}

// maxReplays is how many answers are kept.
const maxReplays = 1000

// answerOnce does something once for each key, and answers the same ever after. What fails does not bind the key.
func answerOnce[M proto.Message](r *replays, c *rpc.Call, do func() (M, error)) (none M, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if kept, ok := r.by[c.Key]; ok {
		if m, same := kept.answer.(M); same && kept.print == c.Fingerprint {
			return m, nil
		}
		return none, fault.IdempotencyKeyReused.New("")
	}
	m, err := do()
	if err != nil {
		return none, err
	}
	if r.by == nil {
		r.by = make(map[rpc.Key]replay)
	}
	if len(r.order) == maxReplays {
		delete(r.by, r.order[0])
		r.order = r.order[1:]
	}
	r.by[c.Key], r.order = replay{c.Fingerprint, m}, append(r.order, c.Key)
	return m, nil
}

// die ends the process as a crash would. It does not return.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
