package verify

import (
	"maps"
	"slices"
	"testing"

	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/journal"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/tcc"
)

// scene is a captured charge of ¥1,200, 200 points of it, by a scanned code, with what its participants wrote.
type scene struct {
	p    payment.Payment
	rows map[uint8]branch
}

func newScene() *scene {
	x := id.Compose(1<<50, 3, [9]byte{1})
	account := func(n byte) id.ID { return id.Compose(1<<49, 5, [9]byte{n}).Facet(1) }
	p := payment.Payment{Tenant: 1, ID: x, Kind: payment.Charge, Amount: money.Yen(1200), Captured: 1200,
		Standing: payment.Standing{Status: payment.Captured, Resource: payment.Wait, Decision: payment.Confirm},
		Sources: []payment.Source{
			{Type: payment.FromPoints, Amount: 200, Captured: 200}, {Type: payment.FromBalance, Amount: 1000, Captured: 1000},
		},
		Parts: []payment.Part{
			{Number: 1, Participant: payment.Points, Role: payment.Hold, Account: account(1), Amount: money.Of(200, money.PT), State: payment.Taken},
			{Number: 2, Participant: payment.Balance, Role: payment.Hold, Account: account(2), Amount: money.Yen(1000), State: payment.Taken},
			{Number: 3, Participant: payment.Code, Role: payment.Claim, Account: account(3), Amount: money.Yen(1200), State: payment.Taken},
			{Number: 4, Participant: payment.Balance, Role: payment.Add, Account: account(4), Amount: money.Yen(1200), State: payment.Added,
				Funding: []tcc.Funding{{From: funding, Amount: money.Yen(200)}, {From: clearing, Amount: money.Yen(1000)}}},
		}}
	return &scene{p, map[uint8]branch{
		1: {state: confirmed, account: account(1), taken: 200}, 2: {state: confirmed, account: account(2), taken: 1000},
		3: {state: confirmed, account: account(3), taken: 1200}, 4: {state: added, account: account(4)},
	}}
}

// judge returns the invariants that the scene violates.
func (s *scene) judge(t *testing.T) []string {
	t.Helper()
	ids, err := id.NewCodec(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	found := newFindings()
	c := &crosscheck{run: &run{Config: Config{IDs: ids}, found: found}, sums: newSums()}
	c.judge(&s.p, func(x *payment.Part) (branch, bool) {
		b, ok := s.rows[x.Number]
		return b, ok
	})
	wrong := map[string]bool{}
	list, _ := found.list()
	for _, i := range list {
		if i.Violations > 0 {
			wrong[i.ID] = true
		}
	}
	return slices.Sorted(maps.Keys(wrong))
}

func TestCrosscheck(t *testing.T) {
	set := func(n uint8, edit func(*branch)) func(*scene) {
		return func(s *scene) {
			b := s.rows[n]
			edit(&b)
			s.rows[n] = b
		}
	}
	underWay := func(s *scene) {
		s.p.Standing = payment.Standing{Status: payment.Accepted, Resource: payment.WorkInProgress, Decision: payment.Confirm}
		s.p.Captured = 0
		for i := range s.p.Sources {
			s.p.Sources[i].Captured = 0
		}
		for i := range s.p.Parts {
			s.p.Parts[i].State = payment.Held
		}
		s.p.Parts[3].State = payment.Idle
	}
	for name, tc := range map[string]struct {
		edits []func(*scene)
		want  []string
	}{
		"as it should be":          {nil, nil},
		"under way":                {[]func(*scene){underWay, func(s *scene) { delete(s.rows, 4) }}, nil},
		"ahead of the payment":     {[]func(*scene){underWay}, nil},
		"still held":               {[]func(*scene){set(2, func(b *branch) { b.state, b.open, b.taken = held, 1000, 0 })}, []string{"I11", "I5", "X1"}},
		"one cancelled":            {[]func(*scene){set(1, func(b *branch) { b.state, b.taken = cancelled, 0 })}, []string{"I11", "I16", "X2"}},
		"gone":                     {[]func(*scene){func(s *scene) { delete(s.rows, 3) }}, []string{"I11"}},
		"not added":                {[]func(*scene){func(s *scene) { delete(s.rows, 4) }}, []string{"I11", "X1", "X2"}},
		"took too much":            {[]func(*scene){set(2, func(b *branch) { b.taken = 1001 })}, []string{"I12"}},
		"took from another":        {[]func(*scene){set(2, func(b *branch) { b.account = id.Nil })}, []string{"I12"}},
		"taken before the word":    {[]func(*scene){underWay, func(s *scene) { s.p.Decision = payment.Undecided }}, []string{"I16"}},
		"captured too much":        {[]func(*scene){func(s *scene) { s.p.Captured = 1300 }}, []string{"I18"}},
		"gave back too much":       {[]func(*scene){func(s *scene) { s.p.Sources[0].Refunding = 201 }}, []string{"I18"}},
		"failed, and taken anyway": {[]func(*scene){func(s *scene) { s.p.Status, s.p.Resource = payment.Failed, payment.ResourceFailed }}, []string{"I11"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene()
			for _, edit := range tc.edits {
				edit(s)
			}
			if got := s.judge(t); !slices.Equal(got, tc.want) {
				t.Errorf("violated are %v, expected %v", got, tc.want)
			}
		})
	}
}

// TestWalker: steps that are not on the map are told, whatever the machine that made them thinks.
func TestWalker(t *testing.T) {
	at := func(s payment.Status, d payment.Decision) payment.Standing {
		return payment.Standing{Status: s, Resource: payment.WorkInProgress, Decision: d}
	}
	for name, tc := range map[string]struct {
		steps []payment.Standing
		want  string
	}{
		"captured":          {[]payment.Standing{at(payment.Accepted, 0), at(payment.Accepted, payment.Confirm), at(payment.Captured, payment.Confirm)}, ""},
		"voided":            {[]payment.Standing{at(payment.Accepted, 0), at(payment.Authorized, payment.Authorize), at(payment.Voided, payment.Cancel)}, ""},
		"failed, then paid": {[]payment.Standing{at(payment.Accepted, 0), at(payment.Failed, payment.Cancel), at(payment.Captured, payment.Cancel)}, "I10"},
		"out of nothing":    {[]payment.Standing{at(payment.Captured, payment.Confirm)}, "I10"},
		"turned round":      {[]payment.Standing{at(payment.Accepted, payment.Confirm), at(payment.Accepted, payment.Cancel)}, "I16"},
	} {
		t.Run(name, func(t *testing.T) {
			ids, err := id.NewCodec(make([]byte, 16))
			if err != nil {
				t.Fatal(err)
			}
			found := newFindings()
			w := newWalker(nil, found, ids)
			for i, s := range tc.steps {
				w.step(&journal.Block{Book: "payment/00", Seq: uint64(i + 1)}, 1, id.ID{1}, s)
			}
			list, _ := found.list()
			for _, i := range list {
				if (i.ID == tc.want) != (i.Violations > 0) {
					t.Errorf("%s is violated %d times: %v", i.ID, i.Violations, i.Examples)
				}
			}
		})
	}
}
