package contract

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// answer is one answer of the platform.
type answer struct {
	call   string // method and path, for messages
	status int
	header http.Header
	text   string
	object map[string]any // of a JSON body; numbers are json.Number
}

// caller speaks to one platform with one key.
type caller struct {
	t       testing.TB
	address string
	key     string
}

func (p *platform) as(t testing.TB, key string) *caller { return &caller{t, p.card.Address, key} }

func (p *platform) operator(t testing.TB) *caller { return p.as(t, p.card.Keys.Operator) }

func (p *platform) app(t testing.TB) *caller { return p.as(t, p.card.Keys.Customer_app) }

// client keeps a connection for each of the many callers of a race.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// send sends a request as it stands; header holds pairs of name and value.
func (c *caller) send(method, path, body string, header ...string) *answer {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.address+path, strings.NewReader(body))
	if err != nil {
		c.t.Error(err)
		return &answer{}
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		c.t.Errorf("%s %s: %v", method, path, err)
		return &answer{}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Errorf("%s %s: %v", method, path, err)
	}
	a := &answer{method + " " + path, resp.StatusCode, resp.Header, string(text), nil}
	if resp.Header.Get("Content-Type") == "application/json" && method != http.MethodHead {
		a.object = parse(c.t, text)
	}
	return a
}

// parse reads exactly one JSON object.
func parse(t testing.TB, text []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var o map[string]any
	if err := d.Decode(&o); err != nil {
		t.Errorf("not a JSON object: %v: %s", err, text)
	} else if d.More() {
		t.Errorf("more than one JSON object: %s", text)
	}
	return o
}

// body encodes a request; what is a string already is sent as it stands.
func body(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // the tests encode maps and texts only
	}
	return string(text)
}

// post posts under a key of its own.
func (c *caller) post(path string, v any) *answer {
	c.t.Helper()
	return c.postAs(rand.Text(), path, v)
}

// postAs posts under an idempotency key.
func (c *caller) postAs(idem, path string, v any) *answer {
	c.t.Helper()
	return c.send("POST", path, body(v), "Idempotency-Key", idem, "Content-Type", "application/json")
}

func (c *caller) get(path string) *answer {
	c.t.Helper()
	return c.send("GET", path, "")
}

// wants requires a status, and returns the body.
func (a *answer) wants(t testing.TB, status int) object {
	t.Helper()
	if a.status != status {
		t.Fatalf("%s answered %d, expected %d: %s", a.call, a.status, status, a.text)
	}
	return a.object
}

// kinds is what a status may say about its error.
var kinds = map[int][]string{
	400: {"invalid"}, 405: {"invalid"}, 413: {"invalid"}, 401: {"unauthenticated"}, 403: {"denied"}, 404: {"not_found"},
	402: {"refused"}, 409: {"conflict"}, 422: {"refused", "conflict"}, 429: {"busy"}, 503: {"busy", "unknown"},
}

// refuses requires an error of the contract's shape, with a status and a code.
func (a *answer) refuses(t testing.TB, status int, code string) object {
	t.Helper()
	if a.status != status || a.object == nil {
		t.Errorf("%s answered %d, expected %d %s: %s", a.call, a.status, status, code, a.text)
		return object{}
	}
	e, _ := a.object["error"].(map[string]any)
	if e == nil {
		t.Errorf("%s: no error: %s", a.call, a.text)
		return object{}
	}
	check(t, e, errorShape)
	if e["code"] != code {
		t.Errorf("%s: the code is %v, expected %s: %s", a.call, e["code"], code, a.text)
	}
	if !contains(kinds[status], e["kind"]) {
		t.Errorf("%s: kind %v does not go with %d", a.call, e["kind"], status)
	}
	if m, _ := e["message"].(string); !strings.HasSuffix(m, ".") && len(m) < 10 {
		t.Errorf("%s: the message says nothing: %q", a.call, m)
	}
	return e
}

// object is a JSON object.
type object map[string]any

// text returns a member that is a text.
func (o object) text(name string) string {
	s, _ := o[name].(string)
	return s
}

// minor returns the value of a member that is an amount.
func (o object) minor(name string) string {
	m, _ := o[name].(map[string]any)
	n, _ := m["value"].(json.Number)
	return n.String()
}

// number returns a member that is a number.
func (o object) number(name string) string {
	n, _ := o[name].(json.Number)
	return n.String()
}

// list returns a member that is a list of objects.
func (o object) list(name string) (out []object) {
	l, _ := o[name].([]any)
	for _, one := range l {
		m, _ := one.(map[string]any)
		out = append(out, m)
	}
	return out
}

func contains(list []string, v any) bool {
	for _, s := range list {
		if s == v {
			return true
		}
	}
	return false
}
