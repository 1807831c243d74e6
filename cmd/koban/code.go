package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/koban-pay/koban/code/emv"
	"github.com/koban-pay/koban/internal/term"
)

type codeCmd struct {
	Read codeReadCmd `cmd:"" help:"Say what a merchant-presented EMV or JPQR code says. Needs no platform."`
}

type codeReadCmd struct {
	Payload string `arg:"" help:"What the code says, as scanned; - reads one payload a line from the standard input."`
	JSON    bool   `name:"json" help:"Print one JSON object a line."`
}

// maxLine is far more than any code has, so that what is too long is refused by the rule about length.
const maxLine = 1 << 20

// Run reads the payload, or each line of the input. It ends with 1 if any of them is not a good code.
func (x *codeReadCmd) Run(c *console) error {
	if x.Payload != "-" {
		return x.end(x.read(c, x.Payload))
	}
	all := true
	lines := bufio.NewScanner(c.in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		ok := x.read(c, strings.TrimSuffix(lines.Text(), "\r"))
		all = all && ok
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("a line has more than %d bytes; expected one payload a line", maxLine)
	}
	if lines.Err() != nil {
		return fmt.Errorf("read the standard input: %w", lines.Err())
	}
	return x.end(all)
}

func (x *codeReadCmd) end(ok bool) error {
	if ok {
		return nil
	}
	return quiet(exitRefused)
}

func (x *codeReadCmd) read(c *console, payload string) bool {
	code, err := emv.Decode(payload)
	switch {
	case x.JSON && err != nil:
		printJSON(c.out, emv.ErrorView(err))
	case x.JSON:
		printJSON(c.out, code.View())
	case err != nil:
		printBadCode(c.out, payload, emv.ErrorView(err).Error)
	default:
		printCode(c.out, code.View())
	}
	return err == nil
}

// printJSON prints v on one line.
func printJSON(w io.Writer, v any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // the views always encode; a reader that went away is none of our business
}

func printCode(w *term.Writer, v emv.View) {
	profile := "EMV merchant-presented"
	if v.Profile != nil {
		profile += ", " + strings.ToUpper(*v.Profile)
	}
	name := v.Merchant.Name
	if l := v.Merchant.Localized; l != nil {
		name = l.Name + "  " + name
	}
	t := w.Table("", "")
	t.Row(w.Dim("code"), w.Good(profile))
	t.Row(w.Dim("merchant"), w.Bold(name))
	t.Row(w.Dim("place"), strings.TrimSpace(v.Merchant.City+" "+v.Merchant.PostalCode+" "+v.Merchant.Country))
	t.Row(w.Dim("category"), v.Merchant.MCC)
	if v.Merchant.JPQR != nil {
		t.Row(w.Dim("store"), v.Merchant.JPQR.String())
	}
	if v.Amount != nil {
		t.Row(w.Dim("amount"), amountText(v.Amount.Value, v.Amount.Currency))
	} else {
		t.Row(w.Dim("amount"), "the payer enters it, in "+v.Currency)
	}
	for _, warning := range v.Warnings {
		t.Row(w.Dim("warning"), warning.Message)
	}
	t.Print()
	objects := w.Table("", "")
	printObjects(objects, "", v.Objects)
	objects.Print()
}

func printObjects(t *term.Table, parent string, objects map[string]any) {
	ids := make([]string, 0, len(objects))
	for id := range objects {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	for _, id := range ids {
		path := strings.TrimPrefix(parent+"."+id, ".")
		if inner, ok := objects[id].(map[string]any); ok {
			printObjects(t, path, inner)
			continue
		}
		t.Row("  "+path, fmt.Sprint(objects[id]))
	}
}

// shown is how many characters around a fault are printed.
const shown = 24

func printBadCode(w *term.Writer, payload string, e *emv.Error) {
	place := ""
	if e.Object != "" {
		place = " in object " + e.Object
	}
	fmt.Fprintf(w, "%s%s: %s\n", w.Bad(string(e.Code)), place, e.Message)
	text := []rune(term.Clean(payload))
	if e.Offset > len(text) || len(text) == 0 {
		return
	}
	from, to := max(0, e.Offset-shown), min(len(text), e.Offset+shown)
	fmt.Fprintf(w, "    %s\n    %s%s at character %d\n", string(text[from:to]),
		strings.Repeat(" ", term.Width(string(text[from:e.Offset]))), w.Bad("^"), e.Offset)
}
