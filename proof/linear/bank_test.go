package linear

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/koban-pay/koban/internal/score"
	"github.com/koban-pay/koban/proof/chaos"
)

// vault is every account that value can stand on during transfers, and what stood there at the beginning.
type vault struct {
	*world
	own   map[string]leg // the volumes' own accounts
	first sums
	looks int // at moments when everything stood still
}

// sums are what all accounts come to.
type sums struct {
	money, points int64 // of all accounts, by currency
	clearing      int64 // under way between books
	funded        int64 // paid for points, in yen; the accounts of that are in debt
	redeemed      int64 // points taken in
}

// openVault lets every customer pay and every merchant be paid once, and be given back, so that the explanations of
// these payments name every account that later ones use; and sums up.
func openVault(t *testing.T, program chaos.Program) *vault {
	v := &vault{world: open(t, program), own: map[string]leg{}}
	v.bank = true
	for i, who := range v.card.Customers {
		to := v.card.Merchants[i%len(v.card.Merchants)]
		paid := v.must(fmt.Sprintf("pay-%d", i), "/v1/payments", object{
			"kind": "charge", "customer": who.ID, "merchant": to.ID,
			"amount": yen(20), "sources": []object{{"type": "points", "amount": yen(10)}, {"type": "balance"}},
		})
		back := v.must(fmt.Sprintf("back-%d", i), "/v1/payments/"+paid+"/refunds", object{})
		v.learn(paid)
		v.learn(back)
	}
	v.first = v.sum()
	return v
}

// must makes a request that has to succeed, and returns what it made.
func (v *vault) must(key, path string, body object) string {
	v.t.Helper()
	a, f, err := v.line.Settle(v.ctx, chaos.Request{As: chaos.Operator, Path: path, Key: key, Body: body.text()}, nil)
	if err != nil || a.Status != 201 {
		v.t.Fatalf("%s: %d %s %v", path, a.Status, a.Body, err)
	}
	return f.ID
}

// learn takes down the volumes' own accounts that a payment used.
func (v *vault) learn(payment string) {
	v.t.Helper()
	var x explanation
	if err := v.get(v.ctx, "/v1/payments/"+payment+"/explain", &x); err != nil {
		v.t.Fatal(err)
	}
	for _, e := range x.Entries {
		for _, l := range e.Legs {
			switch l.Kind {
			case "balance", "points", "payable":
			default:
				v.own[l.Account] = l
			}
		}
	}
}

// sum adds all accounts up. Nothing may be under way: then nothing is held, and clearing is empty.
func (v *vault) sum() (s sums) {
	v.t.Helper()
	v.looks++
	for _, c := range v.card.Customers {
		s.points += v.standing(c.Points.Account)
		s.money += v.standing(c.Balance.Account)
	}
	for _, m := range v.card.Merchants {
		s.money += v.standing(m.Account)
	}
	for id, x := range v.views(slices.Collect(maps.Keys(v.own))) {
		switch v.own[id].Kind {
		case "payment_clearing":
			s.clearing += x.Posted
		case "points_funding":
			s.funded -= x.Posted
		case "points_redeemed":
			s.redeemed += x.Posted
		default:
			v.t.Errorf("a payment used the account %+v, which nobody has heard of", v.own[id])
		}
		if v.own[id].Currency == "PT" {
			s.points += x.Posted
		} else {
			s.money += x.Posted
		}
	}
	return s
}

// standing reads what stands on a customer's or merchant's account on which nothing is under way.
func (v *vault) standing(id string) int64 {
	v.t.Helper()
	x := v.views([]string{id})[id]
	if !x.right() || x.Held != 0 {
		v.wrong(&v.bad, "account %s shows %+v, and nothing is under way", id, x)
	}
	return x.Posted
}

// compare says what is wrong with sums, given those of the beginning.
func (s sums) compare(first sums) (err error) {
	if s.money != first.money || s.points != first.points {
		err = errors.Join(err, fmt.Errorf("all accounts come to ¥%d and %d points; at first it was ¥%d and %d", s.money, s.points, first.money, first.points))
	}
	if s.clearing != 0 {
		err = errors.Join(err, fmt.Errorf("¥%d stand in clearing, and nothing is under way", s.clearing))
	}
	if s.funded != s.redeemed {
		err = errors.Join(err, fmt.Errorf("%d points were redeemed, and ¥%d paid for them", s.redeemed, s.funded))
	}
	return err
}

// TestBankKeepsItsSum lets clients move value while the platform is killed: what all accounts come to never changes,
// and no account ever shows less than nothing.
func TestBankKeepsItsSum(t *testing.T) {
	t.Parallel()
	var moved, looks, reads, kills, wrong int
	for _, store := range []string{"sqlite", "postgres"} {
		t.Run(store, func(t *testing.T) {
			v := openVault(t, genuine(t, store))
			v.run(clients, operations(t)/2, func() {
				if err := v.sum().compare(v.first); err != nil {
					v.wrong(&v.bad, "after %d payments: %v", v.moved, err)
				}
			})
			for _, x := range append(v.odd, v.bad...) {
				t.Error(x)
			}
			v.end()
			moved, looks, reads, kills, wrong = moved+v.moved, looks+v.looks, reads+v.reads, kills+v.kills, wrong+len(v.odd)+len(v.bad)
		})
	}
	score.Report(t, score.Line{
		ID: "bank", Name: "the sum of all accounts under kill -9, both stores", Target: "every sum the same, no account below zero",
		Figure: fmt.Sprintf("%d payments and refunds, %d kills, %d sums, %d reads of single accounts meanwhile, %d wrong", moved, kills, looks, reads, wrong),
		Value:  int64(moved), OK: !t.Failed() && wrong == 0 && moved > 0 && looks > 2 && kills > 2,
	})
}

// TestControlBankMissesAYen lets one yen come from outside that the bank was not told of, and one stand in clearing.
func TestControlBankMissesAYen(t *testing.T) {
	t.Parallel()
	v := openVault(t, genuine(t, "sqlite"))
	if err := v.sum().compare(v.first); err != nil {
		t.Fatal(err)
	}
	v.must("a yen", "/v1/accounts/"+v.card.Customers[3].Balance.Account+"/credits", object{"amount": yen(1)})
	if v.sum().compare(v.first) == nil {
		t.Error("there is a yen too many, and the bank has not noticed")
	}
	for _, s := range []sums{{points: 1}, {clearing: 1}, {funded: 1}, {redeemed: -1}} {
		if s.compare(sums{}) == nil {
			t.Errorf("nobody notices %+v", s)
		}
	}
	for _, x := range []view{{-1, 0, -1}, {5, -1, 6}, {5, 6, -1}, {5, 1, 5}} {
		if x.right() {
			t.Errorf("nobody minds %+v", x)
		}
	}
}
