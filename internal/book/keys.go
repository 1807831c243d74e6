package book

import (
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// KeyEntry is what a caller's idempotency key stands for.
type KeyEntry struct {
	Target      id.ID        // what the key made
	Fingerprint [16]byte     // HMAC of the canonical body: another body under the same key is a conflict
	At          clock.Micros // when; names the day's segment of the index
}
