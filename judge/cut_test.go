package judge

import (
	"maps"
	"slices"
	"testing"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/tcc"
)

// scene is a captured charge of ¥1,200, 200 points of it, by a scanned code, with what its participants wrote.
type scene struct {
	p    *pay
	rows map[int]*branch
}

func newScene() *scene {
	account := func(n byte) id.ID { return id.Compose(1<<49, 5, [9]byte{n}).Facet(1) }
	p := &pay{
		kind: payment.Charge, amount: money.Yen(1200), captured: 1200,
		Standing: payment.Standing{Status: payment.Captured, Resource: payment.Wait, Decision: payment.Confirm, Phase: payment.Notified},
		sources: []gives{
			{kind: payment.FromPoints, amount: 200, captured: 200}, {kind: payment.FromBalance, amount: 1000, captured: 1000},
		},
		parts: []piece{
			{participant: payment.Points, role: payment.Hold, account: account(1), amount: money.Of(200, money.PT), state: payment.Taken},
			{participant: payment.Balance, role: payment.Hold, account: account(2), amount: money.Yen(1000), state: payment.Taken},
			{participant: payment.Code, role: payment.Claim, account: account(3), amount: money.Yen(1200), state: payment.Taken},
			{
				participant: payment.Balance, role: payment.Add, account: account(4), amount: money.Yen(1200), state: payment.Added,
				funding: []tcc.Funding{{From: funding, Amount: money.Yen(200)}, {From: clearing, Amount: money.Yen(1000)}},
			},
		},
	}
	return &scene{p, map[int]*branch{
		1: {service: "points", state: confirmed, account: account(1), currency: money.PT, amount: 200, posted: 200},
		2: {service: "balance", state: confirmed, account: account(2), currency: money.Yen(1).Currency, amount: 1000, posted: 1000},
		3: {service: "code", state: confirmed, account: account(3), currency: money.Yen(1).Currency, amount: 1200, posted: 1200},
		4: {service: "balance", state: added, account: account(4), currency: money.Yen(1).Currency, amount: 1200},
	}}
}

// judge returns the invariants that the scene violates.
func (s *scene) judge() []string {
	wrong := map[string]bool{}
	j := New(Config{Volumes: 1, Found: func(v Violation) { wrong[v.Invariant] = true }})
	k := book.Key{Tenant: 1, ID: id.Compose(1<<50, 3, [9]byte{1})}
	if s.p != nil {
		j.payments[k] = s.p
	}
	for n, b := range s.rows {
		j.branches[book.Key{Tenant: 1, ID: k.ID.Facet(uint8(n))}] = b
	}
	j.meet(k)
	return slices.Sorted(maps.Keys(wrong))
}

func TestPaymentAndParticipantsAgree(t *testing.T) {
	set := func(n int, edit func(*branch)) func(*scene) { return func(s *scene) { edit(s.rows[n]) } }
	gone := func(n int) func(*scene) { return func(s *scene) { delete(s.rows, n) } }
	underWay := func(s *scene) {
		s.p.Standing = payment.Standing{Status: payment.Accepted, Resource: payment.WorkInProgress, Decision: payment.Confirm}
		s.p.captured = 0
		for i := range s.p.sources {
			s.p.sources[i].captured = 0
		}
		for i := range s.p.parts {
			s.p.parts[i].state = payment.Held
		}
		s.p.parts[3].state = payment.Idle
	}
	failed := func(s *scene) {
		underWay(s)
		s.p.Standing = payment.Standing{Status: payment.Failed, Resource: payment.ResourceFailed, Decision: payment.Cancel, Rollback: payment.RollbackCompleted}
		for n := 1; n <= 3; n++ {
			b := s.rows[n]
			b.state, b.posted, b.released = cancelled, 0, b.amount
			s.p.parts[n-1].state = payment.LetGo
		}
		delete(s.rows, 4)
	}
	for name, tc := range map[string]struct {
		edits []func(*scene)
		want  []string
	}{
		"as it should be":          {nil, nil},
		"under way":                {[]func(*scene){underWay, gone(4)}, nil},
		"ahead of the payment":     {[]func(*scene){underWay}, nil},
		"failed":                   {[]func(*scene){failed}, nil},
		"still held":               {[]func(*scene){set(2, func(b *branch) { b.state, b.posted = held, 0 })}, []string{"I11", "I5", "X1"}},
		"one cancelled":            {[]func(*scene){set(1, func(b *branch) { b.state, b.posted = cancelled, 0 })}, []string{"I11", "I16", "X2"}},
		"gone":                     {[]func(*scene){gone(3)}, []string{"I11"}},
		"not added":                {[]func(*scene){gone(4)}, []string{"I11", "X1", "X2"}},
		"took too much":            {[]func(*scene){set(2, func(b *branch) { b.posted = 1001 })}, []string{"I12"}},
		"added too much":           {[]func(*scene){set(4, func(b *branch) { b.amount = 1201 })}, []string{"I12"}},
		"took from another":        {[]func(*scene){set(2, func(b *branch) { b.account = id.Nil })}, []string{"I12"}},
		"taken before the word":    {[]func(*scene){underWay, func(s *scene) { s.p.Decision = payment.Undecided }}, []string{"I16"}},
		"captured too much":        {[]func(*scene){func(s *scene) { s.p.captured = 1300 }}, []string{"I18"}},
		"gave back too much":       {[]func(*scene){func(s *scene) { s.p.sources[0].refunding = 201 }}, []string{"I18"}},
		"failed, and taken anyway": {[]func(*scene){failed, set(2, func(b *branch) { b.state, b.posted, b.released = confirmed, 1000, 0 })}, []string{"I11", "I16", "X1"}},
		"cancelled, without trace": {[]func(*scene){failed, gone(1), func(s *scene) { s.p.parts[0].state = payment.Refusing }}, []string{"I13"}},
		"held for nobody":          {[]func(*scene){func(s *scene) { s.p = nil }, set(2, func(b *branch) { b.state, b.posted = held, 0 })}, []string{"I11", "I5"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene()
			for _, edit := range tc.edits {
				edit(s)
			}
			if got := s.judge(); !slices.Equal(got, tc.want) {
				t.Errorf("violated are %v, expected %v", got, tc.want)
			}
		})
	}
}

// TestStepsAreJudged: steps that are not on the map are told, whatever the machine that made them thinks.
func TestStepsAreJudged(t *testing.T) {
	at := func(s payment.Status, d payment.Decision) payment.Standing {
		return payment.Standing{Status: s, Resource: payment.WorkInProgress, Decision: d}
	}
	ended := func(s payment.Status, d payment.Decision) payment.Standing {
		return payment.Standing{Status: s, Resource: payment.Completed, Decision: d}
	}
	for name, tc := range map[string]struct {
		steps []payment.Standing
		want  []string
	}{
		"captured":          {[]payment.Standing{at(payment.Accepted, 0), at(payment.Accepted, payment.Confirm), ended(payment.Captured, payment.Confirm)}, nil},
		"voided":            {[]payment.Standing{at(payment.Accepted, 0), at(payment.Authorized, payment.Authorize), ended(payment.Voided, payment.Cancel)}, nil},
		"failed, then paid": {[]payment.Standing{ended(payment.Failed, payment.Cancel), ended(payment.Captured, payment.Cancel)}, []string{"I10"}},
		"turned round":      {[]payment.Standing{at(payment.Accepted, payment.Confirm), at(payment.Accepted, payment.Cancel)}, []string{"I16"}},
		"forgotten":         {[]payment.Standing{at(payment.Accepted, payment.Confirm), at(payment.Accepted, payment.Undecided)}, []string{"I16"}},
		"fell back":         {[]payment.Standing{{Status: payment.Accepted, Resource: payment.WorkInProgress, Phase: payment.Tried}, at(payment.Accepted, 0)}, []string{"I10"}},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := map[string]bool{}
			j := New(Config{Volumes: 1, Found: func(v Violation) { wrong[v.Invariant] = true }})
			e := &Event{j: j, at: j.open("payment/00")}
			p := &pay{Standing: at(payment.Accepted, 0), kind: payment.Charge}
			for _, s := range tc.steps {
				(&payments{j}).stand(e, book.Key{}, p, s)
			}
			if got := slices.Sorted(maps.Keys(wrong)); !slices.Equal(got, tc.want) {
				t.Errorf("violated are %v, expected %v", got, tc.want)
			}
		})
	}
}

// books returns a judge of one book with two accounts that sum to nothing and an open hold of 30 on the second, and what it finds.
func books(edit func(a, b *Account)) []string {
	wrong := map[string]bool{}
	j := New(Config{Volumes: 1, Found: func(v Violation) { wrong[v.Invariant] = true }})
	jpy := money.Yen(1).Currency
	x, y := id.Compose(1<<49, 5, [9]byte{1}).Facet(1), id.Compose(1<<49, 5, [9]byte{2}).Facet(1)
	a, b := &Account{Currency: jpy, Debits: 100}, &Account{Currency: jpy, Credits: 100, Held: 30}
	edit(a, b)
	l := j.ledgers["balance"]
	l.believe(book.Key{Tenant: 1, ID: x}, a)
	hold := &branch{service: "balance", state: held, account: y, amount: 40, posted: 10}
	j.believe(book.Key{Tenant: 1, ID: id.Compose(1<<50, 3, [9]byte{1}).Facet(1)}, hold)
	l.believe(book.Key{Tenant: 1, ID: y}, b)
	j.Sums()
	return slices.Sorted(maps.Keys(wrong))
}

func TestBooksSumToNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(a, b *Account)
		want []string
	}{
		"right":                    {func(_, _ *Account) {}, nil},
		"one yen more":             {func(_, b *Account) { b.Credits++ }, []string{"I2"}},
		"held for nobody":          {func(_, b *Account) { b.Held++ }, []string{"I5"}},
		"both, on another account": {func(a, _ *Account) { a.Debits--; a.Held = 1 }, []string{"I2", "I5"}},
	} {
		if got := books(tc.edit); !slices.Equal(got, tc.want) {
			t.Errorf("%s: violated are %v, expected %v", name, got, tc.want)
		}
	}
}

func TestSettledNeedsAnEnd(t *testing.T) {
	for name, tc := range map[string]struct {
		resource payment.Resource
		idle     clock.Micros
		want     []string
	}{
		"it has ended":               {payment.ResourceFailed, clock.Hour, nil},
		"it moved a moment ago":      {payment.WorkInProgress, clock.Second, nil},
		"it stands, for a minute":    {payment.WorkInProgress, clock.Minute, []string{"I19"}},
		"it is authorized and waits": {payment.Wait, clock.Hour, nil},
	} {
		wrong := map[string]bool{}
		j := New(Config{Volumes: 1, Found: func(v Violation) { wrong[v.Invariant] = true }})
		status := payment.Accepted
		if tc.resource == payment.Wait {
			status = payment.Authorized
		}
		j.payments[book.Key{Tenant: 1, ID: id.Compose(1<<50, 3, [9]byte{1})}] = &pay{
			kind: payment.Charge, moved: 1 << 50,
			Standing: payment.Standing{Status: status, Resource: tc.resource},
		}
		j.Settled(1<<50+tc.idle, clock.Minute)
		if got := slices.Sorted(maps.Keys(wrong)); !slices.Equal(got, tc.want) {
			t.Errorf("%s: violated are %v, expected %v", name, got, tc.want)
		}
	}
}
