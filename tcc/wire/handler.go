package wire

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/tcc"
)

// Handler returns what answers POST /try, /confirm, /cancel and /add with JSON. Who may call is for the caller to check,
// in front of it.
func Handler(s Server) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/"+string(Try), serve(s.try))
	mux.Handle("/"+string(Confirm), serve(s.confirm))
	mux.Handle("/"+string(Cancel), serve(s.cancel))
	mux.Handle("/"+string(Add), serve(s.add))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, tcc.Receipt{}, fault.RouteNotFound.New("there are /try, /confirm, /cancel and /add"))
	})
	return mux
}

func serve[B any](do func(context.Context, B) (tcc.Receipt, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			answer(w, tcc.Receipt{}, fault.MethodNotAllowed.New("every verb is a POST"))
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		var tooLarge *http.MaxBytesError
		switch {
		case errors.As(err, &tooLarge):
			answer(w, tcc.Receipt{}, fault.RequestTooLarge.New("a request has at most %d bytes", maxBody))
			return
		case err != nil: // half a request is none
			answer(w, tcc.Receipt{}, fault.Unavailable.New("the request did not arrive whole").Because(err))
			return
		}
		var b B
		if err := decode(body, &b); err != nil {
			answer(w, tcc.Receipt{}, err)
			return
		}
		receipt, err := do(r.Context(), b)
		answer(w, receipt, err)
	})
}

// answer writes one of the three outcomes.
func answer(w http.ResponseWriter, r tcc.Receipt, err error) {
	status, body := http.StatusOK, any(toReceipt(r))
	if err != nil {
		f := fault.Of(err)
		status, body = statusOf(f), refusalBody{&Refusal{Code: string(f.Code), Kind: string(f.Kind), Message: f.Message, Param: f.Param}}
	}
	text, e := json.Marshal(body)
	if e != nil {
		panic("tcc: an answer that JSON cannot say: " + e.Error())
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // nobody is left to tell
}

// statusOf is the HTTP status that says no more than f does: where the list gives a conflict another status than 409, or
// another fault that one, the kind decides.
func statusOf(f *fault.Error) int {
	if s := f.Status(); read(s) == meaning(f.Kind) && (f.Kind == fault.Conflict) == (s == http.StatusConflict) {
		return s
	}
	switch f.Kind {
	case fault.Conflict:
		return http.StatusConflict
	case fault.Refused, fault.Invalid, fault.Denied, fault.NotFound:
		return http.StatusUnprocessableEntity
	default:
		return http.StatusServiceUnavailable
	}
}
