package branch

import (
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/tcc"
)

// What a request gets of which its branch knows already. Each returns the answer or the refusal; ok is
// false if there is something to decide.

func otherBody() *fault.Error {
	return fault.IDReused.New("the branch was used for another request")
}

// answerTry answers a Try of a branch that exists.
func (r *Row) answerTry(p Print) (Answer, *fault.Error) {
	switch {
	case r.Status == Cancelled && r.First.Seq == 0: // a tombstone knows no body
		return tryAfterCancel(r)
	case r.Status == Added, r.Print != p:
		return Answer{}, otherBody()
	case r.Status == Refused:
		return Answer{}, r.Refusal.Fault()
	case r.Status == Cancelled: // "held" would be a lie by now (I14)
		return tryAfterCancel(r)
	}
	return r.First, nil
}

// answerConfirm answers a Confirm that needs no new capture.
func (r *Row) answerConfirm(q *tcc.ConfirmRequest, p Print) (a Answer, ok bool, _ *fault.Error) {
	switch {
	case r == nil, r.Status == Refused:
		return Answer{}, true, fault.NotTried.New("")
	case r.Status == Cancelled:
		a, err := confirmAfterCancel(r)
		return a, true, err
	case r.Status == Added, r.Account != q.Account:
		return Answer{}, true, otherBody()
	}
	switch c := r.capture(q.Capture); {
	case c != nil && c.Print != p:
		return Answer{}, true, fault.IDReused.New("capture %d was made with another request", q.Capture)
	case c != nil && !captureForgotten():
		return c.Answer, true, nil
	case len(r.Captures) == MaxCaptures:
		return Answer{}, true, fault.LimitExceeded.New("the branch has %d captures already", MaxCaptures)
	}
	return Answer{}, false, nil
}

// answerCancel answers a Cancel that changes nothing. A refused Try set nothing aside, and every Try to
// come is refused as the first was: whoever asks hears of that block, whichever account he names.
func (r *Row) answerCancel(q *tcc.CancelRequest) (a Answer, ok bool, _ *fault.Error) {
	switch {
	case r == nil:
		return Answer{}, false, nil
	case r.Status == Cancelled:
		return r.Last, true, nil
	case r.Status == Refused:
		return r.First, true, nil
	case r.Status == Added, r.Account != q.Account:
		return Answer{}, true, otherBody()
	case len(r.Captures) > 0:
		a, err := cancelAfterConfirm(r)
		return a, true, err
	}
	return Answer{}, false, nil
}

// answerAdd answers an Add of a branch that exists.
func (r *Row) answerAdd(p Print) (Answer, *fault.Error) {
	if r.Status != Added || r.Print != p {
		return Answer{}, otherBody()
	}
	return r.First, nil
}
