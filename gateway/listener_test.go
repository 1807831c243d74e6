package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/koban-pay/koban/fault"
)

// What net/http says by itself is said in the words of the API, with the headers of every answer.
func TestUnreadableRequestsAreAnsweredInOurWords(t *testing.T) {
	d := newDoor(t, nil)
	address := d.listen(nil)
	for name, q := range map[string]struct{ text, status, code string }{
		"no request":     {"hello\r\n\r\n", "400", "invalid_request"},
		"no host":        {"GET /healthz HTTP/1.1\r\n\r\n", "400", "invalid_request"},
		"bad header":     {"GET /healthz HTTP/1.1\r\nHost: k\r\nA b: c\r\n\r\n", "400", "invalid_request"},
		"large headers":  {"GET /healthz HTTP/1.1\r\nHost: k\r\nX: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", "431", "request_too_large"},
		"another coding": {"GET /healthz HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: gzip\r\n\r\n", "501", "invalid_request"},
		"version 3":      {"GET /healthz HTTP/3.0\r\nHost: k\r\n\r\n", "505", "invalid_request"},
	} {
		got := d.raw(address, q.text)
		resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(got)), nil)
		if err != nil {
			t.Errorf("%s: %v: %q", name, err, got)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		h := resp.Header
		if err != nil || !strings.HasPrefix(resp.Status, q.status) || !strings.Contains(string(body), `"code":"`+q.code+`"`) {
			t.Errorf("%s: %v, %s %s", name, err, resp.Status, body)
		}
		if h.Get("Request-Id") == "" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" ||
			h.Get(RehearsalHeader) == "" || !resp.Close {
			t.Errorf("%s: headers: %v", name, h)
		}
	}
}

// Nothing that follows a body in chunks is believed, for a length beside it may have been read by somebody else.
func TestChunksCloseTheConnection(t *testing.T) {
	d := newDoor(t, nil)
	head := "POST /v1/merchants HTTP/1.1\r\nHost: koban\r\nIdempotency-Key: k\r\nAuthorization: Bearer " + d.keys.Operator(ours) + "\r\n"
	inner := "GET /healthz HTTP/1.1\r\nHost: koban\r\n\r\n"
	chunks := "Transfer-Encoding: chunked\r\n\r\nc\r\n{\"name\":\"a\"}\r\n0\r\n\r\n"
	address := d.listen(nil)
	for _, length := range []string{"", "Content-Length: 5\r\n"} {
		got := d.raw(address, head+length+chunks+inner)
		if strings.Count(got, "HTTP/1.1 ") != 1 || !strings.Contains(got, "Connection: close") {
			t.Errorf("%q: %s", length, got)
		}
	}
}

// A request without a key does not hold its connection until its body is there.
func TestRefusedBodiesAreNotWaitedFor(t *testing.T) {
	d := newDoor(t, nil)
	address := d.listen(func(s *http.Server) { s.ReadTimeout = time.Hour })
	got := make(chan string, 1)
	go func() {
		got <- d.raw(address, "POST /v1/merchants HTTP/1.1\r\nHost: koban\r\nContent-Length: 60000\r\n\r\n{")
	}()
	select {
	case answer := <-got:
		if !strings.Contains(answer, "credentials_required") || !strings.Contains(answer, "Connection: close") {
			t.Error(answer)
		}
	case <-time.After(30 * time.Second): // the hour would be waited for
		t.Fatal("the connection stays open for a body that nobody will read")
	}
}

// Beyond the limit a connection is closed at once; when one has gone the next comes in.
func TestConnectionsAreLimited(t *testing.T) {
	for name, edit := range map[string]func(*Config){
		"in all":      func(c *Config) { c.MaxConns = 2 },
		"per address": func(c *Config) { c.MaxConnsPerAddress = 2 },
	} {
		d := newDoor(t, edit)
		address := d.listen(nil)
		served := func(c net.Conn) bool {
			fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: k\r\n\r\n")
			b, err := bufio.NewReader(c).ReadString('\n')
			return err == nil && strings.Contains(b, "200")
		}
		dial := func() net.Conn {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		a, b, c := dial(), dial(), dial()
		if !served(a) || !served(b) || served(c) {
			t.Errorf("%s: two of three connections are served", name)
		}
		a.Close()
		for end := time.Now().Add(10 * time.Second); ; {
			next := dial()
			ok := served(next)
			next.Close()
			if ok {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s: nobody comes in after one has gone", name)
			}
		}
		b.Close()
		c.Close()
	}
}

// An address is what was written: a proxy that guards /metrics must not be passed by writing it otherwise.
func TestOwnAddressesAreComparedAsWritten(t *testing.T) {
	d := newDoor(t, nil)
	for _, path := range []string{"/%6detrics", "/healthz%2f", "/%68ealthz", "/./metrics", "//metrics", "/metrics/", "/metrics;x"} {
		if a := d.do(request{verb: "GET", path: path}); a.Status != 404 {
			t.Errorf("%s: %d", path, a.Status)
		}
	}
}

func TestFiguresAreForOperatorsWhereStrangersReachTheDoor(t *testing.T) {
	open, guarded := newDoor(t, nil), newDoor(t, func(c *Config) { c.GuardMetrics = true })
	if a := open.do(request{verb: "GET", path: "/metrics"}); a.Status != 200 {
		t.Errorf("open: %d", a.Status)
	}
	app, operator := guarded.keys.CustomerApp(ours), guarded.keys.Operator(ours)
	for key, want := range map[string]int{anonymous: 401, "nonsense": 401, app: 403, operator: 200} {
		if a := guarded.do(request{verb: "GET", path: "/metrics", key: key}); a.Status != want {
			t.Errorf("%.8q: %d, want %d", key, a.Status, want)
		}
	}
}

// HEAD is GET without the body (RFC 9110 section 9.3.2).
func TestHead(t *testing.T) {
	d := newDoor(t, nil)
	for _, path := range []string{"/v1/payments", "/healthz", "/readyz", "/openapi.yaml"} {
		get := d.do(request{verb: "GET", path: path, key: d.keys.Operator(ours)})
		head := d.do(request{verb: "HEAD", path: path, key: d.keys.Operator(ours)})
		if head.Status != get.Status || head.Body != "" || head.Header.Get("Content-Length") != fmt.Sprint(len(get.Body)) {
			t.Errorf("%s: %d %q %v; GET says %d and %d bytes", path, head.Status, head.Body, head.Header, get.Status, len(get.Body))
		}
	}
}

func TestMediaTypes(t *testing.T) {
	for header, ok := range map[string]bool{
		"application/json": true, "application/json; charset=UTF-8": true, "application/merge-patch+json": true,
		"application/x-www-form-urlencoded": true, "APPLICATION/JSON": true,
		"application/json; charset=utf-16": false, "application/xml": false, "text/plain": false, "multipart/form-data; boundary=a": false,
		"": false, "json": false,
	} {
		if problem := mediaType([]string{header}); (problem == "") != ok {
			t.Errorf("%q: %q", header, problem)
		}
	}
	if mediaType(nil) != "" || mediaType([]string{"application/json", "application/json"}) == "" {
		t.Error("no header is JSON, two are none")
	}
}

// Answers that nobody reads are held up to a limit; beyond it the next large one is refused, and small ones are not.
func TestUnreadAnswersAreLimited(t *testing.T) {
	d := newDoor(t, nil)
	exchangeOf := func(w http.ResponseWriter) *exchange {
		return &exchange{w: w, r: httptest.NewRequest("GET", "/v1/payments", nil)}
	}
	stuck := &stuckWriter{ResponseRecorder: httptest.NewRecorder(), asked: make(chan struct{}), resume: make(chan struct{})}
	done := make(chan error)
	go func() { done <- d.Gateway.send(exchangeOf(stuck), 200, make([]byte, maxUnread-smallAnswer)) }()
	<-stuck.asked
	large, small := make([]byte, 2*smallAnswer), make([]byte, smallAnswer)
	if err := d.Gateway.send(exchangeOf(httptest.NewRecorder()), 200, large); !fault.HasCode(err, fault.Overloaded) {
		t.Errorf("a large answer beyond the limit: %v", err)
	}
	if err := d.Gateway.send(exchangeOf(httptest.NewRecorder()), 200, small); err != nil {
		t.Errorf("a small answer: %v", err)
	}
	close(stuck.resume)
	if err := <-done; err != nil || d.unread.Load() != 0 {
		t.Errorf("%v; %d bytes counted after all were taken", err, d.unread.Load())
	}
	if err := d.Gateway.send(exchangeOf(httptest.NewRecorder()), 200, large); err != nil {
		t.Errorf("a large answer after that: %v", err)
	}
}

// stuckWriter is a caller who asks and does not read.
type stuckWriter struct {
	*httptest.ResponseRecorder
	asked, resume chan struct{}
}

func (w *stuckWriter) Write(b []byte) (int, error) {
	close(w.asked)
	<-w.resume
	return len(b), nil
}
