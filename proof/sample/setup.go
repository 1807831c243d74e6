package sample

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Setup answers what the conformance kit asks of a service under test beside the contract: fresh accounts, what they
// hold, and suspension. It has no place in production.
func (s *Service) Setup() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /open", func(w http.ResponseWriter, r *http.Request) {
		var q Amount
		if read(w, r, &q) != "" {
			http.Error(w, "expected currency and value", http.StatusBadRequest)
			return
		}
		account, err := s.Open(q)
		tell(w, map[string]any{"account": account}, err)
	})
	mux.HandleFunc("POST /balance", func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Account string }
		code := read(w, r, &q)
		a, found := s.Account(q.Account)
		if code != "" || !found {
			http.Error(w, "there is no such account", http.StatusBadRequest)
			return
		}
		tell(w, map[string]any{"available": a.Available, "held": a.Held}, nil)
	})
	mux.HandleFunc("POST /suspend", func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Account string }
		code := read(w, r, &q)
		if code == "" {
			var err error
			_, code, err = s.do("", func(b *books) (*record, string) {
				if b.accounts[q.Account] == nil {
					return nil, "account_not_found"
				}
				return &record{Suspend: q.Account}, ""
			})
			if err == nil && code == "" {
				tell(w, map[string]any{}, nil)
				return
			}
		}
		http.Error(w, "not suspended", http.StatusBadRequest)
	})
	return mux
}

// Open opens an account with so much on it, and returns its name.
func (s *Service) Open(funds Amount) (account string, err error) {
	_, _, err = s.do("", func(b *books) (*record, string) {
		account = fmt.Sprintf("member-%d", len(b.accounts)+1)
		return &record{Open: &opened{account, funds}}, ""
	})
	return account, err
}

// Account returns what is known of an account.
func (s *Service) Account(name string) (a Account, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.books.accounts[name]; known != nil {
		return *known, true
	}
	return Account{}, false
}

// waits reports whether an Add that was done could not be placed.
func (s *Service) waits(q Add) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.books.adds[key{q.Tenant, q.Branch}].Suspense != ""
}

func tell(w http.ResponseWriter, body map[string]any, err error) {
	if err != nil {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // if nobody listens any more, they ask again
}
