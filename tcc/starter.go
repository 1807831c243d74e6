package tcc

// Starter is a Participant in the same process, of whom much can be asked at once without a goroutine for each call. Each
// method does what the one of Participant does, without waiting: done hears the answer, exactly once, from any goroutine,
// and must be quick. There is no deadline; whoever stops waiting ignores what comes later.
type Starter interface {
	StartTry(r TryRequest, done func(Receipt, error))
	StartConfirm(r ConfirmRequest, done func(Receipt, error))
	StartCancel(r CancelRequest, done func(Receipt, error))
}

// AddStarter is a Receiver in the same process, in the same way.
type AddStarter interface {
	StartAdd(r AddRequest, done func(Receipt, error))
}
