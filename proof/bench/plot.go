package bench

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// Series is one line of a plot: what a run was like while payments piled up.
type Series struct {
	Name  string
	Steps []Step
}

// The drawing, in pixels.
const (
	plotWidth  = 760
	plotHeight = 380
	plotLeft   = 64 // of the axes
	plotRight  = 740
	plotTop    = 44
	plotBottom = 330
)

// plotStyle lets the drawing hold on a light page and on a dark one. Lines differ in their dashes too, not only in colour.
const plotStyle = `
.page{fill:#fff}.ink{fill:#1f2328}.dim{fill:#59636e}.grid{stroke:#d1d9e0}.line{fill:none;stroke-width:2;stroke-linejoin:round}
.s0{stroke:#0969da}.s1{stroke:#bc4c00;stroke-dasharray:6 4}.s2{stroke:#1a7f37;stroke-dasharray:2 3}
@media (prefers-color-scheme:dark){.page{fill:#0d1117}.ink{fill:#f0f6fc}.dim{fill:#9198a1}.grid{stroke:#3d444d}
.s0{stroke:#4493f8}.s1{stroke:#f0883e}.s2{stroke:#3fb950}}
text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;font-size:12px}
.title{font-size:14px;font-weight:600}
`

// Plot draws how many payments a second there were over how many were stored, as an SVG picture. It returns the error
// of w, and one if there is nothing to draw, or more than three lines.
func Plot(w io.Writer, series ...Series) error {
	var widest, highest int64
	for _, s := range series {
		for _, x := range s.Steps {
			widest, highest = max(widest, x.Stored), max(highest, x.PerSecond)
		}
	}
	if widest == 0 || highest == 0 || len(series) > 3 {
		return fmt.Errorf("plot: %d lines with a highest value of %d: expected one to three that say something", len(series), highest)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" `+
		`aria-label="Payments a second over payments stored">`+"\n<style>%s</style>\n"+
		`<rect class="page" width="%d" height="%d"/>`+"\n", plotWidth, plotHeight, plotWidth, plotHeight, plotStyle, plotWidth, plotHeight)
	fmt.Fprintf(&out, `<text class="ink title" x="%d" y="24">Payments a second</text>`+"\n", plotLeft)
	fmt.Fprintf(&out, `<text class="dim" x="%d" y="%d" text-anchor="end">payments stored</text>`+"\n", plotRight, plotBottom+38)
	right, top := roundUp(widest), roundUp(highest)
	for n := int64(0); n <= 4; n++ {
		x, y := plotLeft+n*(plotRight-plotLeft)/4, plotBottom-n*(plotBottom-plotTop)/4
		fmt.Fprintf(&out, `<path class="grid" d="M%d %dH%d"/><text class="dim" x="%d" y="%d" text-anchor="end">%s</text>`+"\n",
			plotLeft, y, plotRight, plotLeft-8, y+4, thousands(top*n/4))
		fmt.Fprintf(&out, `<text class="dim" x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", x, plotBottom+18, thousands(right*n/4))
	}
	for n, s := range series {
		fmt.Fprintf(&out, `<polyline class="line s%d" points="`, n)
		for _, x := range s.Steps {
			fmt.Fprintf(&out, "%d,%d ", plotLeft+x.Stored*(plotRight-plotLeft)/right, plotBottom-x.PerSecond*(plotBottom-plotTop)/top)
		}
		y := plotBottom - 16*(len(series)-n) + 4
		fmt.Fprintf(&out, `"/><path class="line s%d" d="M%d %dh28"/><text class="ink" x="%d" y="%d">%s</text>`+"\n",
			n, plotLeft+12, y-4, plotLeft+48, y, escaped(s.Name))
	}
	out.WriteString("</svg>\n")
	_, err := w.Write(out.Bytes())
	return err
}

// roundUp returns the next of 1, 2, 4, 6, 8 or 10 times a power of ten: a quarter of it reads well.
func roundUp(n int64) int64 {
	for unit := int64(1); ; unit *= 10 {
		for _, m := range []int64{1, 2, 4, 6, 8} {
			if n <= m*unit {
				return m * unit
			}
		}
	}
}

func escaped(s string) string {
	var out strings.Builder
	_ = xml.EscapeText(&out, []byte(s)) // a Builder takes everything
	return out.String()
}
