package code

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/code/emv"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

const volumes = 2

// platform is the service over two volumes, with a writer, a saver and a real store.
type platform struct {
	*Service
	t      testing.TB
	log    *journal.Journal
	state  *book.SQLState
	writer *book.Writer
	saver  *book.Saver
	once   sync.Once
}

func start(t testing.TB, open func(string) *store.DB) *platform {
	t.Helper()
	return startAt(t, open, clock.NewSystem())
}

func startAt(t testing.TB, open func(string) *store.DB, clk clock.Clock) *platform {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	log, err := journal.Open(ctx, open("journal"))
	check(t, err)
	db := open("code")
	files, err := fs.Sub(Schema, "schema")
	check(t, err)
	check(t, db.Migrate(ctx, files))
	state, err := book.NewSQLState(ctx, db)
	check(t, err)
	p := &platform{
		t: t, log: log, state: state, saver: book.NewSaver(state),
		writer: book.NewWriter(log, clk, false, nil, book.Hooks{Fatal: func(err error) { panic(err) }}),
	}
	t.Cleanup(p.stop)
	var books []*book.Book
	for v := range volumes {
		b, err := book.Open(ctx, book.Config{
			Service: "code", Volume: v, Machine: NewMachine(v, volumes, DefaultRules), Log: log, State: state, Clock: clk, Writer: p.writer,
			Saver: p.saver, Limits: book.Limits{Rows: 20, Keep: clock.Second},
		})
		check(t, err)
		books = append(books, b)
	}
	p.Service = New(books, log, log, id.NewSource(nil), clk, db, p.saver.Sync)
	return p
}

// stop ends this life of the platform. What is durable is saved.
func (p *platform) stop() {
	p.once.Do(func() {
		p.writer.Close(context.Background())
		p.saver.Close()
	})
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// verify stops the platform and holds what its journals say to the invariants.
func (p *platform) verify() {
	p.t.Helper()
	p.stop()
	checked := 0
	for v := range volumes {
		m := NewMachine(v, volumes, DefaultRules)
		_, err := book.Recover(context.Background(), book.Name("code", v), v, m, p.log, book.NewMemState())
		check(p.t, err)
		for _, f := range m.Check() {
			checked += f.Checked
			if len(f.Violations) > 0 {
				p.t.Errorf("%s: %s", f.Invariant, strings.Join(f.Violations, "; "))
			}
		}
	}
	if checked == 0 {
		p.t.Error("nothing was checked")
	}
}

func request(n int) Request {
	return Request{Tenant: tenant, Key: name(fmt.Sprint("key ", n)), Fingerprint: [16]byte{byte(n)}}
}

// TestFromCodeToPayment registers shops, scans their codes, pays, and asks again in another life of the platform.
func TestFromCodeToPayment(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(string) *store.DB) {
		ctx := t.Context()
		p := start(t, open)
		var shops []Shop
		for i := range 12 {
			s, err := p.RegisterShop(ctx, request(i), Details{Name: fmt.Sprintf("喫茶 Cafe %d", i)})
			check(t, err)
			shops = append(shops, s)
		}
		seen := map[string]bool{}
		for i, s := range shops {
			if seen[s.Payload] || !strings.Contains(s.Payload, fmt.Sprintf("喫茶 Cafe %d", i)) || s.Store.Slot != s.Merchant.Slot() {
				t.Errorf("shop %d: %+v", i, s)
			}
			seen[s.Payload] = true
			_, found, err := p.Read(ctx, tenant, s.Payload)
			if err != nil || found != s {
				t.Errorf("the code of %+v leads to %+v, %v", s, found, err)
			}
		}
		ann := name("ann")
		session, err := p.OpenSession(ctx, request(100), ann, shops[3].Payload)
		check(t, err)
		now := p.clk.Now()
		pay := tcc.TryRequest{
			Branch: part("pay"), Account: session.ID, Amount: money.Yen(500), Purpose: tcc.Charge, NotAfter: now + clock.Hour, EffectiveAt: now,
			Customer: ann, Merchant: shops[3].Merchant,
		}
		confirm := tcc.ConfirmRequest{Branch: pay.Branch, Account: session.ID, Capture: 1, Amount: pay.Amount, Final: true}
		var first []tcc.Receipt
		for _, wipe := range []bool{false, true, false} {
			a, err := p.Try(ctx, pay)
			check(t, err)
			b, err := p.Confirm(ctx, confirm)
			check(t, err)
			if got := []tcc.Receipt{a, b}; first == nil {
				first = got
			} else if !slices.Equal(got, first) {
				t.Errorf("%+v, first %+v", got, first)
			}
			again, err := p.OpenSession(ctx, request(100), ann, shops[3].Payload)
			if err != nil || again != session {
				t.Errorf("the session again: %+v, %v; first %+v", again, err, session)
			}
			shop, err := p.RegisterShop(ctx, request(3), Details{Name: "喫茶 Cafe 3"})
			if err != nil || shop != shops[3] {
				t.Errorf("the shop again: %+v, %v; first %+v", shop, err, shops[3])
			}
			now, err := p.Session(ctx, tenant, session.ID)
			if err != nil || now.Status != Used {
				t.Errorf("%+v, %v", now, err)
			}
			p.stop()
			for v := range volumes {
				if wipe {
					check(t, p.state.Wipe(ctx, book.Name("code", v), v, NewMachine(v, volumes, DefaultRules).Tables()))
				}
			}
			p = start(t, open)
		}
		entries, err := p.Entries(ctx, tenant, pay.Branch.Payment(), first)
		if err != nil || len(entries) != 2 || entries[0].What != "session" || len(entries[0].Legs) != 0 {
			t.Errorf("%+v, %v", entries, err)
		}
		if _, err := p.RegisterShop(ctx, Request{tenant, request(3).Key, [16]byte{99}}, Details{Name: "other"}); !fault.HasCode(err, fault.IdempotencyKeyReused) {
			t.Error(err)
		}
		p.verify()
	})
}

// TestOnePayerWins: many payments want one session at once.
func TestOnePayerWins(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(string) *store.DB) {
		p := start(t, open)
		shop, err := p.RegisterShop(t.Context(), request(1), Details{Name: "cafe"})
		check(t, err)
		session, err := p.OpenSession(t.Context(), request(2), name("ann"), shop.Payload)
		check(t, err)
		var won, used atomic.Int32
		var all sync.WaitGroup
		for i := range 30 {
			all.Go(func() {
				now := p.clk.Now()
				_, err := p.Try(t.Context(), tcc.TryRequest{
					Branch: part(fmt.Sprint(i)), Account: session.ID, Amount: money.Yen(500), NotAfter: now + clock.Hour, EffectiveAt: now,
					Customer: name("ann"), Merchant: shop.Merchant,
				})
				switch {
				case err == nil:
					won.Add(1)
				case fault.HasCode(err, fault.SessionUsed):
					used.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 || used.Load() != 29 {
			t.Fatalf("%d won, %d were refused", won.Load(), used.Load())
		}
		p.verify()
	})
}

func sqlite(t *testing.T) *platform {
	config := storetest.SQLite(t)
	return start(t, func(name string) *store.DB { return storetest.Open(t, config(name)) })
}

// TestPayloads: what cannot be read names the object at fault, and what can be read but is nobody's leads nowhere.
func TestPayloads(t *testing.T) {
	p := sqlite(t)
	shop, err := p.RegisterShop(t.Context(), request(1), Details{Name: "cafe"})
	check(t, err)
	encode := func(s Store, amount *money.Amount) string {
		payload, err := emv.EncodeJPQR(emv.JPQRShop{
			ID: s.JPQR(), Name: "cafe", NameJA: "cafe", City: "TOKYO", PostalCode: "1000001", MCC: "5999", Amount: amount,
		})
		check(t, err)
		return payload
	}
	theirs, err := p.RegisterShop(t.Context(), Request{8, request(1).Key, request(1).Fingerprint}, Details{Name: "cafe"})
	check(t, err)
	nobody, yen := Store{tenant, shop.Store.Slot, 99}, money.Yen(1200)
	fee := func(kind, id, value string) string {
		c, err := emv.Decode(encode(shop.Store, &yen))
		check(t, err)
		at := slices.IndexFunc(c.Objects, func(o emv.Object) bool { return o.ID == "58" })
		c.Objects = slices.Insert(c.Objects, at, emv.Text("55", kind), emv.Text(id, value))
		payload, err := emv.Encode(c)
		check(t, err)
		return payload
	}
	for what, tc := range map[string]struct {
		payload string
		code    fault.Code
		message string
	}{
		"edited":         {strings.Replace(shop.Payload, "TOKYO", "OSAKA", 1), fault.InvalidCode, "object 63"},
		"cut":            {shop.Payload[:len(shop.Payload)-3], fault.InvalidCode, "object 63"},
		"empty":          {"", fault.InvalidCode, "object 00"},
		"no shop":        {encode(nobody, nil), fault.ShopNotFound, ""},
		"another tenant": {theirs.Payload, fault.ShopNotFound, ""},
		"a fee":          {fee("02", "56", "100"), fault.InvalidCode, "a fee on top"},
		"a share":        {fee("03", "57", "10"), fault.InvalidCode, "a fee on top"},
	} {
		_, err := p.OpenSession(t.Context(), request(50), name("ann"), tc.payload)
		if f := fault.Of(err); f.Code != tc.code || f.Param != "payload" || !strings.Contains(f.Message, tc.message) {
			t.Errorf("%s: %v", what, err)
		}
	}
	s, err := p.OpenSession(t.Context(), request(50), name("ann"), encode(shop.Store, &yen)) // the refusals did not bind the key
	if err != nil || s.Amount == nil || *s.Amount != yen {
		t.Errorf("a dynamic code: %+v, %v", s, err)
	}
}

// TestErasedShop: without its note a shop has no name, but its printed code still works.
func TestErasedShop(t *testing.T) {
	config := storetest.SQLite(t)
	open := func(name string) *store.DB { return storetest.Open(t, config(name)) }
	p := start(t, open)
	shop, err := p.RegisterShop(t.Context(), request(1), Details{Name: "山田商店", Latin: "Yamada"})
	check(t, err)
	check(t, p.Forget(t.Context(), tenant, shop.Merchant))
	again, err := p.RegisterShop(t.Context(), request(1), Details{Name: "山田商店", Latin: "Yamada"}) // what was erased does not come back
	if err != nil || again.Merchant != shop.Merchant || again.Name != "" {
		t.Errorf("asked for again: %+v, %v", again, err)
	}
	p.stop()
	p = start(t, open)
	again, err = p.Shop(t.Context(), tenant, shop.Merchant)
	if err != nil || again.Name != "" || again.Payload != "" {
		t.Errorf("%+v, %v", again, err)
	}
	_, err = p.OpenSession(t.Context(), request(2), name("ann"), shop.Payload)
	check(t, err)
	blocks, err := p.log.Read(t.Context(), book.Name("code", shop.Merchant.Volume(volumes)), 1, 100)
	check(t, err)
	for _, b := range blocks {
		for _, e := range b.Events {
			if strings.Contains(string(e.Body), "Yamada") || strings.Contains(string(e.Body), "山田") {
				t.Errorf("block %d tells the name", b.Seq)
			}
		}
	}
}

// TestForgettingACustomerReachesEverySession: more sessions than one page has, in every volume, and nobody else's.
func TestForgettingACustomerReachesEverySession(t *testing.T) {
	p := sqlite(t)
	shop, err := p.RegisterShop(t.Context(), request(1), Details{Name: "cafe"})
	check(t, err)
	c, err := emv.Decode(shop.Payload)
	check(t, err)
	last := len(c.Objects) - 1
	says, err := emv.Encode(&emv.Code{Objects: append(slices.Clone(c.Objects[:last]), emv.Template("62", emv.Text("01", "order 7")), c.Objects[last])})
	check(t, err)
	open := func(n int, who string, payload string) Session {
		s, err := p.OpenSession(t.Context(), request(n), name(who), payload)
		check(t, err)
		return s
	}
	var hers []Session
	for n := range 2*forgetPage + 3 {
		hers = append(hers, open(10+n, "ann", says))
	}
	open(5, "ann", shop.Payload) // says nothing
	his := open(6, "bob", says)
	check(t, p.ForgetCustomer(t.Context(), tenant, name("ann")))
	check(t, p.ForgetCustomer(t.Context(), tenant, name("ann")))
	for i := range hers {
		if l, err := p.Labels(t.Context(), tenant, hers[i]); err != nil || l != (Labels{}) {
			t.Fatalf("session %d of %d says %+v, %v", i, len(hers), l, err)
		}
	}
	if l, err := p.Labels(t.Context(), tenant, his); err != nil || l.BillNumber != "order 7" {
		t.Errorf("another customer's session says %+v, %v", l, err)
	}
}
