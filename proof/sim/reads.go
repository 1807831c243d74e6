package sim

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/tcc"
)

// Callers also read: GET /v1/payments/{id}, GET /v1/accounts/{id} and GET /v1/payments. What they are shown has to have
// been so at some time between their asking and the answer.

// browse plans queries beside the payments.
func (t *town) browse(w *World, queries int, long clock.Micros) {
	for range queries {
		w.after(w.draw(long), func() {
			if len(t.known) == 0 {
				return
			}
			k := t.known[w.rnd.IntN(len(t.known))]
			switch w.rnd.IntN(4) {
			case 0:
				t.readAccount(w)
			case 1:
				t.list(w, k.Tenant)
			default:
				w.query("payment", k.ID, payment.Get{Tenant: k.Tenant, ID: k.ID}, "read_payment")
			}
		})
	}
}

func (t *town) readAccount(w *World) {
	who, facet := t.customers[w.rnd.IntN(len(t.customers))], tcc.BalanceAccount
	if w.chance(400) {
		who, facet = t.merchants[w.rnd.IntN(len(t.merchants))], tcc.PayableAccount
	}
	x := who.id.Facet(facet)
	w.query("balance", x, &balance.Get{Tenant: who.tenant, Account: x}, "read_account")
}

// query sends a query to the book that owns x.
func (w *World) query(service string, x id.ID, q any, what string) {
	w.send(service, x, func(h *host, back reply) {
		watch := w.judge.watch(h, q)
		h.submit(q, func(r any, err error) {
			w.seen(what)
			if w.judge.unfinished() {
				w.seen("read_while_in_progress")
			}
			w.judge.shown(watch, r, err)
			back(r, err)
		})
	}, func(any, error) {})
}

// watch notes how a thing looks from the moment that somebody asks until the answer.
type watch struct {
	host  *host
	query any
	looks []look
	dense bool // a block changed several things: states between its events were seen by nobody else
}

// look is an answer to a query.
type look struct {
	reply any
	code  fault.Code
}

func lookOf(r any, err error) look {
	if err != nil {
		return look{code: fault.Of(err).Code}
	}
	if p, ok := r.(payment.Reply); ok {
		return look{reply: *p.Payment}
	}
	return look{reply: r}
}

func (l look) same(other look) bool {
	return l.code == other.code && reflect.DeepEqual(l.reply, other.reply)
}

// String returns the answer for people.
func (l look) String() string { return strings.TrimSpace(fmt.Sprintf("%s %+v", l.code, l.reply)) }

func (j *judge) watch(h *host, query any) *watch {
	s := &watch{host: h, query: query, looks: []look{j.look(h.name, query)}}
	j.watches = append(j.watches, s)
	return s
}

// look asks the replay of a book.
func (j *judge) look(name string, query any) (l look) {
	s := j.books[name]
	if s == nil {
		return look{code: fault.PaymentNotFound}
	}
	s.core.Submit(j.w.now, query, func(r any, err error) { l = lookOf(r, err) })
	for _, a := range s.core.Ready() {
		a.Tell()
	}
	return l
}

// looks keeps the watches of a book up to date after a block.
func (j *judge) looks(name string, events int) {
	j.watches = slices.DeleteFunc(j.watches, func(s *watch) bool { return s.host.dead })
	for _, s := range j.watches {
		if s.host.name == name {
			s.looks = append(s.looks, j.look(name, s.query))
			s.dense = s.dense || events > 1
		}
	}
}

// shown judges the answer to a query (I20, I24).
func (j *judge) shown(s *watch, r any, err error) {
	j.watches = slices.DeleteFunc(j.watches, func(x *watch) bool { return x == s })
	if err != nil && tcc.OutcomeOf(err) == tcc.Unknown {
		return
	}
	j.reads++
	if got := lookOf(r, err); !s.dense && !slices.ContainsFunc(s.looks, got.same) {
		j.fail("I20", "a query %+v was answered with %v, but it was never so since it was asked: %v", s.query, got, s.looks)
	}
}

// list asks for the payments of a merchant, newest first, page by page, as GET /v1/payments does: each page from the
// tables, once they hold all that is durable, and each payment from its book.
func (t *town) list(w *World, tenant id.Tenant) {
	merchant := t.merchants[int(tenant)-1].id
	var known []id.ID
	if !w.unheard() {
		known = w.judge.of(tenant, merchant)
	}
	var got []id.ID
	var page func(before id.ID, patience int)
	page = func(before id.ID, patience int) {
		if !w.synced() {
			if patience > 0 {
				w.after(20*clock.Millisecond, func() { page(before, patience-1) })
			}
			return
		}
		ids := w.disk.tables.list(tenant, merchant, before, listPage)
		got = append(got, ids...)
		if len(ids) == listPage {
			w.after(w.delay(), func() { page(ids[len(ids)-1], patience) })
			return
		}
		w.seen("read_list")
		w.judge.listed(known, got)
	}
	page(id.Nil, 50)
}

const listPage = 7

// synced has the payments' books saved, and reports whether the tables hold now what is durable. A process serves nobody
// before its books are open: who has not taken a book over yet does not know what another one still writes.
func (w *World) synced() bool {
	for _, name := range w.names {
		if !isPayment(name) {
			continue
		}
		h := w.route[name]
		if h == nil || h.dead || h.core.Durable().Epoch != h.core.Head().Epoch || !h.saveNow() {
			return false
		}
	}
	return true
}

// unheard reports whether a payment's block is durable and its writer has not heard so yet: nobody was told of it.
func (w *World) unheard() bool {
	for _, name := range w.names {
		h, s := w.route[name], w.judge.books[name]
		if isPayment(name) && h != nil && s != nil && !h.dead && h.core.Durable().Seq < s.core.Head().Seq && h.core.Head().Epoch == s.core.Head().Epoch {
			return true
		}
	}
	return false
}

// of returns the payments of a merchant that are durable by now.
func (j *judge) of(tenant id.Tenant, merchant id.ID) (ids []id.ID) {
	j.eachPayment(func(_ book.Key, p *payment.Payment) {
		if p.Tenant == tenant && p.Merchant == merchant {
			ids = append(ids, p.ID)
		}
	})
	return ids
}

// listed judges a list: everything that was durable before it was asked for is in it, once, and in order.
func (j *judge) listed(known, got []id.ID) {
	j.reads++
	for i := 1; i < len(got); i++ {
		if got[i-1].Compare(got[i]) <= 0 {
			j.fail("I20", "a list has %x before %x", got[i-1], got[i])
		}
	}
	for _, x := range known {
		if _, ok := slices.BinarySearchFunc(got, x, func(a, b id.ID) int { return b.Compare(a) }); !ok {
			j.fail("I20", "payment %x was durable before a list was asked for, and is not in it", x)
		}
	}
}
