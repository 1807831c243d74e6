package gateway

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/rpc"
)

type nowhere struct{ h http.Header }

func (n nowhere) Header() http.Header         { return n.h }
func (n nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n nowhere) WriteHeader(int)             {}

// One POST of a payment through the whole door, access log included, to a handler that does nothing.
func BenchmarkDoor(b *testing.B) {
	d := newDoor(b, func(c *Config) {
		c.Clock, c.RequestID = clock.NewSystem(), nil
		c.Ease = func(rpc.Principal) int { return 1 << 20 }
		c.Log = slog.New(slog.NewJSONHandler(io.Discard, nil))
	})
	r := httptest.NewRequest("POST", "http://koban/v1/payments", nil)
	r.Header.Set("Authorization", "Bearer "+d.keys.CustomerApp(ours))
	r.Header.Set("Idempotency-Key", "0123456789abcdef")
	b.ReportAllocs()
	for b.Loop() {
		r.Body = io.NopCloser(strings.NewReader(charge))
		d.ServeHTTP(nowhere{http.Header{}}, r)
		d.calls = d.calls[:0]
	}
}
