package linear

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/koban-pay/koban/proof/chaos"
)

// client is one of those who use the platform at the same time.
type client struct {
	*world
	n       int
	rnd     *rand.Rand
	made    int
	patient bool // it never forgets a request
}

// work makes operations until ctx ends.
func (c *client) work(ctx context.Context) {
	for ctx.Err() == nil {
		c.turn.RLock()
		if ctx.Err() == nil {
			c.once(c.ctx)
		}
		c.turn.RUnlock()
	}
}

// once makes one operation, drawn by lot.
func (c *client) once(ctx context.Context) {
	switch n := c.rnd.IntN(100); {
	case n < 50:
		c.look(ctx)
	case n < 72:
		c.pay(ctx, false)
	case n < 78:
		c.pay(ctx, true)
	case n < 85:
		if h := c.draw(&c.open, true); h != nil {
			c.finish(ctx, h, []string{"capture", "capture", "void"}[c.rnd.IntN(3)])
		}
	case n < 95 || c.bank:
		if h := c.draw(&c.taken, false); h != nil {
			c.refund(ctx, h)
		}
	default:
		c.credit(ctx)
	}
}

// draw returns one of a list by lot. Where it is taken out, now and then somebody else gets it, too.
func (w *world) draw(list *[]*charge, out bool) *charge {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(*list)
	if n == 0 {
		return nil
	}
	i := rand.IntN(n)
	h := (*list)[i]
	if out && rand.IntN(4) > 0 {
		(*list)[i] = (*list)[n-1]
		*list = (*list)[:n-1]
	}
	return h
}

// object is a JSON object.
type object map[string]any

func (o object) text() string {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err) // texts and numbers always can
	}
	return string(b)
}

func yen(n int64) object { return object{"currency": "JPY", "value": n} }

// ask makes one request under a key of its own and hands its final answer to done, which says what it did. A request
// whose answer was lost is sometimes forgotten until the epoch ends.
func (c *client) ask(ctx context.Context, as chaos.Role, path string, body object, done func(chaos.Answer, chaos.Facts) steps) {
	c.made++
	q := chaos.Request{As: as, Path: path, Body: body.text(), Key: fmt.Sprintf("history-%d-%d-%d", c.seed, c.n, c.made)}
	call := c.now()
	settle := func(ctx context.Context) {
		ctx, cancel := c.patiently(ctx)
		defer cancel()
		answer, facts, err := c.line.Settle(ctx, q, nil)
		if err != nil {
			c.wrong(&c.odd, "%s %s has no answer: %v", q.Path, q.Key, err)
			return
		}
		c.record(c.n, call, done(answer, facts))
	}
	if !c.patient && c.rnd.IntN(10) == 0 {
		if answer, err := c.line.Call(ctx, q); err != nil || !chaos.ReadFacts(answer).Final(answer.Status) {
			c.mu.Lock()
			c.lost = append(c.lost, settle)
			c.mu.Unlock()
			return
		}
	}
	settle(ctx)
}

// wrong takes down what must not be.
func (w *world) wrong(list *[]string, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*list = append(*list, fmt.Sprintf(format, args...))
}

// refused takes a refusal down. It must be one of those that may be.
func (c *client) refused(what string, a chaos.Answer, f chaos.Facts, codes ...string) {
	c.mu.Lock()
	c.failed++
	c.mu.Unlock()
	if !slices.Contains(codes, f.Code) {
		c.wrong(&c.odd, "%s was answered %d %s", what, a.Status, a.Body)
	}
}

// look reads an account. The read that gets no answer is dropped.
func (c *client) look(ctx context.Context) {
	ids := c.accounts()
	id := ids[c.rnd.IntN(len(ids))]
	call := c.now()
	var v view
	if err := c.get(ctx, "/v1/accounts/"+id, &v); err != nil {
		return
	}
	c.record(c.n, call, steps{id: {{verb: read, view: v}}})
	c.mu.Lock()
	c.reads++
	c.mu.Unlock()
	if !v.right() {
		c.wrong(&c.bad, "account %s shows %+v", id, v)
	}
}

// pay makes a charge from the balance, the points or both.
func (c *client) pay(ctx context.Context, manual bool) {
	h := &charge{from: c.card.Customers[c.rnd.IntN(len(c.card.Customers))], to: c.card.Merchants[c.rnd.IntN(len(c.card.Merchants))]}
	h.holds = [2]uint32{c.holds.Add(1), c.holds.Add(1)}
	value := int64(100 + c.rnd.IntN(4000))
	var sources []object
	switch c.rnd.IntN(4) {
	case 0:
		value = 1 + value/8
		sources = []object{{"type": "points", "amount": yen(value)}}
	case 1:
		sources = []object{{"type": "points", "amount": yen(int64(1 + c.rnd.IntN(90)))}, {"type": "balance"}}
	default:
		sources = []object{{"type": "balance"}}
	}
	body := object{"kind": "charge", "customer": h.from.ID, "merchant": h.to.ID, "amount": yen(value), "sources": sources}
	if manual {
		body["capture"] = "manual"
	}
	c.ask(ctx, chaos.CustomerApp, "/v1/payments", body, func(a chaos.Answer, f chaos.Facts) steps {
		if h.id = f.ID; a.Status != 201 {
			c.refused("a charge", a, f, "insufficient_funds", "gave_up", "try_too_late")
			return c.explained(ctx, f.ID, h)
		}
		h.balance, h.points = f.Balance, f.Points
		s := steps{}
		h.each(s, hold)
		c.mu.Lock()
		defer c.mu.Unlock()
		if manual {
			c.open = append(c.open, h)
			return s
		}
		c.took(h, s)
		return s
	})
}

// each adds a step on every source of the charge.
func (h *charge) each(s steps, v verb) {
	if h.balance > 0 {
		s[h.from.Balance.Account] = append(s[h.from.Balance.Account], step{verb: v, hold: h.holds[0], amount: h.balance})
	}
	if h.points > 0 {
		s[h.from.Points.Account] = append(s[h.from.Points.Account], step{verb: v, hold: h.holds[1], amount: h.points})
	}
}

// remember bounds how many captured charges are kept.
const remember = 500

// took adds the steps of a capture. Callers hold the lock.
func (w *world) took(h *charge, s steps) {
	h.each(s, post)
	s[h.to.Account] = append(s[h.to.Account], step{verb: add, amount: h.balance + h.points})
	w.taken = append(w.taken[max(0, len(w.taken)-remember):], h)
	w.moved++
}

// finish captures or voids an authorized charge.
func (c *client) finish(ctx context.Context, h *charge, how string) {
	c.ask(ctx, chaos.Operator, "/v1/payments/"+h.id+"/"+how, object{}, func(a chaos.Answer, f chaos.Facts) steps {
		s := steps{}
		switch {
		case a.Status != 201:
			c.refused(how, a, f, "not_capturable", "not_voidable")
		case how == "void":
			h.each(s, release)
		default:
			c.mu.Lock()
			defer c.mu.Unlock()
			c.took(h, s)
		}
		return s
	})
}

// refund gives back all or some of a charge that any client has made.
func (c *client) refund(ctx context.Context, h *charge) {
	body, total := object{}, h.balance+h.points
	if c.rnd.IntN(3) > 0 {
		body["amount"] = yen(1 + c.rnd.Int64N(total))
	}
	n := c.holds.Add(1)
	c.ask(ctx, chaos.Operator, "/v1/payments/"+h.id+"/refunds", body, func(a chaos.Answer, f chaos.Facts) steps {
		if a.Status != 201 {
			c.refused("a refund", a, f, "exceeds_captured", "already_refunded", "merchant_funds_short", "gave_up", "try_too_late")
			back := &charge{id: f.ID, from: h.from, to: h.to, holds: [2]uint32{n, n}}
			return c.explained(ctx, f.ID, back)
		}
		c.mu.Lock()
		c.moved++
		c.mu.Unlock()
		s := steps{h.to.Account: {{verb: hold, hold: n, amount: f.Balance + f.Points}, {verb: post, hold: n, amount: f.Balance + f.Points}}}
		if f.Balance > 0 {
			s[h.from.Balance.Account] = []step{{verb: add, amount: f.Balance}}
		}
		if f.Points > 0 {
			s[h.from.Points.Account] = []step{{verb: add, amount: f.Points}}
		}
		return s
	})
}

// credit puts money or points on a customer's account.
func (c *client) credit(ctx context.Context) {
	who := c.card.Customers[c.rnd.IntN(len(c.card.Customers))]
	account, currency, most := who.Balance.Account, "JPY", 24_000 // about what is spent meanwhile
	if c.rnd.IntN(2) == 0 {
		account, currency, most = who.Points.Account, "PT", 2000
	}
	value := int64(1 + c.rnd.IntN(most))
	body := object{"amount": object{"currency": currency, "value": value}}
	c.ask(ctx, chaos.Operator, "/v1/accounts/"+account+"/credits", body, func(a chaos.Answer, f chaos.Facts) steps {
		var v view
		if err := json.Unmarshal(a.Body, &v); err != nil || a.Status != 201 {
			c.refused("a credit", a, f)
			return nil
		}
		return steps{account: {{verb: credit, amount: value, view: v}}}
	})
}

// explanation is what the platform says of a payment's steps.
type explanation struct {
	Parts []struct {
		Account string `json:"account"`
		Amount  struct {
			Value int64 `json:"value"`
		} `json:"amount"`
		Answers []struct {
			Verb    string `json:"verb"`
			Outcome string `json:"outcome"`
			Failure *struct {
				Code string `json:"code"`
			} `json:"failure"`
		} `json:"answers"`
	} `json:"parts"`
	Entries []struct {
		Kind string `json:"kind"`
		Legs []leg  `json:"legs"`
	} `json:"entries"`
}

// leg is what an entry did to an account.
type leg struct {
	Account  string `json:"account"`
	Kind     string `json:"account_kind"`
	Currency string `json:"currency"`
	Held     int64  `json:"held"`
}

// explained returns the steps of a payment that failed; none where there is no payment.
func (c *client) explained(ctx context.Context, id string, h *charge) steps {
	if id == "" {
		return nil
	}
	var x explanation
	a, _, err := c.line.Settle(ctx, chaos.Request{As: chaos.Operator, Path: "/v1/payments/" + id + "/explain"}, nil)
	if err != nil || a.Status != 200 || json.Unmarshal(a.Body, &x) != nil {
		c.wrong(&c.odd, "%s failed and is explained by %d %s %v", id, a.Status, a.Body, err)
		return nil
	}
	s := steps{}
	number := func(account string) uint32 {
		if account == h.from.Points.Account {
			return h.holds[1]
		}
		return h.holds[0]
	}
	for _, e := range x.Entries {
		for _, l := range e.Legs {
			v, held := hold, l.Held
			if e.Kind == "void" {
				v, held = release, -l.Held
			}
			if held <= 0 {
				c.wrong(&c.odd, "%s failed and has the entry %s %+v", id, e.Kind, l)
			}
			s[l.Account] = append(s[l.Account], step{verb: v, hold: number(l.Account), amount: held})
		}
	}
	for _, p := range x.Parts {
		for _, a := range p.Answers {
			if a.Verb == "try" && a.Outcome == "refused" && a.Failure != nil && a.Failure.Code == "insufficient_funds" {
				s[p.Account] = append(s[p.Account], step{verb: refuse, amount: p.Amount.Value})
			}
		}
	}
	return s
}
