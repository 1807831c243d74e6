package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// The drawing is a grid of small cells, all alike, in pixels.
const (
	columns    = 3
	cellWidth  = 300
	cellHeight = 112
	gap        = 12
	margin     = 16
	heading    = 34
	most       = 40 // runs in one curve; older ones are in the history
	letters    = 44 // that fit into a cell
)

// The drawing holds on its own, for a light page and a dark one. A verdict is a shape as well as a colour: a disc passes, a
// cross fails, a ring is not judged.
const style = `
.page{fill:#fff}.cell{fill:#f6f8fa;stroke:#d1d9e0}.ink{fill:#1f2328}.dim{fill:#59636e}
.curve{fill:none;stroke:#0969da;stroke-width:1.5;stroke-linejoin:round}
.pass{fill:#1a7f37;stroke:#1a7f37}.fail{fill:none;stroke:#cf222e;stroke-width:2.4;stroke-linecap:round}.open{fill:none;stroke:#59636e;stroke-width:1.6}
@media (prefers-color-scheme:dark){.page{fill:#0d1117}.cell{fill:#151b23;stroke:#3d444d}.ink{fill:#f0f6fc}.dim{fill:#9198a1}
.curve{stroke:#4493f8}.pass{fill:#3fb950;stroke:#3fb950}.fail{stroke:#f85149}.open{stroke:#9198a1}}
text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;font-size:11px}
.kind{font-size:15px;font-weight:600}.id{font-size:12px;font-weight:600}.value{font-size:17px;font-weight:600}
`

// trend draws each line's value over the runs of its size.
func trend(history []record) []byte {
	lines, _ := current(history)
	var body bytes.Buffer
	y, column, kind := margin, 0, ""
	for _, l := range lines {
		switch {
		case l.Kind != kind:
			if kind != "" {
				y += cellHeight + gap
			}
			kind, column = l.Kind, 0
			fmt.Fprintf(&body, `<text class="ink kind" x="%d" y="%d">%s</text>`+"\n", margin, y+20, escaped(strings.ToUpper(kind[:1])+kind[1:]))
			y += heading
		case column == columns:
			column = 0
			y += cellHeight + gap
		}
		drawCell(&body, margin+column*(cellWidth+gap), y, l, values(history, l))
		column++
	}
	width, height := 2*margin+columns*cellWidth+(columns-1)*gap, y+cellHeight+margin
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="Every figure of the scoreboard over time">`+"\n",
		width, height, width, height)
	fmt.Fprintf(&out, "<style>%s</style>\n"+`<rect class="page" width="%d" height="%d"/>`+"\n", style, width, height)
	out.Write(body.Bytes())
	out.WriteString("</svg>\n")
	return out.Bytes()
}

// drawCell draws a line: what it is, its latest value, its target and its curve.
func drawCell(w *bytes.Buffer, x, y int, l line, past []line) {
	fmt.Fprintf(w, `<g transform="translate(%d %d)"><title>%s: %s (target %s)</title>`, x, y, escaped(l.Name), escaped(l.Figure), escaped(l.Target))
	fmt.Fprintf(w, `<rect class="cell" width="%d" height="%d" rx="6"/>`, cellWidth, cellHeight)
	mark(w, 16, 18, 5, l)
	fmt.Fprintf(w, `<text class="ink id" x="28" y="22">%s</text>`, escaped(l.ID))
	fmt.Fprintf(w, `<text class="dim" x="%d" y="22" text-anchor="end">%s · %s</text>`, cellWidth-10, l.verdict(), l.Size)
	fmt.Fprintf(w, `<text class="dim" x="10" y="39">%s</text>`, escaped(cut(l.Name)))
	fmt.Fprintf(w, `<text class="ink value" x="10" y="72">%s</text>`, valued(l))
	fmt.Fprintf(w, `<text class="dim" x="10" y="%d">%s</text>`, cellHeight-9, escaped(cut("target: "+l.Target)))
	curve(w, 120, 50, cellWidth-120-16, 36, past[max(0, len(past)-most):])
	w.WriteString("</g>\n")
}

// curve draws values over time into a box: the last as a shape, and each that has failed.
func curve(w *bytes.Buffer, x, y, width, height int, past []line) {
	low, high := past[0].Value, past[0].Value
	for _, l := range past {
		low, high = min(low, l.Value), max(high, l.Value)
	}
	at := func(n int) (px, py int) {
		px, py = x+width, y+height/2
		if len(past) > 1 {
			px = x + n*width/(len(past)-1)
		}
		if high > low {
			py = y + height - int(float64(past[n].Value-low)/float64(high-low)*float64(height))
		}
		return px, py
	}
	if len(past) > 1 {
		w.WriteString(`<polyline class="curve" points="`)
		for n := range past {
			px, py := at(n)
			fmt.Fprintf(w, "%d,%d ", px, py)
		}
		w.WriteString(`"/>`)
	}
	for n, l := range past {
		if px, py := at(n); n == len(past)-1 || l.failed() {
			mark(w, px, py, 4, l)
		}
	}
}

// mark draws a verdict: a disc, a cross or a ring.
func mark(w *bytes.Buffer, x, y, r int, l line) {
	switch {
	case l.Open:
		fmt.Fprintf(w, `<circle class="open" cx="%d" cy="%d" r="%d"/>`, x, y, r)
	case l.OK:
		fmt.Fprintf(w, `<circle class="pass" cx="%d" cy="%d" r="%d"/>`, x, y, r)
	default:
		fmt.Fprintf(w, `<path class="fail" d="M%d %dl%d %dm0 %dl%d %d"/>`, x-r, y-r, 2*r, 2*r, -2*r, -2*r, 2*r)
	}
}

// units are those of values that count time.
var units = map[string]time.Duration{
	"time-to-terminal": time.Microsecond, "promise-terminal": time.Microsecond,
	"background-verifier-sqlite": time.Millisecond, "background-verifier-postgres": time.Millisecond,
}

// valued writes the value of a line for people.
func valued(l line) string {
	if unit, ok := units[l.ID]; ok {
		return (time.Duration(l.Value) * unit).Round(time.Millisecond).String()
	}
	return grouped(l.Value)
}

func cut(s string) string {
	if utf8.RuneCountInString(s) <= letters {
		return s
	}
	return strings.TrimRight(string([]rune(s)[:letters-1]), " ,") + "…"
}

func escaped(s string) string {
	var out strings.Builder
	_ = xml.EscapeText(&out, []byte(s)) // a Builder takes everything
	return out.String()
}
