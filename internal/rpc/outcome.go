package rpc

// Outcome is a fault together with what its answer shows beside it: the failed payment, and the request that failed
// it. A replay gives the request id of the first answer, so that both are equal to the byte (rule B6).
type Outcome struct {
	Err       error  // carries a fault
	Payment   string // public id of the FAILED payment, or ""
	RequestID string // of the request that was answered first; "" means the current one
}

// Error returns the fault's text.
func (o *Outcome) Error() string { return o.Err.Error() }

// Unwrap returns the fault.
func (o *Outcome) Unwrap() error { return o.Err }

// Failed returns err as the answer about a payment that failed.
func Failed(err error, payment, requestID string) error {
	return &Outcome{Err: err, Payment: payment, RequestID: requestID}
}
