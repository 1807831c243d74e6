package conform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/koban-pay/koban/internal/id"
)

// hooks are what a service under test offers to the kit beside the contract.
type hooks struct {
	url    string
	client *http.Client
	header http.Header
	run    *run
	has    map[string]bool
	opened Options
}

var errNoHook = errors.New("there is no such hook")

func newHooks(o Options) *hooks {
	return &hooks{url: strings.TrimSuffix(o.Setup, "/"), client: &http.Client{}, header: o.Header, has: make(map[string]bool), opened: o}
}

// look finds out which hooks there are: /open has to be there.
func (h *hooks) look(ctx context.Context, r *run) error {
	h.run = r
	account, err := h.open(ctx, MinAmount)
	if err != nil {
		return fmt.Errorf("--setup: %w", err)
	}
	for name, ask := range map[string]func() error{
		"balance": func() error { _, _, err := h.balance(ctx, account); return err },
		"suspend": func() error { return h.suspend(ctx, account) },
	} {
		err := ask()
		if h.has[name] = err == nil; err != nil && !errors.Is(err, errNoHook) {
			return fmt.Errorf("--setup: %w", err)
		}
	}
	return nil
}

// open has an account opened with so much on it.
func (h *hooks) open(ctx context.Context, minor int64) (id.ID, error) {
	var out struct{ Account string }
	err := h.post(ctx, "open", map[string]any{"currency": h.opened.Currency.Code(), "value": minor}, &out)
	if err == nil && out.Account == "" {
		err = errors.New("POST /open answered without account")
	}
	if err != nil {
		return id.Nil, err
	}
	return h.run.names.learn(out.Account, h.run.fresh()), nil
}

func (h *hooks) balance(ctx context.Context, account id.ID) (available, held int64, err error) {
	var out struct{ Available, Held *int64 }
	if err := h.post(ctx, "balance", map[string]any{"account": h.run.names.Text(account)}, &out); err != nil {
		return 0, 0, err
	}
	if out.Available == nil || out.Held == nil {
		return 0, 0, errors.New("POST /balance answered without available or held")
	}
	return *out.Available, *out.Held, nil
}

func (h *hooks) suspend(ctx context.Context, account id.ID) error {
	return h.post(ctx, "suspend", map[string]any{"account": h.run.names.Text(account)}, &struct{}{})
}

// post calls a hook. errNoHook: it is not offered.
func (h *hooks) post(ctx context.Context, name string, body map[string]any, out any) error {
	ctx, stop := context.WithTimeout(ctx, callLimit)
	defer stop()
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url+"/"+name, bytes.NewReader(text))
	if err != nil {
		return err
	}
	if h.header != nil {
		q.Header = h.header.Clone()
	}
	q.Header.Set("Content-Type", "application/json")
	a, err := h.client.Do(q)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(a.Body, 64<<10))
	switch {
	case err != nil:
		return err
	case a.StatusCode == http.StatusNotFound || a.StatusCode == http.StatusNotImplemented:
		return fmt.Errorf("POST /%s: %w", name, errNoHook)
	case a.StatusCode != http.StatusOK:
		return fmt.Errorf("POST /%s answered %d: %.200s", name, a.StatusCode, answer)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("POST /%s answered what is no JSON: %.200s", name, answer)
	}
	return nil
}
