package gateway

import (
	_ "embed"
	"strings"
	"testing"

	"github.com/koban-pay/koban/fault"
	tccv1 "github.com/koban-pay/koban/gen/koban/tcc/v1"
	"github.com/koban-pay/koban/internal/rpc"
)

//go:embed testdata/access.txt
var accessTable string

type accessRow struct{ verb, pattern, operator, app, merchant, object string }

func accessRows(t *testing.T) []accessRow {
	t.Helper()
	var rows []accessRow
	for _, line := range strings.Split(accessTable, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		if len(f) != 6 {
			t.Fatalf("access.txt: %q", line)
		}
		rows = append(rows, accessRow{f[0], f[1], f[2], f[3], f[4], f[5]})
	}
	return rows
}

var objectWords = map[Object]string{AnyObject: "any", OwnMerchant: "own_merchant", OwnAccount: "own_account"}

// Every route has a policy, and the reviewed table says the same.
func TestEveryRouteHasAReviewedPolicy(t *testing.T) {
	routes, err := Routes(contracts)
	if err != nil {
		t.Fatal(err)
	}
	rows := accessRows(t)
	if len(routes) != len(rows) {
		t.Errorf("%d routes, %d rows of access.txt", len(routes), len(rows))
	}
	byRoute := map[string]accessRow{}
	for _, r := range rows {
		byRoute[r.verb+" "+r.pattern] = r
	}
	for _, r := range routes {
		row, ok := byRoute[r.Verb+" "+r.Pattern]
		if !ok {
			t.Errorf("%s %s stands not in access.txt", r.Verb, r.Pattern)
			continue
		}
		for role, word := range map[rpc.Role]string{rpc.Operator: row.operator, rpc.CustomerApp: row.app, rpc.Merchant: row.merchant} {
			if r.Policy.admits(role) != (word != "no") {
				t.Errorf("%s %s, %v: the policy says %v, access.txt %q", r.Verb, r.Pattern, role, r.Policy.admits(role), word)
			}
		}
		if objectWords[r.Policy.Object] != row.object || (row.merchant == "own") != (r.Policy.Object != AnyObject) {
			t.Errorf("%s %s: object %q, access.txt %q and merchant %q", r.Verb, r.Pattern, objectWords[r.Policy.Object], row.object, row.merchant)
		}
	}
}

// bodies are the least that each POST takes.
var bodies = map[string]string{
	"/v1/payments":              `{"kind":"charge","merchant":"mer_1","customer":"cus_1","amount":{"currency":"JPY","value":1}}`,
	"/v1/accounts/{id}/credits": `{"amount":{"currency":"JPY","value":1}}`,
	"/v1/code-sessions":         `{"payload":"0002","customer":"cus_1"}`,
	"/v1/merchants":             `{"name":"茶屋"}`,
	"/v1/faults":                `{"do":"dead"}`,
}

// Every route × caller, own and other: as far as the gateway and a lawful handler decide it.
func TestAccessMatrix(t *testing.T) {
	d := newDoor(t, nil)
	for _, row := range accessRows(t) {
		for _, c := range []struct {
			name, key, word string
			own             bool
		}{
			{"nobody", anonymous, "401", false},
			{"a made-up key", "kbn_op_1_" + strings.Repeat("0", 32), "401", false},
			{"operator", d.keys.Operator(ours), row.operator, true},
			{"customer_app", d.keys.CustomerApp(ours), row.app, true},
			{"merchant", d.keys.Merchant(ours, shop), row.merchant, true},
			{"another merchant", d.keys.Merchant(ours, shop2), row.merchant, false},
			{"another tenant's operator", d.keys.Operator(theirs), row.operator, false},
			{"another tenant's app", d.keys.CustomerApp(theirs), row.app, false},
			{"the merchant's id in another tenant", d.keys.Merchant(theirs, shop), row.merchant, false},
		} {
			before := d.reached()
			path := strings.NewReplacer("{id}", "pay_1", "{service}", "payment").Replace(row.pattern)
			a := d.do(request{verb: row.verb, path: path, body: bodies[row.pattern], key: c.key})
			want, reaches := 0, 0
			switch {
			case c.word == "401":
				want = 401
			case c.word == "no":
				want = 403
			case !c.own:
				want, reaches = 404, 1
			case row.verb == "POST":
				want, reaches = 201, 1
			default:
				want, reaches = 200, 1
			}
			if a.Status != want || d.reached()-before != reaches {
				t.Errorf("%s %s by %s: %d, reached %d times, %s; want %d, %d", row.verb, row.pattern, c.name, a.Status, d.reached()-before, a.Body, want, reaches)
			}
		}
	}
}

func TestCredentials(t *testing.T) {
	d := newDoor(t, nil)
	op := d.keys.Operator(ours)
	for _, tc := range []struct {
		name   string
		header []string
		want   fault.Code
	}{
		{"none", nil, fault.NoCredentials},
		{"twice", []string{"Bearer " + op, "Bearer " + op}, fault.BadCredentials},
		{"basic", []string{"Basic b3A6"}, fault.BadCredentials},
		{"no key", []string{"Bearer "}, fault.BadCredentials},
		{"no scheme", []string{op}, fault.BadCredentials},
		{"a space more", []string{"Bearer  " + op}, fault.BadCredentials},
		{"cut", []string{"Bearer " + op[:len(op)-1]}, fault.BadCredentials},
		{"longer", []string{"Bearer " + op + "0"}, fault.BadCredentials},
		{"another role under its mac", []string{"Bearer " + strings.Replace(op, "_op_", "_app_", 1)}, fault.BadCredentials},
		{"another tenant under its mac", []string{"Bearer " + strings.Replace(op, "_1_", "_2_", 1)}, fault.BadCredentials},
		{"upper case", []string{"Bearer " + strings.ToUpper(op)}, fault.BadCredentials},
	} {
		h := map[string][]string{"Authorization": tc.header}
		a := d.do(request{verb: "GET", path: "/v1/payments/pay_1", key: anonymous, header: h})
		if a.wants(t, tc.want, ""); t.Failed() {
			t.Fatalf("in case %q", tc.name)
		}
		if a.Header.Get("Www-Authenticate") != "Bearer" {
			t.Errorf("%s: no WWW-Authenticate", tc.name)
		}
	}
	if d.reached() != 0 {
		t.Error("a handler was reached")
	}
	d.do(request{verb: "GET", path: "/v1/payments/pay_1", header: map[string][]string{"Authorization": {"bearer " + op}}}).wantsStatus(t, 200)
}

// TestAMethodSaysWhoMayCallIt: one that does not is not served by anybody's guess.
func TestAMethodSaysWhoMayCallIt(t *testing.T) {
	methods := tccv1.File_koban_tcc_v1_participant_proto.Services().Get(0).Methods()
	if p, err := policyOf(methods.Get(0)); err == nil {
		t.Errorf("%s says nothing of access, and has the policy %+v", methods.Get(0).FullName(), p)
	}
}
