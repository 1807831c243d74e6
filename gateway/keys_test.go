package gateway

import (
	"bytes"
	"testing"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
)

func testKeys(t *testing.T, secret []byte) *Keys {
	t.Helper()
	ids, err := id.NewCodec(bytes.Repeat([]byte{9}, 16))
	if err != nil {
		t.Fatal(err)
	}
	k, err := NewKeys(secret, ids)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeysNameTheirCaller(t *testing.T) {
	k := testKeys(t, secret)
	mer := k.Merchant(4_000_000_000, shop)
	for _, tc := range []struct {
		key  string
		want rpc.Principal
	}{
		{k.Operator(1), rpc.Principal{Tenant: 1, Role: rpc.Operator, Name: "operator"}},
		{k.CustomerApp(2), rpc.Principal{Tenant: 2, Role: rpc.CustomerApp, Name: "customer_app"}},
		{mer, rpc.Principal{Tenant: 4_000_000_000, Role: rpc.Merchant, Merchant: shop, Name: k.ids.Encode(id.Merchant, shop)}},
	} {
		if got, err := k.Authenticate(tc.key); err != nil || got != tc.want {
			t.Errorf("%s: %+v, %v; want %+v", tc.key, got, err, tc.want)
		}
	}
}

// A key changed in any one byte, or made under another secret, stands for nobody.
func TestKeysCannotBeChanged(t *testing.T) {
	k := testKeys(t, secret)
	for _, key := range []string{k.Operator(1), k.CustomerApp(1), k.Merchant(1, shop)} {
		for i := range key {
			for _, c := range []byte{'0', 'z', '_', key[i] ^ 1, key[i] ^ 0x20} {
				if c == key[i] {
					continue
				}
				other := []byte(key)
				other[i] = c
				if p, err := k.Authenticate(string(other)); !fault.HasCode(err, fault.BadCredentials) {
					t.Fatalf("%s stands for %+v", other, p)
				}
			}
			if _, err := k.Authenticate(key[:i]); err == nil {
				t.Fatalf("%s stands for someone", key[:i])
			}
		}
		if _, err := testKeys(t, bytes.Repeat([]byte{8}, 32)).Authenticate(key); err == nil {
			t.Errorf("%s holds under another secret", key)
		}
	}
}

// What is sealed but makes no sense stands for nobody.
func TestKeysOfOtherShapes(t *testing.T) {
	k := testKeys(t, secret)
	for _, claim := range []string{"", "kbn", "kbn_op", "kbn_op_x", "kbn_op_1_2", "kbn_root_1", "kbn_mer_1", "kbn_mer_1_x", "kbn_op_4294967296", "kbn_op_-1"} {
		if p, err := k.Authenticate(k.seal(claim)); !fault.HasCode(err, fault.BadCredentials) {
			t.Errorf("%q stands for %+v", claim, p)
		}
	}
	if _, err := NewKeys(secret[:31], nil); err == nil {
		t.Error("a short secret was taken")
	}
}
