package takeover

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// wire stands between a platform and its PostgreSQL, passes everything on, and cuts connections of the journal around
// COMMIT. It reads the messages of protocol 3.0 (PostgreSQL manual, "Frontend/Backend Protocol", "Message Formats").
type wire struct {
	url     string       // for the platform
	server  string       // address of the server
	marked  string       // what a transaction has to contain that is cut
	lies    bool         // it cuts in no other way
	armed   atomic.Int64 // so many connections are still to be cut
	done    [cuts]atomic.Int64
	commits atomic.Int64 // of the journal

	mu    sync.Mutex
	conns map[net.Conn]bool
	crew  sync.WaitGroup
}

// cut is a way to cut a connection at a COMMIT.
type cut int

const (
	before   cut = iota // it is not passed on: not committed
	after               // it is passed on, and the connection cut at once: nobody knows
	answered            // it is passed on, and the answer is not: committed, and the platform does not know
	lie                 // it is not passed on, and answered with "done": not committed, and the platform believes it is
	cuts                // how many there are
)

// everyCommit is how many commits of the journal there are between two cuts: work goes on in between.
const everyCommit = 5

// stretch starts a wire to a server. It ends with the test.
func stretch(t *testing.T, server string) *wire {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{server: u.Host, conns: map[net.Conn]bool{}}
	u.Host = l.Addr().String()
	w.url = u.String()
	w.crew.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return // closed
			}
			w.crew.Go(func() { w.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		w.mu.Lock()
		for c := range w.conns {
			_ = c.Close()
		}
		w.mu.Unlock()
		w.crew.Wait()
	})
	return w
}

// keep remembers a connection until the function it returns closes it.
func (w *wire) keep(c net.Conn) (drop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[c] = true
	return func() {
		_ = c.Close()
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.conns, c)
	}
}

// serve passes on what a client and the server say, until either ends.
func (w *wire) serve(client net.Conn) {
	defer w.keep(client)()
	server, err := net.Dial("tcp", w.server)
	if err != nil {
		return
	}
	defer w.keep(server)()
	var mute atomic.Bool // the client hears nothing any more
	heard := make(chan struct{}, 1)
	w.crew.Go(func() {
		defer w.keep(client)()
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			if n > 0 && mute.Load() {
				select {
				case heard <- struct{}{}:
				default:
				}
			} else if n > 0 {
				_, _ = client.Write(buf[:n]) // where it is gone, the next read says so
			}
			if err != nil {
				close(heard)
				return
			}
		}
	})
	in := bufio.NewReaderSize(client, 64<<10)
	first, err := message(in, false)
	if err != nil {
		return
	}
	journal, writes := false, false
	for next := first; err == nil; next, err = message(in, true) {
		if bytes.Contains(next, []byte("search_path")) { // a connection says whose tables it is for, once it stands
			journal = bytes.Contains(next, []byte("journal"))
		}
		q := query(next)
		if journal && writes && q == "commit" && w.due() {
			w.cut(next, client, server, &mute, heard)
			return
		}
		if q != "" {
			writes = false
		}
		writes = writes || bytes.Contains(next, []byte(w.marked))
		if _, err = server.Write(next); err != nil {
			return
		}
	}
}

// due reports whether a commit of the journal is one to cut.
func (w *wire) due() bool { return w.commits.Add(1)%everyCommit == 0 && w.armed.Add(-1) >= 0 }

// committed is what a server answers to COMMIT: CommandComplete and ReadyForQuery, idle.
const committed = "C\x00\x00\x00\x0bCOMMIT\x00Z\x00\x00\x00\x05I"

// cut does what there is to do before the connection is cut, in all ways by turns.
func (w *wire) cut(commit []byte, client, server net.Conn, mute *atomic.Bool, heard <-chan struct{}) {
	how := cut(w.total() % int(lie))
	if w.lies {
		how = lie
	}
	w.done[how].Add(1)
	switch how {
	case after:
		_, _ = server.Write(commit) // it is cut anyway
	case answered:
		mute.Store(true)
		if _, err := server.Write(commit); err == nil {
			<-heard
		}
	case before, cuts: // nothing is sent on
	case lie:
		_, _ = client.Write([]byte(committed)) // whether it believes that, the test sees
	}
}

// total returns how many connections were cut.
func (w *wire) total() (n int) {
	for i := range w.done {
		n += int(w.done[i].Load())
	}
	return n
}

// maxMessage bounds a message.
const maxMessage = 64 << 20

// message reads one message; the first has no type.
func message(in *bufio.Reader, typed bool) ([]byte, error) {
	head := make([]byte, 4, 5)
	if typed {
		head = head[:5]
	}
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(head[len(head)-4:])) - 4
	if n < 0 || n > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	out := append(head, make([]byte, n)...)
	_, err := io.ReadFull(in, out[len(head):])
	return out, err
}

// query returns the text of a simple query, "" for another message.
func query(m []byte) string {
	if len(m) < 6 || m[0] != 'Q' {
		return ""
	}
	return string(m[5 : len(m)-1])
}
