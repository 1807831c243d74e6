package sample

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
)

type receipt struct {
	Book      string `json:"book"`
	Seq       uint64 `json:"seq"`
	Available int64  `json:"available"`
	Suspense  bool   `json:"suspense,omitempty"` // of an Add: it waits for a person
}

type refusal struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// statuses are how the codes are answered. What is not here is a refusal about state: 422.
var statuses = map[string]int{
	"invalid_request": 400, "invalid_amount": 400, "invalid_currency": 400, "invalid_id": 400, "unknown_field": 400,
	"currency_mismatch": 400, "insufficient_funds": 402, "account_not_found": 404, "id_reused": 409, "request_too_large": 413,
}

// Handler answers the four verbs.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /try", verb(s,
		func(q Try) string {
			return firstOf(checkHead(q.Branch, q.Account, q.Tenant), checkAmount(q.Amount), checkThere(!q.NotAfter.IsZero()))
		},
		func(q Try) string { return q.Account },
		func(b *books, q Try) (*record, string) { return b.decideTry(q, s.now()) }))
	mux.Handle("POST /confirm", verb(s,
		func(q Confirm) string {
			return firstOf(checkHead(q.Branch, q.Account, q.Tenant), checkAmount(q.Amount), checkThere(q.Capture > 0))
		},
		func(q Confirm) string { return q.Account },
		(*books).decideConfirm))
	mux.Handle("POST /cancel", verb(s,
		func(q Cancel) string {
			return firstOf(checkHead(q.Branch, q.Account, q.Tenant), checkThere(!q.NotAfter.IsZero()))
		},
		func(q Cancel) string { return q.Account },
		(*books).decideCancel))
	mux.Handle("POST /add", verb(s,
		func(q Add) string { return firstOf(checkHead(q.Branch, q.Account, q.Tenant), checkAmount(q.Amount)) },
		func(q Add) string { return q.Account },
		(*books).decideAdd))
	return mux
}

// verb reads a request, checks it, lets decide decide, and answers.
func verb[Q any](s *Service, check, account func(Q) string, decide func(*books, Q) (*record, string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q Q
		code := read(w, r, &q)
		if code == "" {
			code = check(q)
		}
		if code != "" {
			answer(w, receipt{}, code, nil)
			return
		}
		out, code, err := s.do(account(q), func(b *books) (*record, string) { return decide(b, q) })
		if add, ok := any(q).(Add); ok && err == nil {
			out.Suspense = s.waits(add)
		}
		answer(w, out, code, err)
	})
}

// read decodes a body. It knows every member it acts on: what it does not know, it does not do.
func read(w http.ResponseWriter, r *http.Request, v any) (code string) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if errors.As(err, new(*http.MaxBytesError)) {
		return "request_too_large"
	}
	if err != nil {
		return "invalid_request"
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	var wrong *json.UnmarshalTypeError
	switch err := d.Decode(v); {
	case errors.As(err, &wrong) && strings.HasSuffix(wrong.Field, "value"):
		return "invalid_amount"
	case err != nil && strings.Contains(err.Error(), "unknown field"):
		return "unknown_field"
	case err != nil, d.More():
		return "invalid_request"
	}
	return ""
}

var (
	goodID       = regexp.MustCompile(`^[!-~]{1,64}$`)
	goodCurrency = regexp.MustCompile(`^(PT|[A-Z]{3})$`)
)

func checkHead(branch, account string, tenant uint32) string {
	if !goodID.MatchString(branch) || !goodID.MatchString(account) || tenant == 0 {
		return "invalid_id"
	}
	return ""
}

func checkAmount(a Amount) string {
	switch {
	case !goodCurrency.MatchString(a.Currency):
		return "invalid_currency"
	case a.Value < 1 || a.Value > 1<<53-1:
		return "invalid_amount"
	}
	return ""
}

func checkThere(there bool) string {
	if !there {
		return "invalid_request"
	}
	return ""
}

func firstOf(codes ...string) string {
	for _, c := range codes {
		if c != "" {
			return c
		}
	}
	return ""
}

// answer says one of three things: done, refused with a code, or that nobody knows.
func answer(w http.ResponseWriter, out receipt, code string, err error) {
	status, body := http.StatusOK, any(out)
	switch {
	case err != nil:
		status, body = http.StatusServiceUnavailable, map[string]refusal{"error": {"unavailable", "ask again"}}
	case code != "":
		status, body = statuses[code], map[string]refusal{"error": {code, strings.ReplaceAll(code, "_", " ")}}
		if status == 0 {
			status = http.StatusUnprocessableEntity
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // if nobody listens any more, they ask again
}
