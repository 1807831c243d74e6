package ledger_test

import "github.com/koban-pay/koban/fault"

// asError keeps a nil refusal a nil error.
func asError(err *fault.Error) error {
	if err == nil {
		return nil
	}
	return err
}
