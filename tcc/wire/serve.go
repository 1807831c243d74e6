package wire

import (
	"context"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/tcc"
)

// Server says what a Handler and a Service offer.
type Server struct {
	Participant tcc.Participant
	Receiver    tcc.Receiver // nil: it cannot be given value
	Names       Names        // nil: Plain
}

func (s Server) names() Names {
	if s.Names == nil {
		return Plain{}
	}
	return s.Names
}

func (s Server) try(ctx context.Context, b TryBody) (tcc.Receipt, error) {
	r, err := b.request(s.names())
	if err != nil {
		return tcc.Receipt{}, err
	}
	return s.Participant.Try(ctx, r)
}

func (s Server) confirm(ctx context.Context, b ConfirmBody) (tcc.Receipt, error) {
	r, err := b.request(s.names())
	if err != nil {
		return tcc.Receipt{}, err
	}
	return s.Participant.Confirm(ctx, r)
}

func (s Server) cancel(ctx context.Context, b CancelBody) (tcc.Receipt, error) {
	r, err := b.request(s.names())
	if err != nil {
		return tcc.Receipt{}, err
	}
	return s.Participant.Cancel(ctx, r)
}

func (s Server) add(ctx context.Context, b AddBody) (tcc.Receipt, error) {
	if s.Receiver == nil {
		return tcc.Receipt{}, fault.RouteNotFound.New("this participant cannot be added to")
	}
	r, err := b.request(s.names())
	if err != nil {
		return tcc.Receipt{}, err
	}
	return s.Receiver.Add(ctx, r)
}
