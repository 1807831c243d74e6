package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/koban-pay/koban/gateway"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/term"
)

// client speaks REST to one platform.
type client struct {
	address, key string
	http         *http.Client
}

// newClient returns a client of a platform. certificate is the SHA-256 of the one that the platform shows, if
// it is known from platform.json: then no other is accepted, and it needs no authority.
func newClient(address, key, certificate string) *client {
	c := &client{address, key, &http.Client{}}
	if certificate != "" {
		c.http.Transport = &http.Transport{TLSClientConfig: pinned(certificate)}
	}
	return c
}

// pinned accepts the one certificate with this SHA-256.
func pinned(certificate string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection compares the certificate itself
		VerifyConnection: func(s tls.ConnectionState) error {
			sum := sha256.Sum256(s.PeerCertificates[0].Raw)
			if hex.EncodeToString(sum[:]) != certificate {
				return errors.New("the certificate is not the one that platform.json names")
			}
			return nil
		},
	}
}

// callTimeout is longer than a platform takes for any answer.
const callTimeout = 45 * time.Second

// maxAnswer bounds what is read of one answer.
const maxAnswer = 64 << 20

// answer is what a platform said.
type answer struct {
	status    int
	body      []byte
	rehearsal string // what is not as in production; "" in production
}

// refusal is an answer that says no.
type refusal struct {
	status int
	body   []byte
	fault  struct {
		Code      string `json:"code"`
		Kind      string `json:"kind"`
		Message   string `json:"message"`
		Param     string `json:"param"`
		Payment   string `json:"payment"`
		RequestID string `json:"request_id"`
	}
}

func (r *refusal) Error() string {
	s := r.fault.Message + " (" + r.fault.Code
	if r.fault.Param != "" {
		s += ", " + r.fault.Param
	}
	s += ")"
	if r.fault.Payment != "" {
		s += "\nkoban explain " + r.fault.Payment + " shows what happened"
	}
	return s
}

// get reads path with a query.
func (c *client) get(path string, query url.Values) (*answer, error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.call(http.MethodGet, path, nil, "")
}

// maxTries bounds how often a POST is sent again under its key, when its answer is lost or says to ask again.
const maxTries = 5

// post sends body to path under an idempotency key ("" makes one), and sends it again under the same key while nobody
// knows whether it was done.
func (c *client) post(path, key string, body any) (*answer, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	if key == "" {
		key = freshKey()
	}
	lost := false // an answer was: it may have been done
	for try := 1; ; try++ {
		a, err := c.call(http.MethodPost, path, text, key)
		lost = lost || err != nil && again(err)
		if err == nil || try == maxTries || !again(err) {
			if err != nil && (again(err) || lost && errors.Is(err, errNobody)) {
				err = fmt.Errorf("%w\nnobody knows yet whether it was done: ask again with --idempotency-key %s", err, key)
			}
			return a, err
		}
		<-clock.Pause(time.Duration(try) * 200 * time.Millisecond)
	}
}

// freshKey returns an idempotency key of a command that was given none.
func freshKey() string { return "cli-" + rand.Text() }

// again reports whether the same request can end differently: its answer was lost, or it says so.
func again(err error) bool {
	var no *refusal
	if errors.As(err, &no) {
		return no.status == http.StatusServiceUnavailable || no.status == http.StatusTooManyRequests || no.fault.Code == "in_progress"
	}
	return !errors.Is(err, errNobody)
}

// unanswered reports whether an error says nothing of what was asked, only that nobody could say it.
func unanswered(err error) bool {
	var no *refusal
	if errors.As(err, &no) {
		return no.status >= http.StatusInternalServerError
	}
	return err != nil
}

// errNobody says that nothing was sent: nobody listens.
var errNobody = errors.New("the platform does not answer")

func (c *client) call(method, path string, body []byte, key string) (*answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	var sent atomic.Bool // also by a try that net/http made again by itself
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, method, c.address+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("the address %s: %w", c.address, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(c.address, err, sent.Load())
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("the answer of %s was cut off: %w", c.address, err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return nil, refused(resp.StatusCode, text)
	}
	return &answer{resp.StatusCode, text, resp.Header.Get(gateway.RehearsalHeader)}, nil
}

func refused(status int, text []byte) error {
	no := &refusal{status: status, body: text}
	if json.Unmarshal(text, &struct{ Error any }{&no.fault}) != nil || no.fault.Code == "" {
		no.fault.Code, no.fault.Message = "http_"+strconv.Itoa(status), "The answer is none of a Koban platform."
	}
	return no
}

// unreachable tells a platform that does not listen from an answer that was lost.
func unreachable(address string, err error, sent bool) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" && !sent {
		return fmt.Errorf("%w at %s (%w): koban run starts one", errNobody, address, op.Err)
	}
	return fmt.Errorf("no answer from %s: %w", address, err)
}

// say prints an answer: its bytes, or what show makes of it. With asJSON a refusal is printed as it came, too.
func say[T any](c *console, asJSON bool, a *answer, err error, show func(*T)) error {
	var no *refusal
	switch {
	case asJSON && errors.As(err, &no) && json.Valid(no.body):
		fmt.Fprintf(c.out, "%s", no.body)
		return quiet(exitRefused)
	case err != nil:
		return err
	case asJSON:
		fmt.Fprintf(c.out, "%s", a.body)
		return nil
	}
	v := new(T)
	if err := unmarshal(a, v); err != nil {
		return err
	}
	printRehearsal(c.out, a.rehearsal)
	show(v)
	return nil
}

// printRehearsal prints above a page that it is not about production.
func printRehearsal(w *term.Writer, state string) {
	if state != "" {
		fmt.Fprintf(w, "%s  %s\n", w.Warn("REHEARSAL"), term.Clean(state))
	}
}

func unmarshal(a *answer, v any) error {
	if err := json.Unmarshal(a.body, v); err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	return nil
}
