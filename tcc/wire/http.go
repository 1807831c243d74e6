package wire

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"

	"github.com/koban-pay/koban/tcc"
)

// overHTTP carries requests as JSON.
type overHTTP struct {
	client *http.Client
	url    string
	header http.Header
}

func (o *overHTTP) carry(ctx context.Context, verb Verb, _ any, raw []byte) (string, []byte, tcc.Receipt, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, o.url+"/"+string(verb), bytes.NewReader(raw))
	if err != nil {
		return "", nil, tcc.Receipt{}, lost(ctx, err)
	}
	if o.header != nil {
		q.Header = o.header.Clone()
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Accept", "application/json")
	answer, err := o.client.Do(q)
	if err != nil {
		return "", nil, tcc.Receipt{}, lost(ctx, err)
	}
	defer answer.Body.Close()
	status := strconv.Itoa(answer.StatusCode)
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxBody+1))
	if err != nil {
		return status, text, tcc.Receipt{}, lost(ctx, err)
	}
	if len(text) > maxBody {
		return status, text[:256], tcc.Receipt{}, unclear("the answer has more than %d bytes", maxBody)
	}
	receipt, err := judge(answer.StatusCode, text)
	return status, text, receipt, err
}
