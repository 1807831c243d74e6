package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/koban-pay/koban/internal/term"
	"github.com/koban-pay/koban/platform"
)

type explainCmd struct {
	ID      string `arg:"" help:"The payment or refund." placeholder:"pay_…"`
	JSON    bool   `name:"json" help:"Print the page as JSON."`
	Books   bool   `help:"Read the books themselves: no platform has to run. Without it, they are read where none answers."`
	Store   string `help:"The books are on PostgreSQL." env:"KOBAN_STORE" placeholder:"URL"`
	KeyFile string `help:"The file of the root key, if it is not in the data folder." type:"path" env:"KOBAN_KEY_FILE" placeholder:"FILE"`
	where   `embed:""`
}

// Help says more than one line can.
func (explainCmd) Help() string {
	return `It asks the platform. Where none runs, or it does not answer, it reads the books in --data or --store: the tables, or, where
they are missing or damaged, the journal from the first block on.`
}

// Run prints everything that is known about one payment.
func (x *explainCmd) Run(c *console) error {
	api, card, err := x.find(asOperator)
	if x.Books || err != nil && x.Address == "" {
		return x.read(c)
	}
	if err != nil {
		return err
	}
	names := map[string]string{}
	for _, m := range card.Merchants {
		names[m.ID] = m.Name
	}
	a, err := api.get("/v1/payments/"+url.PathEscape(x.ID)+"/explain", nil)
	if unanswered(err) && x.Address == "" {
		fmt.Fprintf(c.err, "koban: the platform does not answer (%v); its books do:\n", err)
		return x.read(c)
	}
	return say(c, x.JSON, a, err, func(e *explanation) { e.print(c.out, names) })
}

// read prints what the books themselves say.
func (x *explainCmd) read(c *console) error {
	found, err := platform.Explain(context.Background(), platform.ExplainConfig{
		Data: x.Data, StoreURL: x.Store, KeyFile: keyFile(x.KeyFile, c.env), Payment: x.ID,
	})
	if err != nil {
		return err
	}
	if !x.JSON {
		fmt.Fprintf(c.out, "%s\n", c.out.Dim("As "+found.From+" have it, without a platform."))
	}
	err = say(c, x.JSON, &answer{body: found.Text}, nil, func(e *explanation) { e.print(c.out, nil) })
	if found.Left != "" && !x.JSON {
		for _, line := range term.Wrap(found.Left, c.out.Columns()) {
			fmt.Fprintln(c.out, line)
		}
	}
	return err
}

// explanation is the page, as data.
type explanation struct {
	Payment  payment `json:"payment"`
	Phase    string  `json:"phase"`
	Rollback string  `json:"rollback_phase"`
	Decision string  `json:"decision"`
	Steps    []struct {
		At       time.Time `json:"at"`
		Event    string    `json:"event"`
		Status   string    `json:"status"`
		Resource string    `json:"resource_status"`
		Phase    string    `json:"phase"`
		Rollback string    `json:"rollback_phase"`
		Attempts int64     `json:"attempts"`
		Code     string    `json:"code"`
		Message  string    `json:"message"`
		Block    blockRef  `json:"block"`
	} `json:"steps"`
	Owed []struct {
		Verb        string    `json:"verb"`
		Participant string    `json:"participant"`
		Amount      *amount   `json:"amount"`
		DueAt       time.Time `json:"due_at"`
		Attempts    int64     `json:"attempts"`
		Code        string    `json:"code"`
		Layer       string    `json:"layer"`
	} `json:"owed"`
	Parts []struct {
		Number      int64  `json:"number"`
		Participant string `json:"participant"`
		Account     string `json:"account"`
		Amount      amount `json:"amount"`
		State       string `json:"state"`
		Answers     []struct {
			Verb     string    `json:"verb"`
			Outcome  string    `json:"outcome"`
			Attempts int64     `json:"attempts"`
			At       time.Time `json:"at"`
			Failure  *failure  `json:"failure"`
			Block    *blockRef `json:"block"`
		} `json:"answers"`
	} `json:"parts"`
	Entries []struct {
		At    time.Time `json:"at"`
		Kind  string    `json:"kind"`
		Legs  []leg     `json:"legs"`
		Block blockRef  `json:"block"`
	} `json:"entries"`
	Blocks []struct {
		Book     string    `json:"book"`
		Seq      int64     `json:"seq"`
		At       time.Time `json:"at"`
		Hash     string    `json:"hash"`
		Previous string    `json:"previous_hash"`
		Events   int64     `json:"events"`
	} `json:"blocks"`
	Events []struct {
		Service string    `json:"service"`
		Type    string    `json:"type"`
		At      time.Time `json:"at"`
	} `json:"events"`
	Refunds []payment `json:"refunds"`
}

type blockRef struct {
	Book string `json:"book"`
	Seq  int64  `json:"seq"`
}

func (b blockRef) String() string { return b.Book + "#" + strconv.FormatInt(b.Seq, 10) }

type leg struct {
	Account  string `json:"account"`
	Kind     string `json:"account_kind"`
	Posted   int64  `json:"posted"`
	Held     int64  `json:"held"`
	Currency string `json:"currency"`
}

func (e *explanation) print(w *term.Writer, names map[string]string) {
	e.printHead(w, names)
	e.printSteps(w)
	e.printOwed(w)
	e.printParts(w)
	e.printEntries(w)
	e.printBlocks(w)
	e.printRest(w)
}

func heading(w *term.Writer, text string) { fmt.Fprintf(w, "\n%s\n", w.Bold(text)) }

func (e *explanation) printHead(w *term.Writer, names map[string]string) {
	p := &e.Payment
	fmt.Fprintf(w, "%s %s  %s  %s\n", w.Bold(p.Kind), w.Mark(p.ID), w.Bold(p.Amount.String()), statusText(w, p.Status))
	t := w.Table("", "")
	t.Row(w.Dim("  work"), resourceText(w, p.Resource))
	t.Row(w.Dim("  customer"), p.Customer)
	t.Row(w.Dim("  merchant"), strings.TrimSpace(p.Merchant+"  "+term.Clean(names[p.Merchant])))
	if p.Session != "" {
		t.Row(w.Dim("  session"), p.Session)
	}
	if p.Parent != "" {
		t.Row(w.Dim("  gives back"), w.Mark(p.Parent))
	}
	if p.Reference != "" {
		t.Row(w.Dim("  reference"), term.Clean(p.Reference))
	}
	t.Row(w.Dim("  created"), p.CreatedAt.UTC().Format("2006-01-02 15:04:05.000Z"))
	if p.Failure != nil {
		t.Row(w.Dim("  failure"), fmt.Sprintf("%s: %s", w.Bad(p.Failure.Code), term.Clean(p.Failure.Message)))
	}
	t.Print()
}

func resourceText(w *term.Writer, s string) string {
	switch s {
	case "WORK_IN_PROGRESS":
		return w.Warn(s) + "  something is still to be done"
	case "WAIT":
		return w.Good(s) + "  all is done; something may follow"
	case "COMPLETED":
		return w.Good(s) + "  all is done, nothing can follow"
	}
	return w.Bad(s) + "  all is done, nothing can follow"
}

func (e *explanation) printSteps(w *term.Writer) {
	heading(w, "What happened")
	t := w.Table("  time", ">after", "event", "status", "phase", "back", ">tries", "block", "~")
	for i, s := range e.Steps {
		after := ""
		if i > 0 {
			after = "+" + s.At.Sub(e.Steps[i-1].At).String()
		}
		tries := ""
		if s.Attempts > 0 {
			tries = strconv.FormatInt(s.Attempts, 10)
		}
		why := term.Clean(s.Message)
		if s.Code != "" {
			why = strings.TrimSpace(s.Code + "  " + why)
		}
		t.Row("  "+clockText(s.At), after, s.Event, statusText(w, s.Status), s.Phase, s.Rollback, tries,
			w.Dim(s.Block.String()), why)
	}
	t.WithoutEmpty().Print()
	if e.Decision != "" {
		fmt.Fprintf(w, "  decided: %s\n", w.Bold(e.Decision))
	}
}

func (e *explanation) printOwed(w *term.Writer) {
	if len(e.Owed) == 0 {
		return
	}
	heading(w, "What is owed")
	t := w.Table("  verb", "to", ">amount", "due", ">tries", "by", "~last answer")
	for _, d := range e.Owed {
		sum := ""
		if d.Amount != nil {
			sum = d.Amount.String()
		}
		t.Row("  "+w.Warn(d.Verb), d.Participant, sum, clockText(d.DueAt), strconv.FormatInt(d.Attempts, 10), d.Layer, d.Code)
	}
	t.WithoutEmpty().Print()
}

func (e *explanation) printParts(w *term.Writer) {
	heading(w, "What the participants answered")
	t := w.Table("  part", ">amount", "state", "verb", "answer", ">tries", "~time", "block")
	for _, p := range e.Parts {
		name, sum, state := fmt.Sprintf("  %d %s", p.Number, p.Participant), p.Amount.String(), p.State
		for _, a := range p.Answers {
			block := ""
			if a.Block != nil {
				block = a.Block.String()
			}
			t.Row(name, sum, state, a.Verb, answerText(w, a.Outcome, a.Failure), strconv.FormatInt(a.Attempts, 10), clockText(a.At), w.Dim(block))
			name, sum, state = "", "", ""
		}
		if name != "" {
			t.Row(name, sum, state)
		}
	}
	t.WithoutEmpty().Print()
}

func answerText(w *term.Writer, outcome string, why *failure) string {
	switch {
	case outcome == "done":
		return w.Good(outcome)
	case why != nil:
		return w.Bad(outcome) + " " + why.Code
	}
	return w.Warn(outcome)
}

// printEntries prints the journal of the payment: debits and credits that are posted, and what is only held.
func (e *explanation) printEntries(w *term.Writer) {
	if len(e.Entries) == 0 {
		return
	}
	heading(w, "Ledger")
	t := w.Table("  entry", "account", ">debit", ">credit", ">held", "block", "~time")
	for _, entry := range e.Entries {
		at, kind, block := clockText(entry.At), entry.Kind, w.Dim(entry.Block.String())
		for _, l := range entry.Legs {
			var debit, credit, held string
			switch {
			case l.Posted > 0:
				debit = amountText(l.Posted, l.Currency)
			case l.Posted < 0:
				credit = amountText(-l.Posted, l.Currency)
			}
			if l.Held != 0 {
				held = signed(l.Held, l.Currency)
			}
			t.Row("  "+kind, l.Kind+" "+w.Dim(short(l.Account)), debit, credit, held, block, at)
			at, kind, block = "", "", ""
		}
	}
	t.WithoutEmpty().Print()
}

func signed(n int64, currency string) string {
	if n > 0 {
		return "+" + amountText(n, currency)
	}
	return amountText(n, currency)
}

// short returns the end of an id: enough to tell the few accounts of a page apart.
func short(id string) string {
	if len(id) <= 10 {
		return id
	}
	return "…" + id[len(id)-6:]
}

func (e *explanation) printBlocks(w *term.Writer) {
	heading(w, "Blocks")
	t := w.Table("  block", "time", ">events", "hash", "follows")
	for _, b := range e.Blocks {
		t.Row("  "+blockRef{b.Book, b.Seq}.String(), clockText(b.At), strconv.FormatInt(b.Events, 10), cut(b.Hash), w.Dim(cut(b.Previous)))
	}
	t.Print()
}

// cut shortens a hash.
func cut(hash string) string {
	if len(hash) <= 16 {
		return hash
	}
	return hash[:16] + "…"
}

func (e *explanation) printRest(w *term.Writer) {
	if len(e.Events) > 0 {
		heading(w, "Announced")
		t := w.Table("  time", "feed", "event")
		for _, x := range e.Events {
			t.Row("  "+clockText(x.At), x.Service, x.Type)
		}
		t.Print()
	}
	if len(e.Refunds) > 0 {
		heading(w, "Refunds")
		t := w.Table("  time", "refund", ">amount", "status")
		for i := range e.Refunds {
			r := &e.Refunds[i]
			t.Row("  "+clockText(r.CreatedAt), w.Mark(r.ID), r.Amount.String(), statusText(w, r.Status))
		}
		t.Print()
	}
}
