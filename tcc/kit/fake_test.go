package kit

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// defect is one mistake that a participant can make.
type defect string

// fake is a participant in memory that keeps the contract, but for one defect.
type fake struct {
	defect defect
	clk    *clock.Manual
	ids    *id.Source

	mu       sync.Mutex
	accounts map[id.ID]*fakeAccount
	branches map[tcc.Branch]*fakeBranch
	adds     map[id.ID]tcc.AddRequest
	came     chan struct{} // closed when the next one comes to where a lock is missing
}

type fakeAccount struct {
	available, held int64
	suspended       bool
}

type fakeBranch struct {
	try       tcc.TryRequest
	refused   fault.Code
	left      int64 // of the hold
	captures  map[uint32]tcc.ConfirmRequest
	cancelled bool
	final     bool
	tombstone bool
	bare      bool // no Try came
}

func newFake(d defect) *fake {
	return &fake{
		defect: d, clk: clock.NewManual(clock.Micros(1_790_000_000) * clock.Second), ids: id.NewSource(nil),
		accounts: make(map[id.ID]*fakeAccount), branches: make(map[tcc.Branch]*fakeBranch), adds: make(map[id.ID]tcc.AddRequest),
	}
}

func (f *fake) fixture() Fixture {
	return Fixture{
		Participant: f, Receiver: f, Tenant: 1, Currency: money.JPY, Now: f.clk.Now, Advance: f.clk.Advance,
		Fund: func(_ context.Context, minor int64) (id.ID, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			x := f.ids.New(f.clk.Now(), 0)
			f.accounts[x] = &fakeAccount{available: minor}
			return x, nil
		},
		Balance: func(_ context.Context, x id.ID) (int64, int64, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.accounts[x].available, f.accounts[x].held, nil
		},
		Payment: func(id.ID) id.ID { return f.ids.New(f.clk.Now(), 0) },
		Suspend: func(_ context.Context, x id.ID) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.accounts[x].suspended = true
			return nil
		},
		Restart: func(context.Context) (tcc.Participant, tcc.Receiver, error) { f.restart(); return f, f, nil },
		Deaf:    func(bool) tcc.Participant { return unheard{f} },
	}
}

// unheard is a fake that nobody listens to.
type unheard struct{ f *fake }

func (u unheard) Try(ctx context.Context, r tcc.TryRequest) (tcc.Receipt, error) {
	_, _ = u.f.Try(ctx, r)
	u.f.mu.Lock()
	defer u.f.mu.Unlock()
	switch b := u.f.branches[u.f.key(r.Branch)]; {
	case u.f.defect == "forgets a refusal that nobody heard" && b.refused != "":
		b.refused = ""
	case u.f.defect == "forgets a try that nobody heard" && b.refused == "":
		delete(u.f.branches, u.f.key(r.Branch))
	}
	return tcc.Receipt{}, fault.Timeout.New("")
}

func (u unheard) Confirm(ctx context.Context, r tcc.ConfirmRequest) (tcc.Receipt, error) {
	_, _ = u.f.Confirm(ctx, r)
	u.f.mu.Lock()
	defer u.f.mu.Unlock()
	if b := u.f.branches[u.f.key(r.Branch)]; u.f.defect == "forgets a confirm that nobody heard" {
		clear(b.captures)
		b.final, b.left = false, r.Amount.Minor
	}
	return tcc.Receipt{}, fault.Timeout.New("")
}

func (u unheard) Cancel(ctx context.Context, r tcc.CancelRequest) (tcc.Receipt, error) {
	_, _ = u.f.Cancel(ctx, r)
	u.f.mu.Lock()
	defer u.f.mu.Unlock()
	if b := u.f.branches[u.f.key(r.Branch)]; u.f.defect == "forgets a cancel that nobody heard" {
		b.cancelled = false
	}
	return tcc.Receipt{}, fault.Timeout.New("")
}

// key is what a branch is known by.
func (f *fake) key(b tcc.Branch) tcc.Branch {
	switch f.defect {
	case "knows no tenants":
		b.Tenant = 0
	case "knows no parts":
		b.ID = b.ID.Root()
	}
	return b
}

func (f *fake) restart() {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch f.defect {
	case "forgets adds at a restart":
		clear(f.adds)
	case "forgets tombstones at a restart":
		maps.DeleteFunc(f.branches, func(_ tcc.Branch, b *fakeBranch) bool { return b.tombstone })
	case "forgets refusals at a restart":
		maps.DeleteFunc(f.branches, func(_ tcc.Branch, b *fakeBranch) bool { return b.refused != "" })
	case "forgets captures at a restart":
		for _, b := range f.branches {
			if len(b.captures) > 0 {
				clear(b.captures)
				b.final, b.left = false, b.try.Amount.Minor
				f.accounts[b.try.Account].held += b.left
			}
		}
	case "forgets cancels at a restart":
		for _, b := range f.branches {
			b.cancelled = b.cancelled && b.bare
		}
	}
}

// racy lets others in between a look and a deed, if the defect is to have no lock there: it waits a while for one to
// come this far.
func (f *fake) racy(d defect) {
	if f.defect != d {
		return
	}
	next := make(chan struct{})
	if f.came != nil {
		close(f.came)
	}
	f.came = next
	f.mu.Unlock()
	select {
	case <-next:
	case <-clock.Pause(2 * time.Millisecond):
	}
	f.mu.Lock()
	if f.came == next {
		f.came = nil
	}
}

func (f *fake) Try(ctx context.Context, r tcc.TryRequest) (tcc.Receipt, error) {
	if ctx.Err() != nil {
		if f.defect == "refuses whose time is up" {
			return tcc.Receipt{}, fault.TryTooLate.New("")
		}
		return tcc.Receipt{}, fault.Timeout.New("")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if b := f.branches[f.key(r.Branch)]; b != nil && !f.tryAnew(b) {
		return f.tryAgain(b, r)
	}
	if f.defect == "cannot say that an account does not exist" && f.accounts[r.Account] == nil {
		return tcc.Receipt{}, fault.Unavailable.New("")
	}
	f.racy("tries at once are not one")
	b := &fakeBranch{try: r, left: r.Amount.Minor, captures: make(map[uint32]tcc.ConfirmRequest)}
	f.branches[f.key(r.Branch)] = b
	if b.refused = f.refuses(r); b.refused != "" {
		return tcc.Receipt{}, b.refused.New("")
	}
	f.racy("looks before it locks")
	f.hold(r.Account, r.Amount.Minor)
	if f.defect == "holds nothing" {
		f.hold(r.Account, -r.Amount.Minor)
	}
	return tcc.Receipt{Book: "fake/00", Seq: 1}, nil
}

// tryAnew reports whether a Try of a known branch is mistaken for the first.
func (f *fake) tryAnew(b *fakeBranch) bool {
	switch f.defect {
	case "tries twice":
		return b.refused == "" && !b.cancelled && len(b.captures) == 0
	case "tries again after the confirm":
		return b.final
	case "tries again what it refused":
		return b.refused == fault.InsufficientFunds
	case "tries after the cancel":
		return b.bare
	case "tries again after both":
		return b.cancelled && !b.bare
	case "forgets tombstones early":
		return b.bare && f.clk.Now() > b.try.EffectiveAt+clock.Minute
	case "forgets tombstones at the deadline":
		if b.bare && f.clk.Now() > b.try.NotAfter {
			b.try.NotAfter = 0
			return true
		}
	}
	return false
}

func (f *fake) tryAgain(b *fakeBranch, r tcc.TryRequest) (tcc.Receipt, error) {
	switch {
	case b.bare:
		return tcc.Receipt{}, fault.TryAfterCancel.New("")
	case b.try.Amount != r.Amount && f.defect != "takes any body", b.try.Account != r.Account && f.defect != "takes any body":
		return tcc.Receipt{}, fault.IDReused.New("")
	case b.refused != "":
		return tcc.Receipt{}, b.refused.New("")
	}
	return tcc.Receipt{Book: "fake/00"}, nil
}

func (f *fake) refuses(r tcc.TryRequest) fault.Code {
	a := f.accounts[r.Account]
	switch {
	case a == nil:
		return fault.AccountNotFound
	case r.Amount.Currency != money.JPY && f.defect != "takes any currency":
		return fault.CurrencyMismatch
	}
	available := a.available
	switch {
	case f.defect == "forgets its holds":
		available += a.held
	case f.defect == "lends one unit":
		available++
	case f.defect == "keeps one unit":
		available--
	}
	late := f.clk.Now() > r.NotAfter || f.defect == "has a clock that is fast" && f.clk.Now()+clock.Minute > r.NotAfter
	if f.defect == "knows no deadline" || f.defect == "forgets tombstones at the deadline" && f.clk.Now() > r.NotAfter+2*longEnough {
		late = false
	}
	switch {
	case late:
		return fault.TryTooLate
	case a.suspended:
		return fault.AccountSuspended
	case available < r.Amount.Minor && f.defect == "calls a shortage a conflict" && a.held > 0:
		return fault.InProgress
	case available < r.Amount.Minor:
		return fault.InsufficientFunds
	}
	return ""
}

func (f *fake) hold(x id.ID, minor int64) {
	f.accounts[x].available -= minor
	f.accounts[x].held += minor
}

func (f *fake) Confirm(ctx context.Context, r tcc.ConfirmRequest) (tcc.Receipt, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.branches[f.key(r.Branch)]
	if code := f.refusesConfirm(b, r); code != "" {
		return tcc.Receipt{}, code.New("")
	}
	if old, ok := b.captures[r.Capture]; ok && f.defect != "confirms twice" {
		if old.Amount != r.Amount && f.defect != "takes any capture" {
			return tcc.Receipt{}, fault.IDReused.New("")
		}
		return tcc.Receipt{Book: "fake/00"}, nil
	}
	if b.final && f.defect != "captures after the final one" && f.defect != "confirms twice" {
		return tcc.Receipt{}, fault.HoldEnded.New("")
	}
	f.racy("confirms at once are not one")
	b.captures[r.Capture] = r
	if f.defect != "takes nothing" {
		f.accounts[r.Account].held -= r.Amount.Minor
	}
	b.left -= r.Amount.Minor
	if r.Final {
		if f.defect != "keeps the rest" {
			f.hold(r.Account, -b.left)
			b.left = 0
		}
		b.final = true
	}
	return tcc.Receipt{Book: "fake/00"}, nil
}

func (f *fake) refusesConfirm(b *fakeBranch, r tcc.ConfirmRequest) fault.Code {
	switch {
	case r.Capture == 0 && f.defect != "takes captures without a number":
		return fault.InvalidRequest
	case b == nil && f.defect == "calls what it does not know not found":
		return fault.HoldNotFound
	case b == nil, b.refused != "" && f.defect != "confirms a refused try":
		return fault.NotTried
	case b.cancelled && f.defect == "confirms after the cancel" && !b.bare:
		f.hold(r.Account, b.try.Amount.Minor)
		b.cancelled, b.left = false, b.try.Amount.Minor
		return ""
	case b.cancelled && b.bare && b.try.Account != r.Account && f.defect == "compares the account of a tombstone":
		return fault.IDReused
	case b.cancelled:
		return fault.AlreadyCancelled
	case f.defect == "lets holds expire" && f.clk.Now() > b.try.NotAfter && len(b.captures) == 0:
		return fault.HoldEnded
	case f.defect == "suspends holds" && f.accounts[r.Account].suspended:
		return fault.AccountSuspended
	case b.captures[r.Capture].Capture != 0, b.final:
		return ""
	case len(b.captures) > 0 && f.defect == "counts each capture alone":
		return ""
	case r.Amount.Minor > b.left && f.defect != "confirms too much":
		return fault.ExceedsHold
	}
	return ""
}

func (f *fake) Cancel(ctx context.Context, r tcc.CancelRequest) (tcc.Receipt, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.branches[f.key(r.Branch)]
	switch {
	case b == nil && f.defect == "refuses an empty cancel":
		return tcc.Receipt{}, fault.NotTried.New("")
	case b == nil && f.defect == "leaves no tombstone":
		return tcc.Receipt{Book: "fake/00"}, nil
	case b == nil:
		f.racy("cancels while it tries")
		f.branches[f.key(r.Branch)] = &fakeBranch{try: tcc.TryRequest{Account: r.Account, NotAfter: r.NotAfter, EffectiveAt: r.EffectiveAt}, cancelled: true, tombstone: true, bare: true}
		return tcc.Receipt{Book: "fake/00"}, nil
	case f.defect == "cancels nothing after the deadline" && f.clk.Now() > b.try.NotAfter && b.refused == "":
		return tcc.Receipt{}, fault.HoldEnded.New("")
	case b.refused != "" && f.defect == "refuses to cancel a refusal":
		return tcc.Receipt{}, fault.NotTried.New("")
	case b.refused != "" && f.defect == "compares the account of a refusal" && b.try.Account != r.Account:
		return tcc.Receipt{}, fault.IDReused.New("")
	case len(b.captures) > 0 && f.defect == "cancels after the confirm":
		b.cancelled = true
		return tcc.Receipt{Book: "fake/00"}, nil
	case len(b.captures) > 0 && !b.final && f.defect == "cancels what is left of a capture":
	case len(b.captures) > 0:
		return tcc.Receipt{}, fault.AlreadyConfirmed.New("")
	case b.refused != "", b.cancelled && f.defect != "cancels twice", b.bare:
		return tcc.Receipt{Book: "fake/00"}, nil
	}
	f.racy("cancels at once are not one")
	left := b.left
	f.racy("confirms while it cancels")
	b.cancelled = true
	if f.defect != "keeps what was cancelled" {
		f.hold(r.Account, -left)
	}
	return tcc.Receipt{Book: "fake/00"}, nil
}

func (f *fake) Add(ctx context.Context, r tcc.AddRequest) (tcc.Receipt, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old, ok := f.adds[r.Branch.ID]
	switch {
	case ok && old.Amount != r.Amount && f.defect != "takes any add":
		return tcc.Receipt{}, fault.IDReused.New("")
	case ok && f.defect != "adds twice":
		return tcc.Receipt{Book: "fake/00", Suspense: f.accounts[r.Account] == nil}, nil
	}
	f.racy("adds at once are not one")
	f.adds[r.Branch.ID] = r
	switch {
	case f.accounts[r.Account] != nil:
	case f.defect == "refuses an add to nobody":
		return tcc.Receipt{}, fault.AccountNotFound.New("")
	default:
		return tcc.Receipt{Book: "fake/00", Suspense: true}, nil
	}
	if f.defect != "adds nothing" {
		f.accounts[r.Account].available += r.Amount.Minor
	}
	return tcc.Receipt{Book: "fake/00"}, nil
}
