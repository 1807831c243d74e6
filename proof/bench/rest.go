package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/koban-pay/koban/internal/id"
)

// target is a platform's front door. Each caller has one connection, and speaks no more HTTP than it has to: what is
// measured is the platform, and the client takes its share of the same cores.
type target struct {
	address   string // host:port
	key       string
	customers []string
	merchants []string
}

// aim writes down what requests need to say.
func (p *running) aim() {
	p.http = target{address: strings.TrimPrefix(p.app.Card.Address, "http://"), key: p.app.Card.Keys.CustomerApp}
	for _, x := range p.customers {
		p.http.customers = append(p.http.customers, p.app.IDs.Encode(id.Customer, x))
	}
	for _, x := range p.merchants {
		p.http.merchants = append(p.http.merchants, p.app.IDs.Encode(id.Merchant, x))
	}
}

// line is one connection.
type line struct {
	*target
	conn net.Conn
	in   *bufio.Reader
	out  []byte
	body []byte
}

func (t *target) caller(pick func() (customer, merchant int)) (func(context.Context) (int64, error), error) {
	l := &line{target: t}
	if err := l.dial(); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (int64, error) {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		customer, merchant := pick()
		n, err := l.pay(customer, merchant)
		if err != nil {
			_ = l.conn.Close()
			if again := l.dial(); again != nil {
				return n, again
			}
		}
		return n, err
	}, nil
}

func (l *line) dial() (err error) {
	if l.conn, err = net.Dial("tcp", l.address); err == nil { //nolint:noctx // it is on this machine
		l.in = bufio.NewReader(l.conn)
	}
	return err
}

func (l *line) pay(customer, merchant int) (int64, error) {
	l.body = fmt.Appendf(l.body[:0], `{"kind":"charge","merchant":"%s","customer":"%s","amount":{"currency":"JPY","value":%d},`+
		`"sources":[{"type":"points","amount":{"currency":"PT","value":%d}},{"type":"balance"}],"capture":"automatic"}`,
		l.merchants[merchant], l.customers[customer], fromBalance+fromPoints, fromPoints)
	key := randomKey()
	l.out = fmt.Appendf(l.out[:0], "POST /v1/payments HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nIdempotency-Key: %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", l.address, l.key, hex.EncodeToString(key[:]), len(l.body), l.body)
	if _, err := l.conn.Write(l.out); err != nil {
		return 0, err
	}
	status, err := l.answer()
	switch {
	case err != nil:
		return 0, err
	case status == 201 && bytes.Contains(l.body, []byte(`"status":"CAPTURED"`)):
		return 1, nil
	}
	return 0, fmt.Errorf("a payment was answered %d: %s", status, bytes.TrimSpace(l.body))
}

// answer reads one answer: its status, and its body, whose length the front door always says.
func (l *line) answer() (status int, err error) {
	length := -1
	for first := true; ; first = false {
		text, err := l.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		text = bytes.TrimSpace(text)
		if first {
			if len(text) < 12 {
				return 0, fmt.Errorf("not HTTP: %q", text)
			}
			if status, err = strconv.Atoi(string(text[9:12])); err != nil {
				return 0, fmt.Errorf("not HTTP: %q", text)
			}
			continue
		}
		if len(text) == 0 {
			break
		}
		if name, value, _ := bytes.Cut(text, []byte(":")); bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, fmt.Errorf("not HTTP: %q", text)
			}
		}
	}
	if length < 0 {
		return status, fmt.Errorf("an answer with status %d does not say its length", status)
	}
	l.body = append(l.body[:0], make([]byte, length)...)
	_, err = io.ReadFull(l.in, l.body)
	return status, err
}
