package journals

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/feed"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/code"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/payment"
	"github.com/koban-pay/koban/points"
)

// record is the folder under testdata that -record writes the journals of this version to.
var record = flag.String("record", "", "write the journals of a day of this version to this folder of testdata")

// retable says to write the tables anew where the code has changed what a row looks like. Journals stay as they are.
var retable = flag.Bool("retable", false, "write tables.txt anew of every version's journals: for a new column only")

// line is a block as it is kept: one line of JSON, bytes in hexadecimal digits.
type line struct {
	Book   string      `json:"book"`
	Seq    uint64      `json:"seq"`
	Epoch  uint64      `json:"epoch"`
	At     int64       `json:"at"`
	Prev   string      `json:"prev"`
	Hash   string      `json:"hash"`
	Salt   string      `json:"salt"`
	Events []eventLine `json:"events"`
}

type eventLine struct {
	Type uint32 `json:"type"`
	Body string `json:"body"`
}

// machine returns a fresh machine for a book of a platform of one volume.
func machine(t testing.TB, name string) book.Machine {
	switch service, _, _ := strings.Cut(name, "/"); service {
	case "balance":
		return balance.NewMachine(0, 1)
	case "points":
		return points.NewMachine(0, 1, nil)
	case "code":
		return code.NewMachine(0, 1, code.DefaultRules)
	case "payment":
		return payment.NewMachine(0, 1)
	default:
		if !strings.Contains(service, "feed") {
			t.Fatalf("there is no machine for book %s", name)
		}
		return feed.NewMachine()
	}
}

// Journals that a version of the platform has written replay, for ever, to the tables that they made then (rule B15).
func TestB15_JournalsOfEveryVersionReplay(t *testing.T) {
	if *record != "" {
		write(t, filepath.Join("testdata", *record))
	}
	journals, err := filepath.Glob("testdata/*/journal.jsonl")
	if err != nil || len(journals) == 0 {
		t.Fatalf("no journals are kept, %v", err)
	}
	for _, file := range journals {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			have, tables := replay(t, read(t, file)), filepath.Join(dir, "tables.txt")
			if *retable {
				must(t, os.WriteFile(tables, []byte(strings.Join(have, "\n")+"\n"), 0o644))
			}
			want, err := os.ReadFile(tables)
			must(t, err)
			had := strings.Split(strings.TrimSuffix(string(want), "\n"), "\n")
			for _, row := range had {
				if !slices.Contains(have, row) {
					t.Errorf("missing: %s", row)
				}
			}
			for _, row := range have {
				if !slices.Contains(had, row) {
					t.Errorf("new:     %s", row)
				}
			}
		})
	}
}

// replay folds blocks into empty tables, and returns their rows.
func replay(t testing.TB, blocks []*journal.Block) []string {
	t.Helper()
	log, state := book.NewMemLog(), book.NewMemState()
	var names []string
	for _, b := range blocks {
		if err := b.Verify(); err != nil {
			t.Fatal(err)
		}
		fate, err := log.Write(t.Context(), journal.Batch{Blocks: []*journal.Block{b}})
		if err != nil || fate.Fenced[0] {
			t.Fatalf("block %d of %s does not follow the one before, %v", b.Seq, b.Book, err)
		}
		if !slices.Contains(names, b.Book) {
			names = append(names, b.Book)
		}
	}
	for _, name := range names {
		core, err := book.Recover(t.Context(), name, 0, machine(t, name), log, state)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := book.SaveNow(t.Context(), core, state); err != nil {
			t.Fatal(err)
		}
	}
	return state.Dump()
}

func read(t testing.TB, file string) (out []*journal.Block) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	raw := func(digits string) []byte {
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		return b
	}
	in := bufio.NewScanner(bytes.NewReader(text))
	in.Buffer(nil, 1<<24)
	for in.Scan() {
		var l line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		b := &journal.Block{
			Book: l.Book, Seq: l.Seq, Epoch: l.Epoch, At: clock.Micros(l.At), Prev: journal.Hash(raw(l.Prev)),
			Hash: journal.Hash(raw(l.Hash)), Salt: [16]byte(raw(l.Salt)),
		}
		for _, e := range l.Events {
			b.Events = append(b.Events, journal.Event{Type: e.Type, Body: raw(e.Body)})
		}
		out = append(out, b)
	}
	return out
}

// write lives through a day on a platform, and keeps its journals and the tables that they make.
func write(t testing.TB, dir string) {
	t.Helper()
	if _, err := os.Stat(dir); err == nil {
		t.Fatalf("%s is there: what a released version wrote is never written again", dir)
	}
	p := newPlatform(t, 1)
	p.day()
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	blocks := p.blocks()
	for _, b := range blocks {
		l := line{
			b.Book, b.Seq, b.Epoch, int64(b.At), hex.EncodeToString(b.Prev[:]), hex.EncodeToString(b.Hash[:]),
			hex.EncodeToString(b.Salt[:]), nil,
		}
		for _, e := range b.Events {
			l.Events = append(l.Events, eventLine{e.Type, hex.EncodeToString(e.Body)})
		}
		if err := out.Encode(l); err != nil {
			t.Fatal(err)
		}
	}
	tables := strings.Join(replay(t, blocks), "\n") + "\n"
	for name, body := range map[string][]byte{"journal.jsonl": text.Bytes(), "tables.txt": []byte(tables)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// day does what there is to do, so that the journals have every event that a day without failures can make: charges, with points and with a
// code, captures, voids, refunds, credits, refusals, suspensions, an authorization, a session and a lot that expire.
func (p *running) day() {
	t, card := p.t, p.app.Card
	pay := func(o object) string {
		return "/v1/payments/" + p.post(card.Keys.CustomerApp, "", "/v1/payments", o)["id"].(string)
	}
	with := func(o object, name string, value any) object { o[name] = value; return o }
	decline := func(o object, why string) { p.refused(card.Keys.CustomerApp, "/v1/payments", o, why) }
	manual := func(n int64) object { return with(p.charge(n), "capture", "manual") }

	first := pay(with(p.charge(1200), "metadata", object{"till": "3"}))
	p.post(card.Keys.Operator, "", first+"/refunds", object{"amount": jpy(200)})
	p.refused(card.Keys.Operator, first+"/refunds", object{"amount": jpy(1001)}, "exceeds_captured")
	mixed := pay(with(p.charge(900), "sources", []object{{"type": "points", "amount": jpy(100)}, {"type": "balance"}}))
	p.post(card.Keys.Operator, "", mixed+"/refunds", object{"amount": jpy(850)})
	p.post(card.Keys.Operator, "", pay(manual(700))+"/capture", object{})
	p.post(card.Keys.Operator, "", pay(manual(600))+"/void", object{})
	pay(manual(500)) // expires
	decline(p.charge(9_000_000), "insufficient_funds")
	session := p.post(card.Keys.CustomerApp, "", "/v1/code-sessions", object{"payload": card.Merchants[0].Payload, "customer": card.Customers[0].ID})
	pay(with(p.charge(300), "session", session["id"]))
	other := p.post(card.Keys.CustomerApp, "", "/v1/code-sessions", object{"payload": card.Merchants[0].Payload, "customer": card.Customers[1].ID})

	customer, err := p.app.IDs.Decode(id.Customer, card.Customers[0].ID)
	must(t, err)
	shop, err := p.app.IDs.Decode(id.Merchant, card.Merchants[0].ID)
	must(t, err)
	const tenant = 1
	cash, lots, payable := customer.Facet(1), customer.Facet(2), shop.Facet(3)
	lot := points.Request{Tenant: tenant, Key: [16]byte{1}, Fingerprint: [16]byte{1}}
	_, err = p.app.Points.Credit(t.Context(), lot, lots, money.Amount{Minor: 50, Currency: money.PT}, points.Paid, p.clk.Now()+clock.Day)
	must(t, err)
	_, err = p.app.Balance.Suspend(t.Context(), tenant, payable, ledger.NoIn)
	must(t, err)
	pay(p.charge(150)) // lands in suspense
	credits := "/v1/accounts/" + p.app.IDs.Encode(id.Account, payable) + "/credits"
	p.refused(card.Keys.Operator, credits, object{"amount": jpy(10)}, "account_suspended")
	_, err = p.app.Balance.Lift(t.Context(), tenant, payable)
	must(t, err)
	p.post(card.Keys.Operator, "", credits, object{"amount": jpy(10)})
	_, err = p.app.Balance.Suspend(t.Context(), tenant, cash, ledger.NoOut)
	must(t, err)
	decline(p.charge(150), "account_suspended")
	_, err = p.app.Balance.Lift(t.Context(), tenant, cash)
	must(t, err)

	points3 := []object{{"type": "points", "amount": jpy(3)}, {"type": "balance"}}
	decline(with(p.charge(9_000_000), "sources", points3), "insufficient_funds") // the points come back
	_, err = p.app.Points.SetStatus(t.Context(), tenant, lots, ledger.Suspended)
	must(t, err)
	decline(with(p.charge(30), "sources", points3), "account_suspended")
	lot.Key[0]++
	if _, err = p.app.Points.Credit(t.Context(), lot, lots, money.Amount{Minor: 1, Currency: money.PT}, points.Free, 0); err == nil {
		t.Fatal("a suspended account takes points")
	}
	_, err = p.app.Points.SetStatus(t.Context(), tenant, lots, ledger.Open)
	must(t, err)
	decline(with(p.charge(300), "session", session["id"]), "session_used")
	decline(with(with(p.charge(9_000_000), "customer", card.Customers[1].ID), "session", other["id"]), "insufficient_funds")

	p.clk.Advance(8 * 24 * time.Hour)
	wall := clock.NewSystem()                 // books look for what is due by it
	const lotExpired, sessionExpired = 20, 18 // types of events
	for range 1000 {
		a, err := p.app.Balance.Account(t.Context(), tenant, cash)
		must(t, err)
		if a.Held() == 0 && p.wrote("points/00", lotExpired) && p.wrote("code/00", sessionExpired) {
			return
		}
		<-wall.After(20 * time.Millisecond)
	}
	t.Fatal("the authorization, the session or the lot has not expired")
}

// wrote reports whether a book has an event of a type.
func (p *running) wrote(name string, typ uint32) bool {
	return slices.ContainsFunc(p.blocks(), func(b *journal.Block) bool {
		return b.Book == name && slices.ContainsFunc(b.Events, func(e journal.Event) bool { return e.Type == typ })
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
