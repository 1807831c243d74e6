package wire

import (
	"encoding/json"
	"net/http"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/tcc"
)

// sense is what an answer says, before its code is read.
type sense uint8

const (
	unknown sense = iota // nobody knows: ask again
	done
	refused
	conflict
)

// read returns what an HTTP status says. Of those that sound like a no, the ones that a proxy gives, or that mean "not
// now", say nothing: 401, 407, 408, 421, 425, 429.
func read(status int) sense {
	switch status {
	case http.StatusOK, http.StatusCreated:
		return done
	case http.StatusConflict:
		return conflict
	case http.StatusUnauthorized, http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusMisdirectedRequest,
		http.StatusTooEarly, http.StatusTooManyRequests:
		return unknown
	}
	if status >= 400 && status < 500 {
		return refused
	}
	return unknown
}

// meaning returns what a kind of fault says.
func meaning(k fault.Kind) sense {
	switch k {
	case fault.Refused, fault.Invalid, fault.Denied, fault.NotFound:
		return refused
	case fault.Conflict:
		return conflict
	default:
		return unknown
	}
}

// judge turns an answer into one of the three outcomes. What cannot be read, or contradicts itself, is unknown, and the
// message says why.
func judge(status int, body []byte) (tcc.Receipt, error) {
	says := read(status)
	if says == done {
		var r Receipt
		if err := json.Unmarshal(body, &r); err != nil || !isObject(body) {
			return tcc.Receipt{}, unclear("status %d says done, but the body is no receipt: expected a JSON object such as {}", status)
		}
		return r.receipt(), nil
	}
	var b refusalBody
	readable := json.Unmarshal(body, &b) == nil && b.Error != nil && goodText(b.Error.Code)
	switch {
	case status >= 300 && status < 400:
		return tcc.Receipt{}, unclear("status %d redirects, and redirects are not followed: give the final address", status)
	case status < 300:
		return tcc.Receipt{}, unclear("status %d does not say that it was done: answer 200 once it is durable", status)
	case says == unknown && readable && meaning(fault.Code(b.Error.Code).Kind()) == unknown:
		return tcc.Receipt{}, fault.Decode(b.Error.Code, string(fault.Unknown), b.Error.Message, b.Error.Param)
	case says == unknown:
		return tcc.Receipt{}, unclear("status %d is neither done nor a definite no", status)
	case !readable:
		return tcc.Receipt{}, unclear("status %d without a code is no definite no, as a proxy may have given it: answer {\"error\":{\"code\":…,\"message\":…}}", status)
	}
	return tcc.Receipt{}, definite(says, status, *b.Error)
}

// definite returns the refusal or conflict that r tells. A code that is not on the list is the participant's own.
func definite(says sense, status int, r Refusal) error {
	word := map[sense]fault.Kind{refused: fault.Refused, conflict: fault.Conflict}[says]
	f := fault.Decode(r.Code, string(word), r.Message, r.Param)
	if meaning(f.Kind) != says {
		return unclear("the answer contradicts itself: %s by its status (%d), but the code %s is %s", word, status, r.Code, f.Kind)
	}
	return f
}

func isObject(body []byte) bool {
	for _, b := range body {
		switch b {
		case ' ', '\t', '\r', '\n':
		default:
			return b == '{'
		}
	}
	return false
}

// unclear is an outcome that nobody knows, and why.
func unclear(format string, args ...any) *fault.Error {
	return fault.Unavailable.New(format, args...)
}
