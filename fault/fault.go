package fault

import (
	"errors"
	"fmt"
)

// Kind says what a caller may conclude from a fault. It is an error, so that errors.Is(err, fault.Refused) holds.
type Kind string

// The kinds. docs/reference/errors.md says which code is of which.
const (
	Invalid         Kind = "invalid"         // the request can never succeed as it stands
	Unauthenticated Kind = "unauthenticated" // the caller did not say who it is
	Denied          Kind = "denied"          // the caller may not do this
	NotFound        Kind = "not_found"       // what the request names does not exist for this caller
	Refused         Kind = "refused"         // a definite no, decided on state: nothing was or will be done
	Conflict        Kind = "conflict"        // clashes with another request, which stands
	Busy            Kind = "busy"            // not now; nothing was done; the same request may be sent again
	Unknown         Kind = "unknown"         // nobody can say yet whether it was done: ask again with the same id
	Internal        Kind = "internal"        // a bug or broken data; a person has to look
)

// Error makes a kind usable as a target of errors.Is.
func (k Kind) Error() string { return string(k) }

// status is what a fault of kind k is answered with unless its code says otherwise.
func (k Kind) status() int {
	switch k {
	case Invalid:
		return 400
	case Unauthenticated:
		return 401
	case Denied:
		return 403
	case NotFound:
		return 404
	case Refused:
		return 422
	case Conflict:
		return 409
	case Busy, Unknown:
		return 503
	default:
		return 500
	}
}

// Error is one failure: a code of the closed list, and what a person needs to act on it.
type Error struct {
	Code    Code
	Kind    Kind
	Message string // one sentence: what was found, what was expected, what to do next
	Param   string // the request field at fault, in dotted snake_case, or ""
	cause   error
}

// Error returns the code and the message.
func (e *Error) Error() string {
	s := string(e.Code) + ": " + e.Message
	if e.Param != "" {
		s += " (" + e.Param + ")"
	}
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Is reports whether target is the same fault, by code: it holds for a fault decoded from the wire as it does for
// one made in this process.
func (e *Error) Is(target error) bool {
	switch t := target.(type) {
	case Kind:
		return t == e.Kind
	case Code:
		return t == e.Code
	case *Error:
		return t.Code == e.Code
	}
	return false
}

// Unwrap returns the cause, unless that is a fault itself: an unknown outcome that came about because somebody refused
// must not pass for a refusal. Such a cause is for the log only.
func (e *Error) Unwrap() error {
	var inner *Error
	if errors.As(e.cause, &inner) {
		return nil
	}
	return e.cause
}

// Retryable reports whether sending the same request again, under the same id, can end differently.
func (e *Error) Retryable() bool { return e.Kind == Busy || e.Kind == Unknown || e.Code == InProgress }

// Status is the HTTP status that the fault is answered with. A code that only a newer peer knows has that of its kind.
func (e *Error) Status() int {
	if r, ok := table[e.Code]; ok {
		return r.HTTP
	}
	return e.Kind.status()
}

// WithParam returns a copy of e that names the request field at fault.
func (e *Error) WithParam(param string) *Error {
	c := *e
	c.Param = param
	return &c
}

// Because returns a copy of e that wraps cause. The cause is logged, never shown to a caller outside.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// Of returns the fault inside err. An error that carries no fault is unknown, never refused: what is not
// understood must not be taken for a no. Of(nil) is nil.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Unavailable.New("the outcome is not known; ask again with the same id").Because(err)
}

// KindOf returns the kind of Of(err), and "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	return Of(err).Kind
}

// Decode rebuilds a fault that travelled as code, kind, message and param. The kind of a code on the list is the list's.
// A code that only a newer peer knows keeps the kind it came with; a kind that is not known either is Unknown, so that
// it is asked about again instead of being taken for something else.
func Decode(code, kind, message, param string) *Error {
	if info, ok := table[Code(code)]; ok {
		return &Error{Code: Code(code), Kind: info.Kind, Message: message, Param: param}
	}
	switch k := Kind(kind); k {
	case Invalid, Unauthenticated, Denied, NotFound, Refused, Conflict, Busy, Internal:
		return &Error{Code: Code(code), Kind: k, Message: message, Param: param}
	case Unknown:
	}
	return &Error{Code: Code(code), Kind: Unknown, Message: message, Param: param}
}

// New returns a fault of this code. The message is formatted with fmt.Sprintf; without one, the code's summary is it.
func (c Code) New(format string, args ...any) *Error {
	m := format
	switch {
	case format == "":
		m = c.Summary()
	case len(args) > 0:
		m = fmt.Sprintf(format, args...)
	}
	return &Error{Code: c, Kind: c.Kind(), Message: m}
}

// Error makes a code usable as a target of errors.Is.
func (c Code) Error() string { return string(c) }

// HasCode reports whether err is a fault of code c.
func HasCode(err error, c Code) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == c
}
