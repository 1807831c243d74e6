package linear

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// verb is what a step does to an account.
type verb string

const (
	begin   verb = "begin"   // the history starts: the account is as it was read
	read    verb = "read"    // the account is as it was read
	add     verb = "add"     // posted grows
	credit  verb = "credit"  // posted grows, and the account is then as it was answered
	hold    verb = "hold"    // held grows, if so much is available
	post    verb = "post"    // a hold ends, and what it held is gone
	release verb = "release" // a hold ends
	refuse  verb = "refuse"  // so much was not available
)

// view is an account as the API shows it.
type view struct {
	Posted    int64 `json:"posted"`
	Held      int64 `json:"held"`
	Available int64 `json:"available"`
}

// right reports whether a customer's or a merchant's account may look like this.
func (v view) right() bool {
	return v.Available == v.Posted-v.Held && v.Posted >= 0 && v.Held >= 0 && v.Available >= 0
}

// step is one operation on one account.
type step struct {
	verb   verb
	hold   uint32 // which hold
	amount int64
	view   view // of read, credit and begin
}

func (s step) String() string {
	switch s.verb {
	case read, begin:
		return fmt.Sprintf("%s %+v", s.verb, s.view)
	case credit:
		return fmt.Sprintf("%s %d %+v", s.verb, s.amount, s.view)
	default:
		return fmt.Sprintf("%s %d (hold %d)", s.verb, s.amount, s.hold)
	}
}

// state is an account in the model.
type state struct {
	posted, held int64
	open         string // the numbers of the open holds, four bytes each, ascending
}

// next returns the state after a step, and whether the step could have happened.
func (a state) next(s step) (state, bool) {
	available := a.posted - a.held
	switch s.verb {
	case begin:
		return state{s.view.Posted, s.view.Held, ""}, s.view.Held == 0
	case read:
		return a, s.view == view{a.posted, a.held, available}
	case add:
		a.posted += s.amount
		return a, true
	case credit:
		a.posted += s.amount
		return a, s.view == view{a.posted, a.held, available + s.amount}
	case hold:
		a.held += s.amount
		a.open = opened(a.open, s.hold)
		return a, available >= s.amount
	case refuse:
		return a, available < s.amount
	case post, release:
	}
	var there bool
	a.open, there = closed(a.open, s.hold)
	if a.held -= s.amount; s.verb == post {
		a.posted -= s.amount
	}
	return a, there
}

func opened(open string, n uint32) string {
	b := []byte(open)
	i := 0
	for i < len(b) && binary.BigEndian.Uint32(b[i:]) < n {
		i += 4
	}
	return string(slices.Insert(b, i, binary.BigEndian.AppendUint32(nil, n)...))
}

func closed(open string, n uint32) (string, bool) {
	want := string(binary.BigEndian.AppendUint32(nil, n))
	for i := 0; i < len(open); i += 4 {
		if open[i:i+4] == want {
			return open[:i] + open[i+4:], true
		}
	}
	return open, false
}

var model = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(s, in, _ any) (bool, any) {
		next, ok := s.(state).next(in.(step))
		return ok, next
	},
	Equal: func(a, b any) bool { return a.(state) == b.(state) },
	Hash: func(s any) uint64 {
		a := s.(state)
		h := uint64(a.posted)*0x9e3779b97f4a7c15 ^ uint64(a.held)*0xc2b2ae3d27d4eb4f
		for i := 0; i < len(a.open); i += 4 {
			h = (h ^ uint64(binary.BigEndian.Uint32([]byte(a.open[i:])))) * 0x100000001b3
		}
		return h
	},
}

// checkLimit ends a check that would not end: the history is then undecided, which is no pass.
const checkLimit = 20 * time.Second

// linearizable returns nil if the operations could have happened one by one, each at a moment of its own interval.
func linearizable(ops []porcupine.Operation) error {
	switch porcupine.CheckOperationsTimeout(model, ops, checkLimit) {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return fmt.Errorf("%d operations: undecided after %s", len(ops), checkLimit)
	case porcupine.Illegal:
	}
	_, info := porcupine.CheckOperationsVerbose(model, ops, checkLimit)
	return fmt.Errorf("%d operations are not linearizable: %s", len(ops), stuck(ops, info))
}

// stuck says what comes after the longest beginning of a history that is linearizable.
func stuck(ops []porcupine.Operation, info porcupine.LinearizationInfo) string {
	var longest []int
	for _, p := range info.PartialLinearizations()[0] {
		if len(p) > len(longest) {
			longest = p
		}
	}
	at, done := state{}, make(map[int]bool, len(longest))
	for _, i := range longest {
		at, _ = at.next(ops[i].Input.(step))
		done[i] = true
	}
	var rest []int
	for i := range ops {
		if !done[i] {
			rest = append(rest, i)
		}
	}
	slices.SortFunc(rest, func(i, j int) int { return int(ops[i].Return - ops[j].Return) })
	var s strings.Builder
	fmt.Fprintf(&s, "after %d steps the account has posted %d, held %d, %d holds; then", len(longest), at.posted, at.held, len(at.open)/4)
	for _, i := range rest[:min(4, len(rest))] {
		fmt.Fprintf(&s, "; [%d, %d] %s", ops[i].Call, ops[i].Return, ops[i].Input)
	}
	return s.String()
}
