//go:build !planted

package code

import (
	"github.com/koban-pay/koban/internal/id"
)

// The rules that a planted bug can break, each a sentence of its own; their twins are in
// breakable_planted.go.

// belongs: a session is paid by the customer who opened it (C4).
func belongs(s *SessionRow, customer id.ID) bool { return s.Customer == customer }

// taken: a session is for one payment (C1).
func taken(s *SessionRow) bool { return !s.By.IsNil() }

// unreserved: what is reserved was idle (C1).
func unreserved(s *SessionRow) bool { return s.idle() }
