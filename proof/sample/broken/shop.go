package broken

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/proof/sample"
	"github.com/koban-pay/koban/tcc/wire"
)

// Names returns the ways to be wrong, each by the name of the check that is meant for it.
func Names() []string {
	out := make([]string, 0, len(mistakes)+len(races)+len(losses))
	for name := range all() {
		out = append(out, name)
	}
	for name := range losses {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// Handler returns the participant's address with the named mistake; what has to do with crashes, Forget does. now is its
// clock, and pause lets time pass.
//
// Errors: there is no such mistake.
func Handler(name string, good *sample.Service, now func() time.Time, pause func(time.Duration)) (http.Handler, error) {
	wrong, ok := all()[name]
	if _, crash := losses[name]; !ok && !crash {
		return nil, fmt.Errorf("there is no mistake %q: expected one of %s", name, strings.Join(Names(), " "))
	}
	return &shop{
		wrong: wrong, good: good, next: good.Handler(), now: now, pause: pause,
		parts: make(map[string]*part), rooms: make(map[string]chan struct{}),
	}, nil
}

// shop stands in front of a good participant.
type shop struct {
	wrong func(*shop, *call) *reply // nil reply: as it should be
	good  *sample.Service
	next  http.Handler
	now   func() time.Time
	pause func(time.Duration)

	mu     sync.Mutex
	parts  map[string]*part
	rooms  map[string]chan struct{}
	ghosts int
	inside int
	calls  int
}

// part is what the shop has seen of one branch.
type part struct {
	Try       *request
	Refused   bool
	Captures  map[uint32]int64
	Final     bool
	Cancelled bool
	Bare      bool      // cancelled without a Try
	On        string    // with Bare: the account that the Cancel named
	At        time.Time // of the Cancel
	Unheard   bool      // whoever called has gone
	Waiting   bool      // it is being found out
}

// request has the members of all verbs that the shop looks at.
type request struct {
	Branch      string        `json:"branch"`
	Tenant      uint32        `json:"tenant"`
	Account     string        `json:"account"`
	Capture     uint32        `json:"capture,omitempty"`
	Amount      sample.Amount `json:"amount,omitzero"`
	Purpose     string        `json:"purpose,omitempty"`
	Final       *bool         `json:"final,omitempty"`
	NotAfter    *time.Time    `json:"not_after,omitempty"`
	EffectiveAt *time.Time    `json:"effective_at,omitempty"`
}

// key is what a branch is known by.
func (q *request) key() string { return fmt.Sprint(q.Tenant, " ", q.Branch) }

type reply struct {
	status int
	body   []byte
}

func done() *reply { return &reply{http.StatusOK, []byte("{}\n")} }

func refuse(status int, code string) *reply {
	return &reply{status, fmt.Appendf(nil, `{"error":{"code":%q,"message":"no"}}`+"\n", code)}
}

func (r *reply) ok() bool { return r.status == http.StatusOK }

func (r *reply) says(code string) bool { return bytes.Contains(r.body, []byte(`"`+code+`"`)) }

// call is one request that came.
type call struct {
	verb string
	raw  []byte
	q    request // as far as it can be read
	bad  bool    // it cannot
	was  part    // what was known of its branch when it came
	http *http.Request
	w    http.ResponseWriter
}

// ServeHTTP answers a request in the wrong way.
func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil {
		http.Error(w, "the request did not arrive whole", http.StatusServiceUnavailable)
		return
	}
	c := &call{verb: strings.Trim(r.URL.Path, "/"), raw: raw, http: r, w: w}
	c.bad = json.Unmarshal(raw, &c.q) != nil
	s.mu.Lock()
	s.inside++
	s.calls++
	if p := s.parts[c.q.key()]; p != nil {
		p.Unheard = p.Unheard || p.Waiting // who asks again has not heard the first answer
		c.was = *p
		c.was.Captures = make(map[uint32]int64)
		for n, v := range p.Captures {
			c.was.Captures[n] = v
		}
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.inside--
		s.mu.Unlock()
	}()
	var out *reply
	if s.wrong != nil {
		out = s.wrong(s, c)
	}
	if out == nil {
		out = s.pass(c)
	}
	if out.status != 0 { // else it was answered
		out.write(w)
	}
}

// pass lets the good participant answer, and remembers what it said.
func (s *shop) pass(c *call) *reply {
	out := s.forward(c.verb, c.raw)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.parts[c.q.key()]
	if p == nil {
		p = &part{Captures: make(map[uint32]int64)}
		s.parts[c.q.key()] = p
	}
	switch q := c.q; {
	case c.verb == "try" && p.Try == nil && !p.Bare:
		p.Try, p.Refused = &q, !out.ok()
	case c.verb == "confirm" && out.ok():
		p.Captures[q.Capture], p.Final = q.Amount.Value, p.Final || q.Final != nil && *q.Final
	case c.verb == "cancel" && out.ok() && !p.Cancelled:
		p.Cancelled, p.Bare, p.On, p.At = true, p.Try == nil, q.Account, s.now()
	}
	return out
}

func (s *shop) forward(verb string, raw []byte) *reply {
	q, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://inside/"+verb, bytes.NewReader(raw))
	if err != nil {
		panic("broken: " + err.Error())
	}
	a, err := wire.Direct(s.next).RoundTrip(q)
	if err != nil {
		panic("broken: " + err.Error())
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		panic("broken: " + err.Error())
	}
	return &reply{a.StatusCode, body}
}

// ghost does something that nobody asked for, under a branch of its own.
func (s *shop) ghost(verb string, q request) *reply {
	s.mu.Lock()
	s.ghosts++
	q.Branch = fmt.Sprintf("ghost-%d", s.ghosts)
	s.mu.Unlock()
	return s.send(verb, q)
}

func (s *shop) send(verb string, q request) *reply {
	raw, err := json.Marshal(q)
	if err != nil {
		panic("broken: " + err.Error())
	}
	return s.forward(verb, raw)
}

// lock sets an amount aside, take takes it, and give gives it, for nobody.
func (s *shop) lock(q request) *reply {
	later := s.now().Add(time.Hour)
	q.NotAfter, q.EffectiveAt, q.Capture, q.Final, q.Purpose = &later, &later, 0, nil, "charge"
	return s.ghost("try", q)
}

func (s *shop) take(q request) {
	later, final := s.now().Add(time.Hour), true
	s.mu.Lock()
	s.ghosts++
	q.Branch = fmt.Sprintf("ghost-%d", s.ghosts)
	s.mu.Unlock()
	q.NotAfter, q.EffectiveAt, q.Purpose, q.Capture, q.Final = &later, &later, "charge", 0, nil
	s.send("try", q)
	q.NotAfter, q.Purpose, q.Capture, q.Final = nil, "", 1, &final
	s.send("confirm", q)
}

func (s *shop) give(account string, amount sample.Amount) {
	at := s.now()
	s.ghost("add", request{Tenant: 1, Account: account, Amount: amount, Purpose: "credit", EffectiveAt: &at})
}

// meet reports whether another call with the same key is here at the same time. It waits a little for one.
func (s *shop) meet(key string) bool {
	s.mu.Lock()
	if room := s.rooms[key]; room != nil {
		close(room)
		delete(s.rooms, key)
		s.mu.Unlock()
		return true
	}
	room := make(chan struct{})
	s.rooms[key] = room
	s.mu.Unlock()
	select {
	case <-room:
		return true
	case <-clock.Pause(20 * time.Millisecond):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rooms[key] == room {
		delete(s.rooms, key)
		return false
	}
	return true
}

// unheard answers as the good participant does, and remembers if the caller then hangs up instead of keeping the
// connection. Of large amounts it does not wait for that, so that it is quick to look what is available.
func (s *shop) unheard(c *call) *reply {
	out := s.pass(c)
	s.mu.Lock()
	p := s.parts[c.q.key()]
	first := p.Try != nil && p.Try.Amount.Value <= 500 && (c.was.Try == nil || c.verb != "try")
	p.Waiting = first
	s.mu.Unlock()
	if !first {
		return out
	}
	c.w.Header().Set("Content-Length", strconv.Itoa(len(out.body)))
	out.write(c.w)
	_ = http.NewResponseController(c.w).Flush() // whoever cannot be told has gone
	gone := false
	select {
	case <-c.http.Context().Done():
		gone = true
	case <-clock.Pause(200 * time.Millisecond):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.Waiting, p.Unheard = false, p.Unheard || gone
	return &reply{}
}

func (r *reply) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body) // nobody is left to tell
}
