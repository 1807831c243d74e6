package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/koban-pay/koban/platform"
)

// crowd is the clients and what they know together.
type crowd struct {
	line *Line
	log  *Log
	card *platform.Card // customers and merchants; they never change
	run  string         // makes the keys of this run its own

	turn  sync.RWMutex // clients hold it, for reading, during one piece of work
	mu    sync.Mutex
	taken []held // charges that were captured
	open  []held // charges that are authorized
}

// held is a charge that something can still be done with.
type held struct {
	id    string
	value int64
}

// remember bounds how many captured charges are kept.
const remember = 2000

// client is one of the crowd.
type client struct {
	*crowd
	n    int
	rnd  *rand.Rand
	made int
}

// work makes requests until ctx ends.
func (c *client) work(ctx context.Context) {
	for ctx.Err() == nil {
		c.turn.RLock()
		if ctx.Err() == nil {
			c.once(ctx)
		}
		c.turn.RUnlock()
	}
}

// once does one piece of work, drawn by lot.
func (c *client) once(ctx context.Context) {
	switch n := c.rnd.IntN(100); {
	case n < 35:
		c.scanAndPay(ctx)
	case n < 60:
		c.pay(ctx, "", c.merchant(), c.customer(), false)
	case n < 72:
		c.pay(ctx, "", c.merchant(), c.customer(), true)
	case n < 82:
		c.finish(ctx)
	case n < 95:
		c.refund(ctx)
	case n < 97:
		c.credit(ctx)
	default:
		c.look(ctx)
	}
}

func (c *client) customer() platform.CardCustomer {
	return c.card.Customers[c.rnd.IntN(len(c.card.Customers))]
}

func (c *client) merchant() platform.CardMerchant {
	return c.card.Merchants[c.rnd.IntN(len(c.card.Merchants))]
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

// patience is how long after a start everything must have ended.
const patience = 60 * time.Second

// LittlePatience is how long that may take on a platform which lies. What one book has forgotten and another has not may
// never end there, and one loss is enough to know.
const LittlePatience = 3 * time.Second

// settle writes an ask, sends it until it has its final answer, and returns what that says. It reports false if there is
// none: the client was told to stop, or has given up on a request whose answer was lost, to be asked for much later.
func (c *client) settle(ctx context.Context, a *Ask) (Ack, bool) {
	c.made++
	a.Key = fmt.Sprintf("%s-%d-%d", c.run, c.n, c.made)
	c.log.Ask(a)
	if c.rnd.IntN(33) == 0 { // somebody pressed twice
		twin := make(chan struct{})
		defer func() { <-twin }()
		go func() {
			defer close(twin)
			if answer, err := c.line.Call(ctx, a.Request); err == nil {
				c.log.Ack(a.N, answer, ReadFacts(answer))
			}
		}()
	}
	forgetful := c.rnd.IntN(8) == 0
	ctx, cancel := context.WithTimeout(ctx, c.line.patience)
	defer cancel()
	if forgetful {
		answer, err := c.line.Call(ctx, a.Request)
		if err != nil {
			return Ack{}, false
		}
		ack := c.log.Ack(a.N, answer, ReadFacts(answer))
		if ack.Final(ack.Status) {
			return ack, true
		}
	}
	last, err := Send(ctx, c.line, c.log, a)
	return last, err == nil
}

// scanAndPay scans a shop's code and pays what it says.
func (c *client) scanAndPay(ctx context.Context) {
	who, where := c.customer(), c.merchant()
	ask := &Ask{Op: Session, Request: Request{
		As: CustomerApp, Path: "/v1/code-sessions",
		Body: object{"payload": where.Payload, "customer": who.ID}.text(),
	}}
	if s, ok := c.settle(ctx, ask); ok && s.Status == 201 {
		c.pay(ctx, s.ID, where, who, false)
	}
}

// tooMuch is more than any customer ever has.
const tooMuch = 1 << 50

// pay makes a charge, of a session or directly, from the balance, the points, or both.
func (c *client) pay(ctx context.Context, session string, to platform.CardMerchant, from platform.CardCustomer, manual bool) {
	value := int64(100 + c.rnd.IntN(3000))
	if c.rnd.IntN(50) == 0 {
		value = tooMuch
	}
	body := object{"kind": "charge", "amount": yen(value), "sources": c.sources(value)}
	if body["customer"], body["merchant"] = from.ID, to.ID; session != "" {
		body["session"] = session
	}
	if manual {
		body["capture"] = "manual"
	}
	if c.rnd.IntN(10) == 0 {
		body["async"] = true
	}
	if c.rnd.IntN(5) == 0 {
		body["reference"] = fmt.Sprintf("order %d of %d", c.made, c.n)
	}
	ask := &Ask{
		Op: Charge, Customer: from.ID, Merchant: to.ID, Manual: manual,
		Request: Request{As: CustomerApp, Path: "/v1/payments", Body: body.text()},
	}
	ack, ok := c.settle(ctx, ask)
	if !ok || ack.Status != 201 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if manual {
		c.open = append(c.open, held{ack.ID, value})
	} else {
		c.taken = append(c.taken[max(0, len(c.taken)-remember):], held{ack.ID, value})
	}
}

func (c *client) sources(value int64) []object {
	balance := object{"type": "balance"}
	switch c.rnd.IntN(4) {
	case 0:
		return []object{balance}
	case 1:
		if value != tooMuch {
			return []object{{"type": "points", "amount": yen(value)}}
		}
	}
	return []object{{"type": "points", "amount": yen(int64(1 + c.rnd.IntN(99)))}, balance}
}

// finish captures or voids an authorized charge. Sometimes two clients want different things.
func (c *client) finish(ctx context.Context) {
	c.mu.Lock()
	if len(c.open) == 0 {
		c.mu.Unlock()
		return
	}
	i := c.rnd.IntN(len(c.open))
	h := c.open[i]
	if c.rnd.IntN(5) > 0 { // otherwise somebody else will try it, too
		c.open[i] = c.open[len(c.open)-1]
		c.open = c.open[:len(c.open)-1]
	}
	c.mu.Unlock()
	op := Capture
	if c.rnd.IntN(3) == 0 {
		op = Void
	}
	ask := &Ask{Op: op, On: h.id, Request: Request{As: Operator, Path: "/v1/payments/" + h.id + "/" + string(op), Body: "{}"}}
	if ack, ok := c.settle(ctx, ask); ok && op == Capture && ack.State == "CAPTURED" {
		c.mu.Lock()
		c.taken = append(c.taken, h)
		c.mu.Unlock()
	}
}

// refund gives back all or some of a charge that any client has made.
func (c *client) refund(ctx context.Context) {
	c.mu.Lock()
	if len(c.taken) == 0 {
		c.mu.Unlock()
		return
	}
	h := c.taken[c.rnd.IntN(len(c.taken))]
	c.mu.Unlock()
	body := object{}
	switch c.rnd.IntN(3) {
	case 0:
		body["amount"] = yen(h.value * 6 / 10)
	case 1:
		body["amount"] = yen(1 + c.rnd.Int64N(h.value))
	}
	ask := &Ask{Op: Refund, On: h.id, Request: Request{As: Operator, Path: "/v1/payments/" + h.id + "/refunds", Body: body.text()}}
	c.settle(ctx, ask)
}

// credit puts money or points on an account.
func (c *client) credit(ctx context.Context) {
	who := c.customer()
	account, currency := who.Balance.Account, "JPY"
	if c.rnd.IntN(2) == 0 {
		account, currency = who.Points.Account, "PT"
	}
	c.settle(ctx, creditOf(account, currency, int64(1+c.rnd.IntN(10_000))))
}

func creditOf(account, currency string, value int64) *Ask {
	return &Ask{Op: Credit, On: account, Value: value, Request: Request{
		As: Operator, Path: "/v1/accounts/" + account + "/credits",
		Body: object{"amount": object{"currency": currency, "value": value}}.text(),
	}}
}

// riches are what every customer gets before a run, in yen and in points.
const riches = 1_000_000_000

// Enrich makes every customer of the demo company rich.
func Enrich(ctx context.Context, line *Line, log *Log, card *platform.Card) error {
	var asks []*Ask
	for _, c := range card.Customers {
		asks = append(asks, creditOf(c.Balance.Account, "JPY", riches), creditOf(c.Points.Account, "PT", riches))
	}
	for i, a := range asks {
		a.Key = fmt.Sprintf("enrich-%d", i)
		if _, err := Send(ctx, line, log, a); err != nil {
			return err
		}
	}
	return nil
}

// look reads what anybody may read: it must never wait for what is being written.
func (c *client) look(ctx context.Context) {
	path := "/v1/customers/" + c.customer().ID + "/accounts"
	if c.rnd.IntN(2) == 0 {
		path = "/v1/payments?limit=5"
	}
	ask := &Ask{Op: Read, Request: Request{As: Operator, Path: path}}
	c.log.Ask(ask)
	if answer, err := c.line.Call(ctx, ask.Request); err == nil {
		c.log.Ack(ask.N, answer, ReadFacts(answer))
	}
}
