package code

import (
	"context"
	"encoding/json"

	"github.com/koban-pay/koban/code/emv"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
)

// Labels are what a code says for the shop's own books (template 62): by them it finds the order that was paid. They are
// text that anybody may have put into a code, so they stand in the session's note, where they can be erased (rule B14).
type Labels struct {
	BillNumber     string `json:"bill_number,omitempty"`     // 62.01
	StoreLabel     string `json:"store_label,omitempty"`     // 62.03
	ReferenceLabel string `json:"reference_label,omitempty"` // 62.05
	TerminalLabel  string `json:"terminal_label,omitempty"`  // 62.07
}

// prompt stands where the app is to ask the payer: it says nothing of the order.
const prompt = "***"

// labelsOf returns what a code says. What is about the payer, 62.02, 62.04, 62.06 and 62.09, is never kept.
func labelsOf(c *emv.Code) (l Labels) {
	d := c.AdditionalData()
	if d == nil {
		return l
	}
	l = Labels{d.BillNumber, d.StoreLabel, d.ReferenceLabel, d.TerminalLabel}
	for _, text := range []*string{&l.BillNumber, &l.StoreLabel, &l.ReferenceLabel, &l.TerminalLabel} {
		if *text == prompt {
			*text = ""
		}
	}
	return l
}

// note returns the body of the session's note, nil if the code says nothing.
func (l Labels) note() ([]byte, error) {
	if l == (Labels{}) {
		return nil, nil
	}
	body, err := json.Marshal(l)
	if err != nil {
		return nil, fault.InvalidCode.New("the code's labels are not text").WithParam("payload")
	}
	return body, nil
}

// Labels returns what the code of a session said for the shop's books; nothing if it was erased.
//
// Errors: unavailable if it cannot be read, data_damaged if it is not understood.
func (s *Service) Labels(ctx context.Context, tenant id.Tenant, v Session) (l Labels, err error) {
	if !v.Noted {
		return l, nil
	}
	body, ok, err := s.notes.Note(ctx, uint32(tenant), serviceName, v.ID[:])
	if err != nil || !ok {
		return l, err
	}
	if err := json.Unmarshal(body, &l); err != nil {
		return l, fault.DataDamaged.New("the note of a session cannot be read").Because(err)
	}
	return l, nil
}
