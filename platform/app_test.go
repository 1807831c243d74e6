package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/fault"
	balancev1 "github.com/koban-pay/koban/gen/koban/balance/v1"
	feedv1 "github.com/koban-pay/koban/gen/koban/feed/v1"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/v1"
	platformv1 "github.com/koban-pay/koban/gen/koban/platform/v1"
	typev1 "github.com/koban-pay/koban/gen/koban/type/v1"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/points"
)

func TestDemoCompanyIsFoundAgain(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		made := r.app.Card
		if len(made.Customers) != 20 || len(made.Merchants) != 5 || made.Customers[7].Balance.Value != 100_000 || made.Customers[7].Points.Value != 5_000 {
			t.Fatalf("the demo company: %+v", made)
		}
		for _, m := range made.Merchants {
			code, shop, err := r.app.Code.Read(t.Context(), demoTenant, m.Payload)
			if err != nil || code.Profile != "jpqr" || shop.Name != m.Name {
				t.Errorf("the code of %s: %v", m.Name, err)
			}
		}
		r.pay("one", 1200, 200)
		blocks := r.app.Journal.Stats().Blocks
		r.stop()
		r.start()
		found := r.app.Card
		found.Customers[0].Balance.Value += 1000
		found.Customers[0].Points.Value += 200
		if diff := cmp.Diff(made, found); diff != "" {
			t.Errorf("after a restart (-before +after):\n%s", diff)
		}
		if n := r.app.Journal.Stats().Blocks; n >= blocks {
			t.Errorf("a restart wrote %d blocks, the first start %d: it made the company again", n, blocks)
		}
	})
}

func TestCardStandsWhileThePlatformRuns(t *testing.T) {
	r := newRig(t, "")
	info, err := os.Stat(cardPath(r.app.Data))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("platform.json: %v %v", info, err)
	}
	card, err := ReadCard(r.config.Data)
	if err != nil || card.PID != os.Getpid() || card.Store != "sqlite" || card.Data != r.app.Data {
		t.Errorf("platform.json: %+v %v", card, err)
	}
	r.stop()
	if _, err := ReadCard(r.config.Data); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the stop: %v", err)
	}
}

func TestPlatformWithoutCompanyHasKeys(t *testing.T) {
	a, err := Start(t.Context(), Config{Data: t.TempDir(), Tenant: "none", Volumes: 1, MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close(t.Context())
	if p, err := a.keys.Authenticate(a.Card.Keys.Operator); err != nil || p.Role != rpc.Operator {
		t.Errorf("the operator's key: %+v %v", p, err)
	}
	if len(a.Card.Customers)+len(a.Card.Merchants) != 0 || a.Card.Keys.Merchant != "" {
		t.Errorf("nobody was to be made: %+v", a.Card)
	}
}

func TestSecondProcessIsHeldOff(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		second := r.config
		if second.StoreURL != "" {
			second.Data = t.TempDir() // another machine
		}
		var held *store.HeldError
		if _, err := Start(t.Context(), second); !errors.As(err, &held) {
			t.Fatalf("a second process: %v", err)
		}
		second.Standby = true
		took := make(chan *App)
		go func() {
			a, err := Start(t.Context(), second)
			if err != nil {
				t.Errorf("standby: %v", err)
			}
			took <- a
		}()
		p := r.pay("one", 1200, 200)
		r.stop()
		r.app = <-took
		defer r.app.Close(t.Context())
		if again := r.pay("one", 1200, 200); again.Id != p.Id {
			t.Errorf("the process that took over made another payment of the same request")
		}
	})
}

// TestReplacedProcessEnds: a process whose lock is gone, without its knowing, must not go on once another writes.
// The lock of a folder cannot be taken away.
func TestReplacedProcessEnds(t *testing.T) {
	r := newRig(t, storetest.Postgres(t)("x").URL)
	told := make(chan error, 1)
	r.app.Fatal = func(err error) { told <- err }
	second := r.config
	second.Data, second.Standby = t.TempDir(), true
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	usurped := make(chan error, 1)
	// A lock that is ended before anybody waits for it is taken again by the process that had it.
	go func() { usurped <- storetest.Usurp(ctx, r.config.StoreURL) }()
	a, err := Start(ctx, second)
	if err = errors.Join(err, <-usurped); err != nil {
		t.Fatal(err)
	}
	defer a.Close(t.Context())
	if _, err := r.try("late", 0, 1200, 200); err == nil {
		t.Error("the process that was replaced has answered")
	}
	var held *store.HeldError
	select {
	case err := <-told:
		if !errors.As(err, &held) {
			t.Errorf("it ends because of %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the process that was replaced goes on")
	}
	if r.app.Ready(t.Context()) == nil {
		t.Error("the process that was replaced is ready")
	}
}

// TestCreditsOfADayStandInOneLot: each credit of points had an expiry of its own, and the 513th of a year was refused.
func TestCreditsOfADayStandInOneLot(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		made, err := r.app.handlers.platform.CreateCustomer(r.as(rpc.Operator, "new"), &platformv1.CreateCustomerRequest{
			Points: &typev1.Money{Currency: "PT", Value: 30},
		})
		if err != nil {
			t.Fatal(err)
		}
		now := r.app.handlers.accounts.clock.Now()
		for _, key := range []string{"one", "two"} {
			_, err := r.app.handlers.accounts.CreditAccount(r.as(rpc.Operator, key), &balancev1.CreditAccountRequest{
				Id:     made.Points.Id,
				Amount: &typev1.Money{Currency: "PT", Value: 5},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		x, err := r.app.IDs.Decode(id.Account, made.Points.Id)
		if err != nil {
			t.Fatal(err)
		}
		v, err := r.app.handlers.accounts.points.Account(t.Context(), rpc.From(r.as(rpc.Operator, "")).Principal.Tenant, x)
		last := points.Until(r.app.handlers.accounts.clock.Now(), points.GrantDays)
		if points.Until(now, points.GrantDays) != last { // midnight came between
			return
		}
		if err != nil || len(v.Lots) != 1 || v.Lots[0].Left != 40 || v.Lots[0].ExpiresAt != last {
			t.Errorf("%+v, %v", v, err)
		}
	})
}

func TestCustomerIsMadeOnce(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		q := &platformv1.CreateCustomerRequest{Balance: yen(700), Points: &typev1.Money{Currency: "PT", Value: 30}}
		ctx := r.as(rpc.Operator, "new")
		// The process dies after the first step.
		half, _, err := r.app.handlers.platform.openBalance(ctx, money.Yen(700))
		if err != nil {
			t.Fatal(err)
		}
		first, err := r.app.handlers.platform.CreateCustomer(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		if first.Id != r.app.IDs.Encode("cus", half) || first.Balance.Posted != 700 || first.Points.Available != 30 {
			t.Errorf("the second try: %v", first)
		}
		if _, err := r.app.handlers.accounts.CreditAccount(r.as(rpc.Operator, "more"), &balancev1.CreditAccountRequest{Id: first.Balance.Id, Amount: yen(5)}); err != nil {
			t.Fatal(err)
		}
		r.stop()
		r.start()
		again, err := r.app.handlers.platform.CreateCustomer(r.as(rpc.Operator, "new"), q)
		if diff := cmp.Diff(first, again, protocmp.Transform()); diff != "" || err != nil {
			t.Errorf("sent again, the answer differs: %v\n%s", err, diff)
		}
		r.right(nil)
	})
}

func TestMerchantIsMadeOnce(t *testing.T) {
	r := newRig(t, "")
	first, err := r.app.handlers.platform.CreateMerchant(r.as(rpc.Operator, "shop"), &platformv1.CreateMerchantRequest{Name: "蕎麦処 Soba"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.app.handlers.platform.CreateMerchant(r.as(rpc.Operator, "shop"), &platformv1.CreateMerchantRequest{Name: "蕎麦処 Soba"})
	if diff := cmp.Diff(first, again, protocmp.Transform()); diff != "" || err != nil {
		t.Errorf("sent again, the answer differs: %v\n%s", err, diff)
	}
	if p, err := r.app.keys.Authenticate(first.Key); err != nil || r.app.IDs.Encode("mer", p.Merchant) != first.Id {
		t.Errorf("the shop's key: %+v %v", p, err)
	}
}

func TestAccountsAreSeenByWhoMay(t *testing.T) {
	r := newRig(t, "")
	card := r.app.Card
	own := r.app.IDs.Encode("acc", ownPoints(r))
	for _, tc := range []struct {
		role    rpc.Role
		account string
		want    fault.Code
	}{
		{rpc.Operator, card.Customers[0].Balance.Account, ""},
		{rpc.Operator, card.Customers[0].Points.Account, ""},
		{rpc.Operator, card.Merchants[0].Account, ""},
		{rpc.Operator, own, ""},
		{rpc.CustomerApp, card.Customers[0].Balance.Account, ""},
		{rpc.CustomerApp, card.Customers[0].Points.Account, ""},
		{rpc.CustomerApp, card.Merchants[0].Account, fault.AccountNotFound},
		{rpc.CustomerApp, own, fault.AccountNotFound},
		{rpc.Merchant, card.Merchants[0].Account, ""},
		{rpc.Merchant, card.Merchants[1].Account, fault.AccountNotFound},
		{rpc.Merchant, card.Customers[0].Balance.Account, fault.AccountNotFound},
		{rpc.Merchant, card.Customers[0].Points.Account, fault.AccountNotFound},
		{rpc.Merchant, own, fault.AccountNotFound},
		{rpc.Operator, card.Customers[0].ID, fault.AccountNotFound},
		{rpc.Operator, "acc_nonsense", fault.AccountNotFound},
	} {
		a, err := r.app.handlers.accounts.GetAccount(r.as(tc.role, "x"), &balancev1.GetAccountRequest{Id: tc.account})
		if fault.KindOf(err) != tc.want.Kind() && (err != nil || tc.want != "") || err == nil && a.Id != tc.account {
			t.Errorf("%v reads %s: %v, %v; expected %q", tc.role, tc.account, a, err, tc.want)
		}
	}
}

func TestFeedsTellWhatHappened(t *testing.T) {
	r := newRig(t, "")
	p := r.pay("one", 1200, 200)
	// An answer is durable before its event has a number: wait for the last one.
	r.numbered(2)
	for service, want := range map[string][]string{
		"payment": {"payment.accepted", "payment.captured"},
		"balance": {"account.opened"},
		"points":  {"points.granted", "points.opened"},
		"code":    nil,
	} {
		limit := int64(1000)
		out, err := r.app.handlers.feeds.ReadFeed(r.as(rpc.Operator, "x"), &feedv1.ReadFeedRequest{Service: service, Limit: &limit})
		if err != nil {
			t.Fatalf("%s: %v", service, err)
		}
		var types []string
		for i, e := range out.Events {
			types = append(types, e.Type)
			if e.N != int64(i+1) || e.Data == nil || service == "payment" && e.GetPayment() != p.Id {
				t.Errorf("%s, event %d: %v", service, i, e)
			}
		}
		slices.Sort(types)
		if types = slices.Compact(types); !slices.Equal(types, want) {
			t.Errorf("%s told %q, expected %q", service, types, want)
		}
	}
	_, err := r.app.handlers.feeds.ReadFeed(r.as(rpc.Operator, "x"), &feedv1.ReadFeedRequest{Service: "nothing"})
	if !fault.HasCode(err, fault.RouteNotFound) {
		t.Errorf("the feed of nothing: %v", err)
	}
}

func TestDoorAnswers(t *testing.T) {
	a, err := Start(t.Context(), Config{Data: t.TempDir(), Listen: "127.0.0.1:0", Volumes: 1, MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/openapi.yaml": 200, "/v1/payments": 401} {
		resp, err := http.Get(a.Card.Address + path)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != want {
			t.Errorf("%s: %d, expected %d", path, resp.StatusCode, want)
		}
	}
	if err := a.Close(t.Context()); err != nil {
		t.Errorf("close: %v", err)
	}
	if _, err := http.Get(a.Card.Address + "/healthz"); err == nil {
		t.Error("the door is open after the stop")
	}
}

// TestStopFinishesWhatIsUnderWay: nobody who is answered while the platform stops is told that it failed, and what was
// acknowledged is there afterwards.
func TestStopFinishesWhatIsUnderWay(t *testing.T) {
	r := &rig{t: t, config: Config{Data: t.TempDir(), Tenant: "demo", Listen: "127.0.0.1:0", Volumes: 2, MinFree: 1}}
	r.start()
	var mu sync.Mutex
	var acknowledged []string
	busy := make(chan struct{}, 100)
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for n := range 1000 {
				id, status, err := r.post(fmt.Sprintf("c%d-%d", i, n), i)
				if err != nil {
					return // the door is shut
				}
				if status != http.StatusCreated {
					t.Errorf("status %d while the platform stops", status)
				}
				mu.Lock()
				acknowledged = append(acknowledged, id)
				mu.Unlock()
				select {
				case busy <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 20 {
		<-busy
	}
	r.stop()
	clients.Wait()
	r.start()
	for _, id := range acknowledged {
		p, err := r.app.handlers.payment.GetPayment(r.as(rpc.Operator, "x"), &paymentv1.GetPaymentRequest{Id: id})
		if err != nil || p.Status != paymentv1.PaymentStatus_PAYMENT_STATUS_CAPTURED {
			t.Errorf("%s was acknowledged, and is %v, %v", id, p, err)
		}
	}
	r.right(nil)
}

// post pays through the door.
func (r *rig) post(key string, customer int) (id string, status int, err error) {
	body := fmt.Sprintf(`{"kind":"charge","merchant":%q,"customer":%q,"amount":{"currency":"JPY","value":10}}`,
		r.app.Card.Merchants[0].ID, r.app.Card.Customers[customer].ID)
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.app.Card.Address+"/v1/payments", strings.NewReader(body))
	if err != nil {
		return "", 0, err
	}
	req.Header.Set("Authorization", "Bearer "+r.app.Card.Keys.CustomerApp)
	req.Header.Set("Idempotency-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	var p struct{ ID string }
	err = json.NewDecoder(resp.Body).Decode(&p)
	return p.ID, resp.StatusCode, err
}

func TestStoreClockHasToAgree(t *testing.T) {
	url := storetest.Postgres(t)("x").URL
	_, err := Start(t.Context(), Config{Data: t.TempDir(), StoreURL: url, Volumes: 1, MinFree: 1, Clock: clock.NewManual(clock.NewSystem().Now() + clock.Hour)})
	if err == nil || !strings.Contains(err.Error(), "set the one that is wrong") {
		t.Errorf("an hour ahead of the store: %v", err)
	}
}

func TestFiguresAreGathered(t *testing.T) {
	r := newRig(t, "")
	r.pay("one", 1200, 200)
	reg := prometheus.NewRegistry()
	reg.MustRegister(figures{r.app})
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	for _, want := range []string{
		"koban_journal_commits_total", "koban_journal_blocks_total", "koban_journal_events_total",
		"koban_book_state_lag_blocks", "koban_payments_settled_total", "koban_participant_breaker",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is missing among %v", want, names)
		}
	}
}

func TestStartRefuses(t *testing.T) {
	good := func(t *testing.T) Config { return Config{Data: t.TempDir(), Volumes: 1, MinFree: 1} }
	for name, tc := range map[string]struct {
		edit func(t *testing.T, c *Config)
		says string
	}{
		"open folder":  {func(t *testing.T, c *Config) { chmod(t, c.Data, 0o777) }, "chmod 700"},
		"group folder": {func(t *testing.T, c *Config) { chmod(t, c.Data, 0o770) }, "chmod go-w"},
		"state of many": {func(t *testing.T, c *Config) {
			once(t, *c)
			chmod(t, filepath.Join(c.Data, "state"), 0o720)
		}, "go-w"},
		"state elsewhere": {
			func(t *testing.T, c *Config) { lead(t, filepath.Join(c.Data, "state"), t.TempDir()) },
			"not a folder",
		},
		"a file": {func(t *testing.T, c *Config) {
			c.Data = filepath.Join(c.Data, "x")
			write(t, c.Data)
		}, "data folder"},
		"full disk": {func(_ *testing.T, c *Config) { c.MinFree = 1 << 60 }, "make room"},
		"clock":     {func(_ *testing.T, c *Config) { c.Clock = clock.NewManual(wellKnown - 1) }, "clock"},
		"volumes":   {func(_ *testing.T, c *Config) { c.Volumes = 100 }, "expected 1 to 64"},
		"tenant":    {func(_ *testing.T, c *Config) { c.Tenant = "other" }, "expected demo or none"},
		"address":   {func(_ *testing.T, c *Config) { c.Listen = "256.0.0.1:1" }, "--listen"},
		"store": {func(_ *testing.T, c *Config) {
			c.StoreURL = "postgres://nobody@127.0.0.1:1/x?connect_timeout=1"
		}, "PostgreSQL"},
		"read by all": {func(t *testing.T, c *Config) {
			write(t, filepath.Join(c.Data, journalFile))
			chmod(t, filepath.Join(c.Data, journalFile), 0o644)
		}, "chmod 600"},
		"other volumes": {func(t *testing.T, c *Config) { once(t, *c); c.Volumes = 3 }, "which is for good"},
		"no volumes": {func(t *testing.T, c *Config) {
			once(t, *c)
			spoil(t, *c, volumesName)
		}, "volumes; expected"},
		"constants": {func(t *testing.T, c *Config) {
			once(t, *c)
			spoil(t, *c, checkName)
		}, "restore the store"},
		"check of the key": {func(t *testing.T, c *Config) {
			once(t, *c)
			spoil(t, *c, rootName)
		}, "is not the root key"},
	} {
		t.Run(name, func(t *testing.T) {
			c := good(t)
			tc.edit(t, &c)
			a, err := Start(t.Context(), c)
			if err == nil {
				_ = a.Close(t.Context())
			}
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("it says %v; expected %q", err, tc.says)
			}
		})
	}
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// lead puts a symbolic link at path.
func lead(t *testing.T, path, to string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

// Who could write to the data folder once chooses nothing that a later start reads or writes: links are
// refused, and what they lead to stays as it is. So is what belongs to somebody else.
func TestStartFollowsNoLinks(t *testing.T) {
	for _, name := range []string{"lock", RootKeyFile, journalFile, filepath.Join("state", "balance.db")} {
		c := Config{Data: t.TempDir(), Volumes: 1, MinFree: 1}
		once(t, c)
		victim := filepath.Join(t.TempDir(), "victim")
		if err := errors.Join(os.WriteFile(victim, []byte("precious"), 0o600), os.Remove(filepath.Join(c.Data,
			name))); err != nil {
			t.Fatal(err)
		}
		lead(t, filepath.Join(c.Data, name), victim)
		r := &rig{t: t, config: c}
		r.refused(name, "symbolic link")
		if text, err := os.ReadFile(victim); string(text) != "precious" {
			t.Errorf("%s: what the link leads to is %q now, %v", name, text, err)
		}
	}
	r := newRig(t, "")
	r.stop()
	victim := filepath.Join(t.TempDir(), "victim")
	write(t, victim)
	lead(t, cardPath(r.config.Data), victim) // it is replaced, and not followed
	r.start()
	if text, err := os.ReadFile(victim); len(text) > 0 || err != nil {
		t.Errorf("platform.json went where a link leads: %q %v", text, err)
	}
	r.stop()
	if os.Geteuid() != 0 {
		return // only root can give a file away
	}
	for _, name := range []string{"", "lock", RootKeyFile, journalFile, "state"} {
		path := filepath.Join(r.config.Data, name)
		if err := os.Chown(path, 4711, 0); err != nil {
			t.Fatal(err)
		}
		r.refused(path, "belongs to user 4711", "chown 0")
		if err := os.Chown(path, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	r.start()
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// once starts a platform and stops it.
func once(t *testing.T, c Config) {
	t.Helper()
	a, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// spoil damages one of the platform's constants.
func spoil(t *testing.T, c Config, name string) {
	r := &rig{t: t, config: c, app: &App{Config: c}}
	r.tamper("", `UPDATE platform SET value = $1 WHERE name = $2`, []byte("short"), name)
}

func TestKeysOfPurposesDiffer(t *testing.T) {
	c := constants{secret: make([]byte, secretBytes)}
	seen := map[string]string{}
	for _, purpose := range []string{"ids", "door", "root", "check/8", "demo/customer-1", "demo-body/customer-1"} {
		key := string(c.derive(purpose, 16))
		if other, ok := seen[key]; ok {
			t.Errorf("%s and %s share a key", purpose, other)
		}
		seen[key] = purpose
	}
}
