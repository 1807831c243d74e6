package linear

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/anishathalye/porcupine"
)

// history is what was recorded since it was cut last.
type history struct {
	time  atomic.Int64
	holds atomic.Uint32

	mu       sync.Mutex
	accounts map[string][]porcupine.Operation
	count    int // operations of clients, of all epochs
	steps    int // that were checked
	unknown  int // operations whose outcome was learned only when they were asked for again, much later
}

func newHistory() *history { return &history{accounts: map[string][]porcupine.Operation{}} }

// now is a time later than any before.
func (h *history) now() int64 { return h.time.Add(1) }

// steps are what one operation did, by account.
type steps map[string][]step

// record takes down an operation of a client that began at call and has ended now.
func (h *history) record(client int, call int64, s steps) {
	end := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count++
	for account, list := range s {
		for _, x := range list {
			h.accounts[account] = append(h.accounts[account], porcupine.Operation{ClientId: client, Input: x, Call: call, Return: end})
		}
	}
}

// done returns how many operations were recorded.
func (h *history) done() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// start begins the history of an account with what was read. Nothing may be under way.
func (h *history) start(account string, v view) {
	at := h.now()
	h.accounts[account] = []porcupine.Operation{{Input: step{verb: begin, view: v}, Call: at, Return: at}}
}

// cut ends the history of every account with what was read, judges it, and lets the next begin with that. Nothing may be
// under way.
func (h *history) cut(read map[string]view) []error {
	h.mu.Lock()
	ended := h.accounts
	h.accounts = map[string][]porcupine.Operation{}
	for account, v := range read {
		at := h.now()
		ended[account] = append(ended[account], porcupine.Operation{Input: step{verb: "read", view: v}, Call: at, Return: at})
		h.start(account, v)
	}
	for _, ops := range ended {
		h.steps += len(ops)
	}
	h.mu.Unlock()
	return check(ended)
}

// check judges histories by account.
func check(accounts map[string][]porcupine.Operation) (wrong []error) {
	var mu sync.Mutex
	var crew sync.WaitGroup
	names := make(chan string)
	for range runtime.GOMAXPROCS(0) {
		crew.Go(func() {
			for name := range names {
				if err := linearizable(accounts[name]); err != nil {
					mu.Lock()
					wrong = append(wrong, fmt.Errorf("account %s: %w", name, err))
					mu.Unlock()
				}
			}
		})
	}
	for name := range accounts {
		names <- name
	}
	close(names)
	crew.Wait()
	slices.SortFunc(wrong, func(a, b error) int { return len(a.Error()) - len(b.Error()) })
	return wrong
}
