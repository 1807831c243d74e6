package conform

import (
	_ "embed"
	"html/template"
	"io"
	"strings"
	"time"
)

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"word": func(status string) string { return strings.ReplaceAll(status, "_", " ") },
	"mark": func(status string) string { return map[string]string{Passed: "✓", Failed: "✗"}[status] },
	"took": func(us int64) string {
		return (time.Duration(us) * time.Microsecond).Round(10 * time.Microsecond).String()
	},
	"failed": func(r *Report) (out []Check) {
		for _, c := range r.Checks() {
			if c.Status == Failed {
				out = append(out, c)
			}
		}
		return out
	},
}).Parse(page))

// WriteHTML writes the report as one page that needs nothing else.
func (r *Report) WriteHTML(w io.Writer) error { return pageTemplate.Execute(w, r) }
