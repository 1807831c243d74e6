package inject

import (
	"context"
	"strconv"
	"sync"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/tcc"
)

// Injector stands between a coordinator and its participants.
type Injector struct {
	clk  clock.Clock
	kill func()
	life context.Context
	stop context.CancelFunc
	work sync.WaitGroup // late calls

	mu     sync.Mutex
	has    map[string][]Verb
	faults []*injected // in the order of injection
	last   int         // number of the newest
	late   int         // calls that are on their way
	closed bool
}

const (
	maxFaults = 64     // what is over makes room
	maxLate   = 10_000 // calls on their way; what would be one more is lost
)

// New returns an injector without faults. kill ends the process and does not return.
func New(clk clock.Clock, kill func()) *Injector {
	i := &Injector{clk: clk, kill: kill, has: make(map[string][]Verb)}
	i.life, i.stop = context.WithCancel(context.Background())
	return i
}

// Close drops the calls that are late. Participants must stay until it returns.
func (i *Injector) Close() {
	i.mu.Lock()
	i.closed = true
	i.mu.Unlock()
	i.stop()
	i.work.Wait()
}

// Inject lets calls go wrong from now on, and returns the fault as it was understood.
//
// Errors: fault.InvalidRequest and fault.MissingField, with the field's name in the API; fault.Overloaded if there are
// too many faults already.
func (i *Injector) Inject(s Spec) (Fault, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := s.check(i.has); err != nil {
		return Fault{}, err
	}
	now := i.clk.Now()
	if !i.room(now) {
		return Fault{}, fault.Overloaded.New("there are %d faults already; clear some of them first", maxFaults)
	}
	i.last++
	f := &injected{is: Fault{Spec: s, ID: "f" + strconv.Itoa(i.last), Since: now}}
	if s.For > 0 {
		f.is.Until = now.Add(s.For)
	}
	i.faults = append(i.faults, f)
	return f.is, nil
}

// room makes room for one more fault, if there is none, by forgetting the oldest that is over.
func (i *Injector) room(now clock.Micros) bool {
	if len(i.faults) < maxFaults {
		return true
	}
	for n, f := range i.faults {
		if f.seenAt(now).Over {
			i.faults = append(i.faults[:n:n], i.faults[n+1:]...)
			return true
		}
	}
	return false
}

// List returns the faults, oldest first, those that are over included.
func (i *Injector) List() []Fault {
	now := i.clk.Now()
	var out []Fault
	for _, f := range i.all() {
		out = append(out, f.seenAt(now))
	}
	return out
}

// Clear ends the fault with this id, or all of them if it is "", forgets them, and returns those that were not over.
//
// Errors: fault.InvalidRequest if there is no such fault.
func (i *Injector) Clear(id string) ([]Fault, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.clk.Now()
	var kept []*injected
	out := []Fault{}
	for _, f := range i.faults {
		if id != "" && f.is.ID != id {
			kept = append(kept, f)
		} else if was, active := f.clear(now); active {
			out = append(out, was)
		}
	}
	if id != "" && len(kept) == len(i.faults) {
		return nil, wrong("id", "there is no fault %q; koban fault list, or GET /v1/faults, shows those that there are", id)
	}
	i.faults = kept
	return out, nil
}

// Late returns how many calls were given up and are still on their way.
func (i *Injector) Late() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.late
}

func (i *Injector) all() []*injected {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.faults[:len(i.faults):len(i.faults)] // what is appended to or cut out of it goes elsewhere
}

// Participant returns p with faults around it.
func (i *Injector) Participant(name string, p tcc.Participant) tcc.Participant {
	i.takes(name, Try, Confirm, Cancel)
	return &participant{i, name, p}
}

// Receiver returns r with faults around it.
func (i *Injector) Receiver(name string, r tcc.Receiver) tcc.Receiver {
	i.takes(name, Add)
	return &receiver{i, name, r}
}

func (i *Injector) takes(name string, verbs ...Verb) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.has[name] = append(i.has[name], verbs...)
}

type participant struct {
	*Injector
	name string
	to   tcc.Participant
}

// Try asks the participant, unless a fault has it otherwise.
func (p *participant) Try(ctx context.Context, q tcc.TryRequest) (tcc.Receipt, error) {
	return p.through(ctx, call{p.name, Try, q.Branch.ID}, func(ctx context.Context) (tcc.Receipt, error) { return p.to.Try(ctx, q) })
}

// Confirm asks the participant, unless a fault has it otherwise.
func (p *participant) Confirm(ctx context.Context, q tcc.ConfirmRequest) (tcc.Receipt, error) {
	return p.through(ctx, call{p.name, Confirm, q.Branch.ID}, func(ctx context.Context) (tcc.Receipt, error) { return p.to.Confirm(ctx, q) })
}

// Cancel asks the participant, unless a fault has it otherwise.
func (p *participant) Cancel(ctx context.Context, q tcc.CancelRequest) (tcc.Receipt, error) {
	return p.through(ctx, call{p.name, Cancel, q.Branch.ID}, func(ctx context.Context) (tcc.Receipt, error) { return p.to.Cancel(ctx, q) })
}

type receiver struct {
	*Injector
	name string
	to   tcc.Receiver
}

// Add asks the receiver, unless a fault has it otherwise.
func (r *receiver) Add(ctx context.Context, q tcc.AddRequest) (tcc.Receipt, error) {
	return r.through(ctx, call{r.name, Add, q.Branch.ID}, func(ctx context.Context) (tcc.Receipt, error) { return r.to.Add(ctx, q) })
}

var (
	_ tcc.Participant = (*participant)(nil)
	_ tcc.Receiver    = (*receiver)(nil)
)
