package sim

import (
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/tcc/branch"
)

// service is what a world has to know of a service: a page of code for each, in a file of its own
// (docs/guides/add-a-service-to-the-simulator.md). Whatever needs no answer is taken from quiet.
type service interface {
	// name is the service's, as its books have it: name/00, name/01 …
	name() string
	// volumes returns how many books it has where others have so many.
	volumes(others int) int
	// machine returns a fresh machine of a volume.
	machine(volume, volumes int) book.Machine
	// morning makes what stands when a world begins, by w.must: nothing goes wrong yet.
	morning(w *World)
	// day plans what its callers do, and what befalls it, by w.after and w.again.
	day(w *World, payments int)
	// opened is called when a process has opened one of its books.
	opened(h *host)
	// due hears what came of a command for a row whose time had come.
	due(h *host, reply any, err error)
	// landed is called when a block of any book has become durable: for those who follow a feed.
	landed(w *World, b *journal.Block)
	// settled judges the service once nothing is under way any more; what is wrong goes to w.judge.fail.
	settled(w *World)
}

// participant is a service that takes part in payments.
type participant interface {
	service
	// role is how payments know it.
	role() payment.Participant
	// branches calls f for every branch of a book, and where it stands.
	branches(m book.Machine, f func(book.Key, part))
}

// keeper is a service that keeps accounts, which a crash walk compares.
type keeper interface {
	service
	accounts(m book.Machine, f func(a account))
}

// account is what stands on one account.
type account struct {
	key          book.Key
	kind         string
	posted, held int64
	currency     money.Currency
}

// platform is every service, in the order in which its books are opened.
var platform = []service{balanceSide{}, codeSide{}, paymentSide{}, pointsSide{}, feedSide{}}

// quiet is a service that does nothing by itself.
type quiet struct{}

func (quiet) volumes(others int) int            { return others }
func (quiet) morning(*World)                    {}
func (quiet) day(*World, int)                   {}
func (quiet) opened(*host)                      {}
func (quiet) due(*host, any, error)             {}
func (quiet) landed(_ *World, _ *journal.Block) {}
func (quiet) settled(*World)                    {}

// participantOf returns the service that takes a part.
func participantOf(who payment.Participant) participant {
	for _, s := range platform {
		if p, ok := s.(participant); ok && p.role() == who {
			return p
		}
	}
	panic("sim: nobody takes part as " + who.String())
}

// call returns the command of a call.
func call(p *payment.Payment, x *payment.Part, v payment.Verb) any {
	var request any
	switch v {
	case payment.VerbTry:
		r := p.TryRequest(x)
		request = &r
	case payment.VerbConfirm:
		r := p.ConfirmRequest(x)
		request = &r
	case payment.VerbCancel:
		r := p.CancelRequest(x)
		request = &r
	default:
		r := p.AddRequest(x)
		request = &r
	}
	return branch.CommandOf(request, branch.Japan)
}

// partOf returns where a branch stands.
func partOf(s branch.Status) part { return [...]part{absent, held, taken, letGo, refused, added}[s] }
