//go:build planted

package code

import (
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/planted"
)

// The twins of breakable.go: each is as it is there unless its bug is planted.

func belongs(s *SessionRow, customer id.ID) bool {
	return s.Customer == customer || planted.Bug == planted.SessionForeign
}

func taken(s *SessionRow) bool { return !s.By.IsNil() && planted.Bug != planted.SessionTwice }

func unreserved(s *SessionRow) bool { return s.idle() || planted.Bug == planted.SessionTwice }
