package rpc

import (
	"context"
	"time"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// Key is the caller's idempotency key within its scope: the first 16 bytes of an HMAC-SHA256, keyed with the
// platform's secret, over tenant, principal, operation (method and concrete path) and key. It is what a journal keeps
// instead of the raw key (rule B14).
type Key [16]byte

// Slot returns the slot of what a request under this key makes, so that one key always meets one book (ARCHITECTURE.md, "Volumes").
func (k Key) Slot() uint16 { return id.SlotOf(k[:]) }

// IsNil reports whether there is no key: the request only reads.
func (k Key) IsNil() bool { return k == Key{} }

// Fingerprint tells requests under one key apart: the first 16 bytes of an HMAC-SHA256, keyed with the platform's
// secret, over the operation and the canonical body without async.
type Fingerprint [16]byte

// Call is what travels with a request.
type Call struct {
	Principal   Principal
	RequestID   string       // names this try in logs; another try of the same request has another
	Key         Key          // nil where the request only reads
	Fingerprint Fingerprint  // with Key
	Deadline    clock.Micros // until when the caller waits; 0 means for ever. The context ends then, too.
	Pace        clock.Clock  // that Deadline is of, where the platform's clock can be moved: a caller waits in real time; may be nil

	reply *Reply
}

// Reply is what a handler says about its answer beside the message. The front door reads it after the handler.
type Reply struct {
	Status     int           // HTTP status of a success; 0 means 201 for a POST and 200 for a GET
	RetryAfter time.Duration // when to ask again, for a 202 and for faults that may be tried again; 0 means the standard
}

type callKey struct{}

// With returns a context that carries c, and the reply that the handler may fill.
func With(ctx context.Context, c Call) (context.Context, *Reply) {
	c.reply = new(Reply)
	return context.WithValue(ctx, callKey{}, &c), c.reply
}

// From returns the call that ctx carries, and a zero Call, which may do nothing, if there is none. The caller must not
// change what it points to.
func From(ctx context.Context) *Call {
	if c, ok := ctx.Value(callKey{}).(*Call); ok {
		return c
	}
	return &Call{}
}

// SetStatus makes a success answer with an HTTP status other than the standard one: 202 for what is durable and under
// way. Without a call in ctx it does nothing.
func SetStatus(ctx context.Context, status int) {
	if r := From(ctx).reply; r != nil {
		r.Status = status
	}
}

// SetRetryAfter says when to ask again. Without a call in ctx it does nothing.
func SetRetryAfter(ctx context.Context, d time.Duration) {
	if r := From(ctx).reply; r != nil {
		r.RetryAfter = d
	}
}
