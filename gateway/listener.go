package gateway

import (
	"bytes"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/koban-pay/koban/fault"
	typev1 "github.com/koban-pay/koban/gen/koban/type/v1"
)

// Listener returns l with the door's limits on connections: beyond Config.MaxConns in all, or MaxConnsPerAddress of one
// address, a new connection is closed at once, and counted. What net/http says by itself of a request that it cannot read
// is said in the words of the API instead.
func (g *Gateway) Listener(l net.Listener) net.Listener {
	return &listener{Listener: l, g: g, from: map[netip.Addr]int{}}
}

type listener struct {
	net.Listener
	g    *Gateway
	mu   sync.Mutex
	all  int
	from map[netip.Addr]int // connections by address; none stay that have none
}

// Accept returns the next connection that there is room for.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := address(c)
		if l.enter(from) {
			return &conn{Conn: c, g: l.g, leave: sync.OnceFunc(func() { l.leave(from) })}, nil
		}
		l.g.metrics.turnedAway.Inc()
		_ = c.Close()
	}
}

// address returns who is at the other end; the zero address where the network has none, such as a socket in a folder.
func address(c net.Conn) netip.Addr {
	at, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}

func (l *listener) enter(from netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= l.g.cfg.MaxConns || l.from[from] >= l.g.cfg.MaxConnsPerAddress {
		return false
	}
	l.all++
	l.from[from]++
	l.g.metrics.connections.Set(float64(l.all))
	return true
}

func (l *listener) leave(from netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.from[from]--; l.from[from] == 0 {
		delete(l.from, from)
	}
	l.g.metrics.connections.Set(float64(l.all))
}

// conn is a connection that counts, and that answers in the words of the API where net/http answers by itself.
type conn struct {
	net.Conn
	g      *Gateway
	leave  func()
	broken atomic.Bool // net/http's own answer was replaced: the rest of it is not sent
}

// Close lets the next one in.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.leave()
	return err
}

// CloseWrite tells the other end that nothing more comes, so that it reads the last answer before it hears of a reset.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

var (
	ownAnswer = []byte("HTTP/1.1 ")
	ownHead   = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")
)

// Write replaces what net/http answers to bytes that are no request (server.go: badRequestError, errTooLarge): these
// answers, and no others, are plain text that closes the connection.
func (c *conn) Write(b []byte) (int, error) {
	if c.broken.Load() {
		return len(b), nil
	}
	if len(b) < 512 && bytes.HasPrefix(b, ownAnswer) && bytes.Contains(b, ownHead) {
		status, _ := strconv.Atoi(string(b[len(ownAnswer):min(len(b), len(ownAnswer)+3)]))
		c.broken.Store(true)
		if _, err := c.Conn.Write(c.g.unreadable(status)); err != nil {
			return 0, err
		}
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// unreadable returns the answer to what could not be read as a request, by the status that net/http gave it.
func (g *Gateway) unreadable(status int) []byte {
	f := fault.InvalidRequest.New("the bytes are not one whole request (RFC 9112); open a new connection and send it again")
	switch status {
	case 431:
		f = fault.RequestTooLarge.New("the request line and headers have more than %d bytes together; send less", maxHeaders)
	case 505:
		f = fault.InvalidRequest.New("this version of HTTP is not served; use 1.1")
	}
	if status == 0 {
		status = f.Status()
	}
	id := g.cfg.RequestID()
	g.metrics.faults.WithLabelValues(string(f.Code)).Inc()
	e := &typev1.Error{Code: string(f.Code), Kind: string(f.Kind), Message: f.Message, RequestId: id}
	body := appendMessage(nil, g.errors, (&typev1.ErrorResponse{Error: e}).ProtoReflect())
	body = append(body, '\n')
	var out bytes.Buffer
	out.WriteString("HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) + "\r\n")
	out.WriteString("Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n")
	out.WriteString("Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nRequest-Id: " + id + "\r\n")
	if g.cfg.Rehearsal != nil {
		out.WriteString(RehearsalHeader + ": " + g.cfg.Rehearsal() + "\r\n")
	}
	out.WriteString("Connection: close\r\n\r\n")
	out.Write(body)
	return out.Bytes()
}
