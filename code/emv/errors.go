package emv

import (
	"fmt"

	"github.com/koban-pay/koban/fault"
)

// Fault says what is wrong with a payload. It is a closed list.
type Fault string

// The faults.
const (
	UnsupportedKind  Fault = "UNSUPPORTED_KIND"  // a code of another kind, such as a consumer-presented one
	NotUTF8          Fault = "NOT_UTF8"          // bytes that are no text
	TooLong          Fault = "TOO_LONG"          // more than 512 characters
	TooDeep          Fault = "TOO_DEEP"          // objects inside an object that is no template; only when encoding
	BadID            Fault = "BAD_ID"            // an identifier that is not two digits
	BadLength        Fault = "BAD_LENGTH"        // a length that is no number, zero, or not allowed for the object
	TruncatedValue   Fault = "TRUNCATED_VALUE"   // the text ends inside an object
	DuplicateID      Fault = "DUPLICATE_ID"      // an object that is there already
	BadOrder         Fault = "BAD_ORDER"         // 00 is there, but not first
	MissingMandatory Fault = "MISSING_MANDATORY" // an object that has to be there is not
	Unexpected       Fault = "UNEXPECTED_OBJECT" // an object that must not be there, given the others
	BadFormat        Fault = "BAD_FORMAT"        // a character outside those allowed for the object
	BadValue         Fault = "BAD_VALUE"         // the right characters, but not an allowed value
	BadAmount        Fault = "BAD_AMOUNT"        // an amount or fee that is malformed, zero, or too precise
	CRCMissing       Fault = "CRC_MISSING"       // no object 63
	CRCNotLast       Fault = "CRC_NOT_LAST"      // something follows object 63
	BadCRCFormat     Fault = "BAD_CRC_FORMAT"    // object 63 is not four upper-case hexadecimal digits
	BadCRC           Fault = "BAD_CRC"           // the check sum does not match: the payload was damaged or edited
	Unreadable       Fault = "UNREADABLE"        // there was no payload to read; only in ErrorView
)

// Error is why a payload is refused.
type Error struct {
	Code   Fault  `json:"code"`
	Object string `json:"object"` // the path of the object, such as "62.07"; "" when there is none to name
	// Offset counts characters from the start of the payload to the identifier, the length or the character at fault.
	// For a missing object it is the end of what should hold it: the template's end, or the start of object 63.
	Offset  int    `json:"offset"`
	Message string `json:"message"` // one sentence: what was found and what was expected
}

// Error returns the code, the place and the message.
func (e *Error) Error() string {
	if e.Object == "" {
		return fmt.Sprintf("%s at %d: %s", e.Code, e.Offset, e.Message)
	}
	return fmt.Sprintf("%s in %s at %d: %s", e.Code, e.Object, e.Offset, e.Message)
}

// Unwrap gives the platform's fault for a code that cannot be read, so that it can be answered over the wire.
func (e *Error) Unwrap() error {
	if e.Object == "" {
		return fault.InvalidCode.New("%s (%s)", e.Message, string(e.Code))
	}
	return fault.InvalidCode.New("object %s: %s (%s)", e.Object, e.Message, string(e.Code))
}

// Warning is something odd that does not make a payload unreadable.
type Warning struct {
	Object  string `json:"object"`
	Offset  int    `json:"offset"` // in characters, as in Error
	Message string `json:"message"`
}

func refuse(code Fault, object string, offset int, format string, args ...any) *Error {
	m := format
	if len(args) > 0 {
		m = fmt.Sprintf(format, args...)
	}
	return &Error{Code: code, Object: object, Offset: offset, Message: m}
}
