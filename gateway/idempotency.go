package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"net/http"
	"sync"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/rpc"
)

// idempotencyKey returns the one Idempotency-Key of a POST.
func idempotencyKey(h http.Header) (string, *fault.Error) {
	keys := h["Idempotency-Key"]
	switch {
	case len(keys) == 0:
		return "", fault.IdempotencyKeyNeeded.New("")
	case len(keys) > 1:
		return "", fault.IdempotencyKeyBad.New("the Idempotency-Key stands twice in the headers; send it once")
	case len(keys[0]) < 1 || len(keys[0]) > 255:
		return "", fault.IdempotencyKeyBad.New("the Idempotency-Key has %d characters; send 1 to 255", len(keys[0]))
	}
	for _, c := range []byte(keys[0]) {
		if c < ' ' || c > '~' {
			return "", fault.IdempotencyKeyBad.New("the Idempotency-Key has a character that is not printable ASCII")
		}
	}
	return keys[0], nil
}

// binder turns keys and bodies into what may stand in a journal: HMACs under the platform's secret (rule B14).
type binder struct{ scopes, bodies *sync.Pool }

func newBinder(secret []byte) *binder {
	pool := func(purpose string) *sync.Pool {
		key := derive(secret, purpose)
		return &sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}
	}
	return &binder{scopes: pool("koban/idempotency-key/1"), bodies: pool("koban/fingerprint/1")}
}

// scope returns the key within its scope: tenant, principal, operation and key, each with its length before it.
func (b *binder) scope(p rpc.Principal, operation, key string) rpc.Key {
	h := b.scopes.Get().(hash.Hash)
	defer b.scopes.Put(h)
	h.Reset()
	buf := make([]byte, 0, 512)
	buf = binary.BigEndian.AppendUint32(buf, uint32(p.Tenant))
	for _, s := range []string{p.Name, operation, key} {
		buf = binary.AppendUvarint(buf, uint64(len(s)))
		buf = append(buf, s...)
	}
	h.Write(buf)
	return rpc.Key(h.Sum(buf[:0])[:16])
}

// fingerprint returns the mark of a request: its operation, a line end, and its canonical body.
func (b *binder) fingerprint(canonical []byte) rpc.Fingerprint {
	h := b.bodies.Get().(hash.Hash)
	defer b.bodies.Put(h)
	h.Reset()
	h.Write(canonical)
	var sum [sha256.Size]byte
	return rpc.Fingerprint(h.Sum(sum[:0])[:16])
}
