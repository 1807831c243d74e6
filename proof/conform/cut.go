package conform

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"

	"github.com/koban-pay/koban/tcc"
	"github.com/koban-pay/koban/tcc/wire"
)

var errCut = errors.New("the kit cut the connection")

// deaf returns the participant through connections that are cut: early, as soon as the request is sent; otherwise when the
// answer begins to come.
func (r *run) deaf(early bool) tcc.Participant {
	t := wire.NewTransport(r.URL)
	var transport http.RoundTripper
	if strings.HasPrefix(r.URL, "grpc") {
		transport = &cutStream{t, early}
	} else {
		t.DisableKeepAlives = true
		t.DialContext = cutDial(early, nil)
		t.DialTLSContext = cutDial(early, func(c net.Conn, host string) net.Conn {
			return tls.Client(c, &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12})
		})
		transport = t
	}
	c, err := r.dial("cut", transport)
	if err != nil {
		panic("conform: a URL that was good is not: " + err.Error())
	}
	return r.purse.watch(limited{c})
}

// cutDial dials connections that carry one request.
func cutDial(early bool, wrap func(c net.Conn, host string) net.Conn) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if wrap != nil {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, errors.Join(err, c.Close())
			}
			c = wrap(c, host)
		}
		return &cutConn{Conn: c, early: early, sent: make(chan struct{}), shut: make(chan struct{})}, nil
	}
}

// cutConn is a connection that ends when the request has been written (a request of the kit is one write), or when the
// first bytes of the answer have come.
type cutConn struct {
	net.Conn
	early      bool
	sent, shut chan struct{}
	once, end  sync.Once
}

func (c *cutConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.once.Do(func() { close(c.sent) })
	return n, err
}

func (c *cutConn) Read(b []byte) (int, error) {
	select {
	case <-c.sent:
	case <-c.shut:
		return 0, net.ErrClosed
	}
	if !c.early {
		_, _ = c.Conn.Read(b) // that it has come is enough
	}
	_ = c.Close()
	return 0, errCut
}

func (c *cutConn) Close() error {
	c.end.Do(func() { close(c.shut) })
	return c.Conn.Close()
}

// cutStream cuts one stream of HTTP/2.
type cutStream struct {
	to    *http.Transport
	early bool
}

func (c *cutStream) RoundTrip(q *http.Request) (*http.Response, error) {
	ctx, cut := context.WithCancel(q.Context())
	defer cut()
	if c.early {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { cut() }})
	}
	a, err := c.to.RoundTrip(q.WithContext(ctx))
	if err != nil {
		return nil, errors.Join(errCut, err)
	}
	_, _ = io.Copy(io.Discard, a.Body) // that it has come is enough
	return nil, errors.Join(errCut, a.Body.Close())
}
