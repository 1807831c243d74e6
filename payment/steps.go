package payment

import (
	"slices"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/tcc"
)

// Step is one call that is owed to a participant now. It follows from the row alone (PAY6).
type Step struct {
	Verb Verb
	Part *Part
}

// Owed returns the calls that are owed now, all of which may be made at the same time; none if the resource is not
// WORK_IN_PROGRESS.
func Owed(p *Payment) []Step { return appendOwed(nil, p) }

func appendOwed(out []Step, p *Payment) []Step {
	if p.Resource != WorkInProgress {
		return out
	}
	for _, d := range p.Kind.dutiesOf(p.Decision) {
		for i := range p.Parts {
			if x := &p.Parts[i]; x.Role == d.role && !x.satisfies(d.verb) {
				out = append(out, Step{verbOwed(d.verb, x), x})
			}
		}
	}
	return out
}

// satisfies reports whether the verb is not owed to the part any more.
func (x *Part) satisfies(v Verb) bool {
	switch v {
	case VerbTry:
		return x.State == Held || x.State == Taken
	case VerbConfirm:
		return x.State == Taken
	case VerbAdd:
		return x.State == Added
	default: // a claim that the authorization has taken stays taken
		return x.State == LetGo || x.State == Taken
	}
}

// merge records an answer on its part.
func (x *Part) merge(a Answer) {
	x.note(a)
	x.move(a)
}

// move brings a part to where an answer leaves it. One that has ended does not go back, whatever arrives late.
func (x *Part) move(a Answer) {
	if x.State == Taken || x.State == LetGo || x.State == Added {
		return
	}
	x.Code = a.Code
	switch {
	case a.Outcome == tcc.Refused && mayRefuse(a.Verb):
		x.State = Refusing
	case a.Outcome != tcc.Done:
		if a.Verb == VerbTry {
			x.State = Unsure
		}
	case a.Verb == VerbTry:
		x.State = Held
	case a.Verb == VerbConfirm:
		x.State = Taken
	case a.Verb == VerbCancel:
		x.State = LetGo
	case a.Verb == VerbAdd:
		x.State = Added
	}
}

// note keeps the last answer to each verb, and how many calls were made for it in all. It adds to what stands there, or puts
// a copy in its place, but changes nothing of it: older versions of the payment share it.
func (x *Part) note(a Answer) {
	for i := range x.Answers {
		if x.Answers[i].Verb == a.Verb {
			a.Attempts += x.Answers[i].Attempts
			x.Answers = slices.Clone(x.Answers)
			x.Answers[i] = a
			return
		}
	}
	if x.Answers == nil && x.Role != Add { // most parts hear of a Try and of what follows from it
		x.Answers = make([]Answer, 0, 2)
	}
	x.Answers = append(x.Answers, a)
}

// advance returns where the payment stands, given its parts: the whole walk through a kind's table is here.
func advance(p *Payment) Standing {
	s := p.Standing
	for s.Resource == WorkInProgress {
		refused, done := survey(p, s.Decision)
		switch {
		case mayTurn(s.Decision) && refused != nil:
			s.Decision, s.Rollback, s.Aim, s.Failure = Cancel, CancelPhase, Failed, failure(p.Kind, refused)
			s.Refuser = refused.Number
		case !done:
			return s
		case s.Decision == Undecided && p.Capture == Manual:
			s.Decision, s.Phase = Authorize, Tried
		case s.Decision == Undecided:
			s.Decision, s.Phase = Confirm, ConfirmPhase
		case s.Decision == Authorize:
			s.Phase, s.Status, s.Resource = Authorization, Authorized, Wait
		case s.Decision == Confirm:
			k := p.Kind.data()
			s.Phase, s.Status, s.Resource = Notified, k.success, k.after
		default:
			s.Rollback, s.Status, s.Resource = RollbackCompleted, s.Aim, Completed
			if s.Aim == Failed {
				s.Resource = ResourceFailed
			}
		}
	}
	return s
}

// survey returns the first part whose Try was refused, and whether all that the decision asks for is done.
func survey(p *Payment, d Decision) (refused *Part, done bool) {
	done = true
	for _, y := range p.Kind.dutiesOf(d) {
		for i := range p.Parts {
			x := &p.Parts[i]
			if x.Role != y.role || x.satisfies(y.verb) {
				continue
			}
			done = false
			if x.State == Refusing && refused == nil {
				refused = x
			}
		}
	}
	return refused, done
}

// failure returns the code that a refused part fails a payment with.
func failure(k Kind, x *Part) fault.Code {
	if k == Refund && x.Code == fault.InsufficientFunds {
		return fault.MerchantFundsShort
	}
	if x.Code == "" {
		return fault.GaveUp
	}
	return x.Code
}

// Branch returns the name of the part's branch.
func (p *Payment) Branch(x *Part) tcc.Branch {
	return tcc.Branch{Tenant: p.Tenant, ID: p.ID.Facet(x.Number)}
}

func (p *Payment) purpose() tcc.Purpose {
	if p.Kind == Refund {
		return tcc.Refund
	}
	return tcc.Charge
}

// TryRequest returns the request of a part's Try. It is the same for every attempt.
func (p *Payment) TryRequest(x *Part) tcc.TryRequest {
	return tcc.TryRequest{
		Branch: p.Branch(x), Account: x.Account, Amount: x.Amount, Purpose: p.purpose(), NotAfter: p.GiveUpAt,
		EffectiveAt: p.EffectiveAt, Customer: p.Customer, Merchant: p.Merchant,
	}
}

// ConfirmRequest returns the request of a part's Confirm: the full amount, final. What is taken belongs to the day of its
// capture; a session is used up by the authorization.
func (p *Payment) ConfirmRequest(x *Part) tcc.ConfirmRequest {
	at := p.takenAt()
	if x.Role == Claim {
		at = p.EffectiveAt
	}
	return tcc.ConfirmRequest{
		Branch: p.Branch(x), Account: x.Account, Capture: 1, Amount: x.Amount, Final: true,
		EffectiveAt: at, To: x.Funding,
	}
}

// CancelRequest returns the request of a part's Cancel.
func (p *Payment) CancelRequest(x *Part) tcc.CancelRequest {
	return tcc.CancelRequest{Branch: p.Branch(x), Account: x.Account, NotAfter: p.GiveUpAt, EffectiveAt: p.EffectiveAt}
}

// AddRequest returns the request of a part's Add.
func (p *Payment) AddRequest(x *Part) tcc.AddRequest {
	x = again(x)
	return tcc.AddRequest{
		Branch: p.Branch(x), Account: x.Account, Amount: x.Amount, Purpose: p.purpose(), Funding: x.Funding,
		Origin: x.Origin, EffectiveAt: p.takenAt(),
	}
}
