package platform

import (
	stdflag "flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
)

var updatePages = stdflag.Bool("update", false, "write docs/reference/metrics.md anew")

const metricsHead = `# Metrics

Every figure of ` + "`/metrics`" + `, in the text format of Prometheus. This page is generated (` + "`go test ./platform -run TestMetricsPage -update`" + `)
and compared by that test: a figure without a row, or without a help text, does not pass. What is worth worry, and what to do
about it, stands in [health](health.md).

Times are seconds, sizes are bytes, amounts stand nowhere: figures tell nothing of a customer. Labels are of closed sets. A figure
appears once it has something to say. Beside these there are the usual figures of Go (` + "`go_*`" + `) and of the process (` + "`process_*`" + `:
CPU, memory, open files, start time).

| metric | type | labels | what it says |
|---|---|---|---|
`

// TestMetricsPage: the page has a row for each figure of a platform that has done something, and for each that is told
// when there is something to tell.
func TestMetricsPage(t *testing.T) {
	r := newRehearsal(t)
	r.app.Listen = "127.0.0.1:0"
	if err := r.app.openDoor(); err != nil {
		t.Fatal(err)
	}
	r.pay("one", 1200, 200)
	r.app.Gateway.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/v1/nothing", http.NoBody))
	families, err := r.app.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	add := func(name, kind, help string, labels []string) {
		if help == "" || !strings.HasSuffix(help, ".") {
			t.Errorf("%s has the help text %q: expected a sentence", name, help)
		}
		rows[name] = fmt.Sprintf("| `%s` | %s | %s | %s |\n", name, kind, strings.Join(labels, ", "), help)
	}
	for _, d := range described {
		kind := "gauge"
		if strings.HasSuffix(d.name, "_total") {
			kind = "counter"
		}
		add(d.name, kind, d.help, d.labels)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "koban_") {
			continue
		}
		add(f.GetName(), strings.ToLower(f.GetType().String()), f.GetHelp(), labelsOf(f))
	}
	page := metricsHead
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		page += rows[name]
	}
	const path = "../docs/reference/metrics.md"
	if *updatePages {
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != page {
		t.Errorf("%s is not what there is; write it anew with -update", path)
	}
}

func labelsOf(f *dto.MetricFamily) (out []string) {
	for _, l := range f.GetMetric()[0].GetLabel() {
		out = append(out, l.GetName())
	}
	slices.Sort(out)
	return out
}
