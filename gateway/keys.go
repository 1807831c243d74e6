package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/rpc"
)

// Authenticator says who a key stands for. A key that stands for nobody is the fault credentials_invalid.
type Authenticator interface {
	Authenticate(key string) (rpc.Principal, error)
}

// Keys makes and checks keys that need no storage: a key names its caller and proves it with an HMAC-SHA256, cut to
// 160 bits, under the platform's secret. Its prefix makes a leaked key easy to find:
//
//	kbn_op_<tenant>_<mac>             operator
//	kbn_app_<tenant>_<mac>            customer_app
//	kbn_mer_<tenant>_<merchant>_<mac> merchant; the 32 characters after mer_ of its id
//
// Such a key lives as long as the secret.
type Keys struct {
	secret []byte
	ids    *id.Codec
}

// NewKeys returns keys under a secret of at least 32 bytes. Merchants stand in keys as ids writes them.
func NewKeys(secret []byte, ids *id.Codec) (*Keys, error) {
	if len(secret) < 32 {
		return nil, fmt.Errorf("gateway: the secret has %d bytes; expected at least 32", len(secret))
	}
	return &Keys{derive(secret, "koban/api-key/1"), ids}, nil
}

// derive returns a key of 32 bytes for one purpose, so that no two purposes share one.
func derive(secret []byte, purpose string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(purpose))
	return h.Sum(nil)
}

var macAlphabet = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

const (
	macBytes = 20
	macText  = 32
)

// Operator returns the key of the tenant's operator.
func (k *Keys) Operator(t id.Tenant) string { return k.seal("kbn_op_" + tenantText(t)) }

// CustomerApp returns the key of the tenant's customer app.
func (k *Keys) CustomerApp(t id.Tenant) string { return k.seal("kbn_app_" + tenantText(t)) }

// Merchant returns the key of one merchant of the tenant.
func (k *Keys) Merchant(t id.Tenant, m id.ID) string {
	body := strings.TrimPrefix(k.ids.Encode(id.Merchant, m), string(id.Merchant)+"_")
	return k.seal("kbn_mer_" + tenantText(t) + "_" + body)
}

func tenantText(t id.Tenant) string { return strconv.FormatUint(uint64(t), 10) }

func (k *Keys) seal(claim string) string {
	h := hmac.New(sha256.New, k.secret)
	h.Write([]byte(claim))
	return claim + "_" + macAlphabet.EncodeToString(h.Sum(nil)[:macBytes])
}

// Authenticate returns the principal of a key that seal made. The proof is compared in constant time, and before
// anything in the key is believed.
func (k *Keys) Authenticate(key string) (rpc.Principal, error) {
	bad := fault.BadCredentials.New("")
	cut := len(key) - macText - 1
	if cut < 0 || !hmac.Equal([]byte(k.seal(key[:cut])), []byte(key)) {
		return rpc.Principal{}, bad
	}
	parts := strings.Split(key[:cut], "_")
	if len(parts) < 3 {
		return rpc.Principal{}, bad
	}
	n, err := strconv.ParseUint(parts[2], 10, 32)
	if err != nil {
		return rpc.Principal{}, bad
	}
	p := rpc.Principal{Tenant: id.Tenant(n)}
	switch {
	case parts[1] == "op" && len(parts) == 3:
		p.Role, p.Name = rpc.Operator, "operator"
	case parts[1] == "app" && len(parts) == 3:
		p.Role, p.Name = rpc.CustomerApp, "customer_app"
	case parts[1] == "mer" && len(parts) == 4:
		p.Role, p.Name = rpc.Merchant, string(id.Merchant)+"_"+parts[3]
		if p.Merchant, err = k.ids.Decode(id.Merchant, p.Name); err != nil {
			return rpc.Principal{}, bad
		}
	default:
		return rpc.Principal{}, bad
	}
	return p, nil
}
