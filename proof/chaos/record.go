package chaos

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

// Op says what a request is for.
type Op string

// The ops.
const (
	Session Op = "session"
	Charge  Op = "charge"
	Refund  Op = "refund"
	Capture Op = "capture"
	Void    Op = "void"
	Credit  Op = "credit"
	Read    Op = "read" // a GET, which nobody repeats
)

// Ask is an intent: one request under one key, however often it is sent. It is written before it is sent.
type Ask struct {
	N int64 `json:"ask"`
	Request
	Op       Op     `json:"op"`
	On       string `json:"on,omitempty"`       // the payment, or the account of a credit
	Customer string `json:"customer,omitempty"` // of a charge
	Merchant string `json:"merchant,omitempty"`
	Manual   bool   `json:"manual,omitempty"`
	Value    int64  `json:"value,omitempty"` // of a credit, in minor units
}

// Ack is one answer to an ask. It is written when it has come.
type Ack struct {
	N      int64  `json:"ack"`
	Status int    `json:"status"`
	Hash   string `json:"hash"` // SHA-256 of the body
	Facts
}

// Facts are what an answer says.
type Facts struct {
	ID      string `json:"id,omitempty"`      // of the object, or of the payment that failed
	State   string `json:"state,omitempty"`   // its status
	Code    string `json:"code,omitempty"`    // of an error
	Balance int64  `json:"balance,omitempty"` // what each source pays, or gets back
	Points  int64  `json:"points,omitempty"`
}

// Final reports whether an answer with these facts ends a request. What is under way, and what nobody knows, does not.
func (f Facts) Final(status int) bool {
	switch status {
	case 202, 429, 503:
		return false
	case 409:
		return f.Code != "in_progress"
	default:
		return true
	}
}

// ReadFacts reads the facts of an answer. An answer that is no JSON has none.
func ReadFacts(a Answer) Facts {
	var m struct {
		ID      string `json:"id"`
		Status  string `json:"status"`
		Sources []struct {
			Type   string `json:"type"`
			Amount struct {
				Value int64 `json:"value"`
			} `json:"amount"`
		} `json:"sources"`
		Error struct {
			Code    string `json:"code"`
			Payment string `json:"payment"`
		} `json:"error"`
	}
	if json.Unmarshal(a.Body, &m) != nil {
		return Facts{Code: "no_json"}
	}
	f := Facts{ID: m.ID, State: m.Status, Code: m.Error.Code}
	if f.ID == "" {
		f.ID = m.Error.Payment
	}
	for _, s := range m.Sources {
		if s.Type == "points" {
			f.Points += s.Amount.Value
		} else {
			f.Balance += s.Amount.Value
		}
	}
	return f
}

// hashOf returns the mark by which bodies are compared.
func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// Log is the acknowledgement log: a file of JSON lines, asks and acks in the order in which they were written.
type Log struct {
	mu   sync.Mutex
	file *os.File
	err  error
	asks atomic.Int64
	acks atomic.Int64
}

// OpenLog makes a log.
func OpenLog(path string) (*Log, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the acknowledgement log: %w", err)
	}
	return &Log{file: f}, nil
}

// Ask numbers an ask and writes it.
func (l *Log) Ask(a *Ask) {
	a.N = l.asks.Add(1)
	l.write(a)
}

// Ack writes an answer to ask n.
func (l *Log) Ack(n int64, a Answer, f Facts) Ack {
	ack := Ack{N: n, Status: a.Status, Hash: hashOf(a.Body), Facts: f}
	l.acks.Add(1)
	l.write(ack)
	return ack
}

// Send writes an ask, unless it has been written, and sends it until it has its final answer, which it returns. All
// answers are written. An error means that ctx has ended.
func Send(ctx context.Context, line *Line, log *Log, a *Ask) (last Ack, err error) {
	if a.N == 0 {
		log.Ask(a)
	}
	_, _, err = line.Settle(ctx, a.Request, func(answer Answer, f Facts) { last = log.Ack(a.N, answer, f) })
	return last, err
}

func (l *Log) write(v any) {
	line, err := json.Marshal(v)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		_, err = l.file.Write(append(line, '\n'))
	}
	l.err = errors.Join(l.err, err)
}

// Close closes the log, and returns the first error that it met.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.err, l.file.Close())
}

// tail reads a log from where it was read last.
type tail struct {
	file *os.File
	text *bufio.Reader
}

func openTail(path string) (*tail, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the acknowledgement log: %w", err)
	}
	return &tail{f, bufio.NewReaderSize(f, 1<<20)}, nil
}

// next returns the next line, an *Ask or an *Ack; nil at the end. Nobody may be writing.
func (t *tail) next() (any, error) {
	line, err := t.text.ReadBytes('\n')
	if errors.Is(err, io.EOF) && len(line) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the acknowledgement log: %w", err)
	}
	var kind struct {
		Ask int64 `json:"ask"`
	}
	if err := json.Unmarshal(line, &kind); err != nil {
		return nil, fmt.Errorf("the acknowledgement log: %w", err)
	}
	var v any = new(Ack)
	if kind.Ask > 0 {
		v = new(Ask)
	}
	if err := json.Unmarshal(line, v); err != nil {
		return nil, fmt.Errorf("the acknowledgement log: %w", err)
	}
	return v, nil
}
