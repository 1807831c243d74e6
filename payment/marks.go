package payment

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"github.com/koban-pay/koban/internal/id"
)

// MarkKey is the secret under which texts become marks.
type MarkKey []byte

// mark returns the mark of a text: the first 64 bits of its HMAC-SHA256, in its tenant and for its field, so that equal texts
// of two companies, or of two fields, have nothing to do with each other. That of no text is 0, and of no other.
func (k MarkKey) mark(t id.Tenant, field, text string) uint64 {
	if text == "" {
		return 0
	}
	h := hmac.New(sha256.New, k)
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(t)))
	h.Write([]byte(field + "\x00" + text))
	return max(1, binary.BigEndian.Uint64(h.Sum(nil)))
}

// marks returns what a payment with this note is found by.
func (k MarkKey) marks(t id.Tenant, n callerNote) Marks {
	return Marks{
		Reference: k.mark(t, "reference", n.Reference), BillNumber: k.mark(t, "bill_number", n.Labels.BillNumber),
		ReferenceLabel: k.mark(t, "reference_label", n.Labels.ReferenceLabel), TerminalLabel: k.mark(t, "terminal_label", n.Labels.TerminalLabel),
	}
}
