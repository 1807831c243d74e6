package judge

import (
	"errors"

	"google.golang.org/protobuf/proto"
)

// Witness is what the judge knows of one service: one page of code (docs/guides/add-a-participant.md).
type Witness interface {
	// Event reads one message of the service's journal and tells what it means, through e, a Ledger and the verbs of a
	// branch. It reads the stored message itself, and evaluates nothing that the message does not say.
	//
	// Errors: a message that this version does not know.
	Event(e *Event, typ uint32, body []byte) error
	// Tables lists the state tables of which Row compares rows; nil if there are none.
	Tables() []*Table
}

// witnesses are the services that the judge knows. A service that is not here is judged as a chain of blocks alone.
var witnesses = map[string]func(*Judge) Witness{
	"balance": newBalance,
	"points":  newPoints,
	"code":    newCode,
	"payment": newPayment,
}

// with reads a message and calls f with it.
func with[M proto.Message](body []byte, m M, f func(M)) error {
	if err := read(body, m); err != nil {
		return err
	}
	f(m)
	return nil
}

// errType says that a service has no event of a type.
var errType = errors.New("there is no such type")
