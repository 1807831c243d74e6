package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/tcc"
)

// Bridge returns what offers over gRPC, under ServicePath, a participant that answers POST /try, /confirm, /cancel and
// /add with JSON.
func Bridge(verbs http.Handler) http.Handler {
	inside := &overHTTP{client: &http.Client{Transport: Direct(verbs)}, url: "http://inside"}
	return service(backend{
		try:     func(ctx context.Context, b TryBody) (tcc.Receipt, error) { return inside.pass(ctx, Try, b) },
		confirm: func(ctx context.Context, b ConfirmBody) (tcc.Receipt, error) { return inside.pass(ctx, Confirm, b) },
		cancel:  func(ctx context.Context, b CancelBody) (tcc.Receipt, error) { return inside.pass(ctx, Cancel, b) },
		add:     func(ctx context.Context, b AddBody) (tcc.Receipt, error) { return inside.pass(ctx, Add, b) },
	})
}

func (o *overHTTP) pass(ctx context.Context, verb Verb, body any) (tcc.Receipt, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return tcc.Receipt{}, fault.InvalidRequest.New("the request cannot be written: %s", err.Error())
	}
	_, _, receipt, err := o.carry(ctx, verb, body, raw)
	return receipt, err
}

// Direct returns a transport that carries requests to a handler in this process.
func Direct(to http.Handler) http.RoundTripper { return direct{to} }

type direct struct{ to http.Handler }

// RoundTrip has the handler answer.
func (d direct) RoundTrip(q *http.Request) (*http.Response, error) {
	w := &heard{header: make(http.Header), status: http.StatusOK}
	d.to.ServeHTTP(w, q)
	return &http.Response{
		StatusCode: w.status, Status: http.StatusText(w.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: q,
	}, nil
}

// heard is an answer that is kept.
type heard struct {
	header http.Header
	status int
	said   bool
	body   bytes.Buffer
}

func (h *heard) Header() http.Header { return h.header }

func (h *heard) WriteHeader(status int) {
	if !h.said {
		h.status, h.said = status, true
	}
}

func (h *heard) Write(b []byte) (int, error) {
	h.said = true
	return h.body.Write(b)
}
