package gateway

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// listen serves d on a port of the loopback and returns its address.
func (d *door) listen(edit func(*http.Server)) string {
	d.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.t.Fatal(err)
	}
	s := d.Server()
	if edit != nil {
		edit(s)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(d.Listener(l)) }()
	d.t.Cleanup(func() {
		_ = s.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			d.t.Error(err)
		}
	})
	return l.Addr().String()
}

// raw sends bytes and returns all that comes back until the server closes.
func (d *door) raw(address, text string) string {
	d.t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		d.t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		d.t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		d.t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil && len(got) == 0 {
		d.t.Fatal(err)
	}
	return string(got)
}

// 111: requests that two servers on the way could cut differently. Whatever is inside them does not reach a handler.
func TestSmuggling(t *testing.T) {
	d := newDoor(t, nil)
	address := d.listen(nil)
	auth := "Authorization: Bearer " + d.keys.Operator(ours) + "\r\nIdempotency-Key: k\r\nConnection: close\r\n"
	inner := "POST /v1/payments/pay_1/void HTTP/1.1\r\nHost: koban\r\n" + auth + "\r\n"
	head := "POST /v1/merchants HTTP/1.1\r\nHost: koban\r\n" + auth
	for name, text := range map[string]string{
		"two lengths":                head + "Content-Length: 0\r\nContent-Length: " + fmt.Sprint(len(inner)) + "\r\n\r\n" + inner,
		"length with sign":           head + "Content-Length: +0\r\n\r\n" + inner,
		"length and chunks":          head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
		"unknown transfer encoding":  head + "Transfer-Encoding: xchunked\r\n\r\n" + inner,
		"two transfer encodings":     head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + inner,
		"space before the colon":     head + "Content-Length : 0\r\n\r\n" + inner,
		"folded header":              head + "X: a\r\n Content-Length: 0\r\n\r\n" + inner,
		"chunk with a wrong length":  head + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n" + inner,
		"two hosts":                  strings.Replace(head, "Host: koban", "Host: koban\r\nHost: other", 1) + "Content-Length: 0\r\n\r\n" + inner,
		"control character in a key": strings.Replace(head, "Idempotency-Key: k", "Idempotency-Key: k\x01", 1) + "Content-Length: 0\r\n\r\n" + inner,
	} {
		got := d.raw(address, text)
		if strings.Count(got, "HTTP/1.1 ") != 1 || !strings.HasPrefix(got, "HTTP/1.1 4") && !strings.HasPrefix(got, "HTTP/1.1 501") {
			t.Errorf("%s: %s", name, got)
		}
	}
	if d.reached() != 0 {
		t.Errorf("%d requests reached a handler", d.reached())
	}
}

// 111: headers without end, and a body that was announced and does not come.
func TestLimitsOfTheServer(t *testing.T) {
	d := newDoor(t, nil)
	s := d.Server()
	if s.ReadHeaderTimeout == 0 || s.ReadTimeout == 0 || s.WriteTimeout <= feedWait || s.IdleTimeout == 0 || s.MaxHeaderBytes == 0 {
		t.Errorf("a limit is missing: %+v", s)
	}
	address := d.listen(func(s *http.Server) { s.ReadHeaderTimeout, s.ReadTimeout = 20*time.Millisecond, 40*time.Millisecond })
	if got := d.raw(address, "GET /healthz HTTP/1.1\r\nHost: koban\r\nX: "+strings.Repeat("a", 64<<10)+"\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 431") {
		t.Errorf("large headers: %.200s", got)
	}
	if got := d.raw(address, "GET /healthz HTTP/1.1\r\nHost: ko"); strings.Contains(got, " 200 ") {
		t.Errorf("half a head: %s", got)
	}
	head := "POST /v1/merchants HTTP/1.1\r\nHost: koban\r\nIdempotency-Key: k\r\nAuthorization: Bearer " + d.keys.Operator(ours) + "\r\n"
	if got := d.raw(address, head+"Content-Length: 20\r\n\r\n{"); !strings.Contains(got, "invalid_request") {
		t.Errorf("half a body: %s", got)
	}
	if got := d.raw(address, head+"Content-Length: 1073741824\r\n\r\n"); !strings.Contains(got, "request_too_large") {
		t.Errorf("1 GiB announced: %s", got)
	}
	if d.reached() != 0 {
		t.Error("a handler was reached")
	}
}

// A connection serves many requests, also after one that was refused.
func TestKeepAlive(t *testing.T) {
	d := newDoor(t, nil)
	c, err := net.Dial("tcp", d.listen(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	br := bufio.NewReader(c)
	for _, want := range []int{400, 201, 400, 201} {
		body := `{"name":"a"}`
		if want == 400 {
			body = `{"name":7}`
		}
		fmt.Fprintf(c, "POST /v1/merchants HTTP/1.1\r\nHost: koban\r\nIdempotency-Key: k\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", d.keys.Operator(ours), len(body), body)
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != want {
			t.Errorf("%d, %v; want %d", resp.StatusCode, err, want)
		}
		resp.Body.Close()
	}
}
