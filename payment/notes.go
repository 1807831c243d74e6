package payment

import (
	"encoding/json"
	"unicode/utf8"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
)

// callerNote is the caller's own data about a payment, and what the scanned code said for the shop's books: free text, so it
// stands beside the journal (rule B14).
type callerNote struct {
	Reference string            `json:"reference,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	Labels    labels            `json:"labels,omitzero"`
}

// labels are the texts of a code (template 62) that a shop finds an order by.
type labels struct {
	BillNumber     string `json:"bill_number,omitempty"`
	StoreLabel     string `json:"store_label,omitempty"`
	ReferenceLabel string `json:"reference_label,omitempty"`
	TerminalLabel  string `json:"terminal_label,omitempty"`
}

// serviceName names the service whose notes they are.
const serviceName = "payment"

// callerNoteOf returns the note of a payment.
func callerNoteOf(t id.Tenant, x id.ID, body []byte) journal.Note {
	return journal.Note{Tenant: uint32(t), Service: serviceName, ID: x[:], Body: body}
}

// maxNote bounds what is kept beside one payment, in bytes.
const maxNote = 16 << 10

// note returns the bytes of a note, nil if it says nothing.
func note(n callerNote) ([]byte, error) {
	if n.Reference == "" && len(n.Metadata) == 0 && n.Labels == (labels{}) {
		return nil, nil
	}
	for k, v := range n.Metadata {
		if !utf8.ValidString(k) || !utf8.ValidString(v) || k == "" {
			return nil, fault.InvalidRequest.New("expected text with a name").WithParam("metadata")
		}
	}
	b, err := json.Marshal(n)
	if err != nil {
		return nil, fault.InvalidRequest.New("").WithParam("metadata").Because(err)
	}
	if len(b) > maxNote {
		return nil, fault.RequestTooLarge.New("reference and metadata have %d bytes; at most %d are kept", len(b), maxNote).WithParam("metadata")
	}
	return b, nil
}

// readNote is the inverse of note; what was erased is empty.
func readNote(b []byte) (n callerNote) {
	if json.Unmarshal(b, &n) != nil {
		return callerNote{}
	}
	return n
}
