package contract

import (
	"crypto/rand"
	"strings"
	"sync"
	"testing"
)

// Catalogue 106: a scanned code, used by those and for that which it was not made for. A session that has expired is
// tested where the clock can be moved: in the package code.
func TestSessionIsForOnePayment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stranger := w.newCustomer(10_000, 0)
	s := w.scan(w.merchant.text("payload"), w.customer)
	of := func(change ...any) object {
		return w.charge(500, append([]any{"session", s["id"], "merchant", nil, "customer", nil}, change...)...)
	}
	e := w.app.post("/v1/payments", of("customer", stranger["id"])).refuses(t, 422, "session_of_another_customer")
	if e["retryable"] != false {
		t.Errorf("the error is %v", e)
	}
	other := newWorld(t).merchant
	w.app.post("/v1/payments", of("merchant", other["id"])).refuses(t, 422, "session_mismatch")
	w.is(w.app.post("/v1/payments", of()).wants(t, 201), "CAPTURED", "WAIT", 500, 500, 0)
	for range 2 {
		w.app.post("/v1/payments", of()).refuses(t, 422, "session_used")
	}
	w.wallet(9_500, 0, 1_000, 0)
	w.holds(accountOf(stranger, "balance"), 10_000, 0)
	w.holds(other.text("account"), 0, 0)
}

// A scan that is sent again hears of the session as it was opened, used or not.
func TestScanReplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key, scan := rand.Text(), object{"payload": w.merchant["payload"], "customer": w.customer["id"]}
	first := w.app.postAs(key, "/v1/code-sessions", scan)
	w.pay(5, "session", first.wants(t, 201).text("id"))
	if again := w.app.postAs(key, "/v1/code-sessions", scan); again.text != first.text || again.status != 201 {
		t.Errorf("the replay is %d %s, expected %s", again.status, again.text, first.text)
	}
}

// A payment that failed gives the session back: the customer may pay with the rest of what it has.
func TestSessionOfFailedPayment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.scan(w.merchant.text("payload"), w.customer)
	w.app.post("/v1/payments", w.charge(99_999, "session", s["id"])).refuses(t, 402, "insufficient_funds")
	w.is(w.pay(500, "session", s["id"]), "CAPTURED", "WAIT", 500, 500, 0)
}

// Two payers at one printed code have a session each; one session pays once, however many try at the same time.
func TestSessionRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.scan(w.merchant.text("payload"), w.customer)
	var group sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	for range 20 {
		group.Go(func() {
			a := w.app.post("/v1/payments", w.charge(100, "session", s["id"]))
			mu.Lock()
			defer mu.Unlock()
			if a.status == 201 {
				seen["paid"]++
			} else {
				seen[codeOf(a)]++
			}
		})
	}
	group.Wait()
	if seen["paid"] != 1 || seen["session_used"] != 19 {
		t.Errorf("20 payments with one session: %v", seen)
	}
	w.wallet(9_900, 0, 1_000, 0)
	w.holds(w.merchant.text("account"), 100, 0)
}

func TestManySessionsOfOneCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := make([]string, 30)
	var group sync.WaitGroup
	for i := range ids {
		group.Go(func() {
			ids[i] = object(w.app.post("/v1/code-sessions", object{"payload": w.merchant.text("payload"), "customer": w.customer.text("id")}).object).text("id")
		})
	}
	group.Wait()
	seen := map[string]bool{}
	for _, one := range ids {
		seen[one] = true
	}
	if len(seen) != len(ids) || seen[""] {
		t.Errorf("%d scans made %d sessions", len(ids), len(seen))
	}
}

// A code that carries an amount is paid with that amount and no other.
func TestCodeWithAmount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.scan(w.coded(777), w.customer)
	if s.minor("amount") != "777" {
		t.Errorf("the session is %v", s)
	}
	for _, amount := range []any{jpy(776), jpy(778), jpy(1)} {
		w.app.post("/v1/payments", w.charge(0, "session", s["id"], "amount", amount)).refuses(t, 422, "session_mismatch")
	}
	dollars := w.app.post("/v1/payments", w.charge(0, "session", s["id"], "amount", object{"currency": "USD", "value": 777}))
	if dollars.status != 400 && dollars.status != 422 {
		t.Errorf("777 cents for ¥777 answered %d: %s", dollars.status, dollars.text)
	}
	p := w.app.post("/v1/payments", object{"kind": "charge", "session": s["id"]}).wants(t, 201)
	w.is(p, "CAPTURED", "WAIT", 777, 777, 0)
	again := w.scan(w.coded(777), w.customer) // the same picture, scanned again, is another payment
	w.is(w.pay(777, "session", again["id"]), "CAPTURED", "WAIT", 777, 777, 0)
	w.wallet(10_000-2*777, 0, 1_000, 0)
}

// An edited code is no code; a well-formed code of nobody is refused too.
func TestEditedCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := w.coded(777)
	for name, c := range map[string]struct {
		payload string
		status  int
		code    string
	}{
		"amount edited":     {strings.Replace(good, "5403777", "5403111", 1), 400, "invalid_code"},
		"merchant swapped":  {strings.Replace(good, "0102", "0103", 1), 400, "invalid_code"},
		"check sum dropped": {good[:len(good)-8], 400, "invalid_code"},
		"cut":               {good[:20], 400, "invalid_code"},
		"a web address":     {"https://example.com/pay", 400, "invalid_code"},
		"of nobody":         {foreign, 404, "shop_not_found"},
		"empty":             {"", 400, "missing_field"},
		"a line more":       {good + "\n", 400, ""},
		"twice":             {good + good, 400, "invalid_code"},
		"too long":          {strings.Repeat("0", 2049), 400, ""},
	} {
		a := w.app.post("/v1/code-sessions", object{"payload": c.payload, "customer": w.customer["id"]})
		if a.status != c.status || c.code != "" && codeOf(a) != c.code {
			t.Errorf("%s answered %d, expected %d %s: %s", name, a.status, c.status, c.code, a.text)
		}
	}
	w.app.post("/v1/code-sessions", object{"payload": good}).refuses(t, 400, "missing_field")
	w.app.post("/v1/code-sessions", object{"payload": good, "customer": w.merchant["id"]}).refuses(t, 400, "invalid_id")
	w.app.get("/v1/code-sessions/ses_nothing").refuses(t, 404, "session_not_found")
	w.app.post("/v1/payments", w.charge(1, "session", "ses_nothing")).refuses(t, 400, "invalid_id")
}

// foreign is EMVCo's own example, of a shop that nobody registered here.
const foreign = "00020101021229300012D156000000000510A93FO3230Q31280012D15600000001030812345678520441115303156540523.725502015802CN5914BEST TRANSPORT6007BEIJING6233030412340603***0708A60086670902ME64200002ZH0104最佳运输0202北京8036003239401ff0c21a4543a8ed5fbaa30ab02e81360032c2fbf6dd646f4f36b617f10747c0b96163046F32"
