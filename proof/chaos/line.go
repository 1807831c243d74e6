package chaos

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/platform"
)

// Line leads to the platform that runs now. While none does, callers wait.
type Line struct {
	http     http.Client
	clk      clock.Clock
	limit    time.Duration // of a call
	patience time.Duration // how long after a start everything must have ended
	silent   atomic.Int64  // calls that got no answer

	mu sync.Mutex
	to *Platform
	up chan struct{} // closed while there is a platform
}

// NewLine returns a line that leads nowhere yet.
func NewLine() *Line {
	return &Line{
		http: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 512, DisableCompression: true}},
		clk:  clock.NewSystem(), limit: callLimit, patience: patience, up: make(chan struct{}),
	}
}

// Lead leads the line to a platform; nil: to none.
func (l *Line) Lead(p *Platform) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case p != nil && l.to == nil:
		close(l.up)
	case p == nil && l.to != nil:
		l.up = make(chan struct{})
		l.http.CloseIdleConnections()
	}
	l.to = p
}

// Platform returns the platform that runs now, and waits for one while there is none.
func (l *Line) Platform(ctx context.Context) (*Platform, error) {
	for {
		l.mu.Lock()
		to, up := l.to, l.up
		l.mu.Unlock()
		if to != nil {
			return to, nil
		}
		select {
		case <-up:
		case <-ctx.Done():
			return nil, fmt.Errorf("no platform: %w", ctx.Err())
		}
	}
}

// Request is a REST request. A request with a Key is a POST.
type Request struct {
	As   Role   `json:"as"`
	Path string `json:"path"`
	Key  string `json:"key,omitempty"`
	Body string `json:"body,omitempty"`
}

// Role says with which of the demo company's keys a request is made.
type Role string

// The roles.
const (
	Operator    Role = "operator"
	CustomerApp Role = "customer_app"
)

func (r Role) key(c *platform.Card) string {
	if r == CustomerApp {
		return c.Keys.CustomerApp
	}
	return c.Keys.Operator
}

// Answer is what a platform answered.
type Answer struct {
	Status int
	Body   []byte
}

// callLimit is longer than a platform takes for any answer.
const callLimit = 20 * time.Second

// Call makes one request. An error says that no answer came, or only a part.
func (l *Line) Call(ctx context.Context, q Request) (Answer, error) {
	p, err := l.Platform(ctx)
	if err != nil {
		return Answer{}, err
	}
	a, err := l.call(ctx, p, q)
	if err != nil && ctx.Err() == nil {
		l.silent.Add(1)
	}
	return a, err
}

func (l *Line) call(ctx context.Context, p *Platform, q Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, l.limit)
	defer cancel()
	method := http.MethodGet
	if q.Key != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, p.Card.Address+q.Path, bytes.NewReader([]byte(q.Body)))
	if err != nil {
		return Answer{}, fmt.Errorf("request %s: %w", q.Path, err)
	}
	req.Header.Set("Authorization", "Bearer "+q.As.key(p.Card))
	if q.Key != "" {
		req.Header.Set("Idempotency-Key", q.Key)
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := l.http.Do(req)
	if err != nil {
		return Answer{}, fmt.Errorf("no answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // what matters was read
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("half an answer: %w", err)
	}
	return Answer{resp.StatusCode, body}, nil
}

// Settle makes a request again and again, until it has its final answer or ctx ends. Every answer is heard, the final
// one too. An error means that ctx has ended.
func (l *Line) Settle(ctx context.Context, q Request, heard func(Answer, Facts)) (Answer, Facts, error) {
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		a, err := l.Call(ctx, q)
		if err == nil {
			f := ReadFacts(a)
			if heard != nil {
				heard(a, f)
			}
			if f.Final(a.Status) {
				return a, f, nil
			}
		}
		select {
		case <-ctx.Done():
			return a, Facts{}, fmt.Errorf("%s %s has no final answer: %w", q.Path, q.Key, ctx.Err())
		case <-clock.Pause(wait):
		}
	}
}

// How long is waited before the same request is made again.
const (
	firstWait = 5 * time.Millisecond
	lastWait  = 100 * time.Millisecond
)
