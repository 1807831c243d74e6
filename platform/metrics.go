package platform

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/clock"
)

// figures reads what the parts of the process count, when somebody asks.
type figures struct{ app *App }

// described is every figure that was described, for the page that lists them all (docs/reference/metrics.md).
var described []description

type description struct {
	name, help string
	labels     []string
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	name = "koban_" + name
	described = append(described, description{name, help, labels})
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	commitsDesc   = describe("journal_commits_total", "Commits of the journal.")
	blocksDesc    = describe("journal_blocks_total", "Blocks that are durable.")
	eventsDesc    = describe("journal_events_total", "Events that are durable.")
	bytesDesc     = describe("journal_bytes_total", "Bytes of durable blocks.")
	troubleDesc   = describe("journal_trouble", "1 while the journal cannot be written.")
	doubtDesc     = describe("clock_doubt", "1 while the machine's clock has stepped and nothing is written.")
	followedDesc  = describe("clock_followed_seconds_total", "Seconds that the platform's time was carried forward by, after the machine slept or its clock was set.")
	headDesc      = describe("book_head", "Number of a book's last durable block.", "book")
	lagDesc       = describe("book_state_lag_blocks", "Blocks that a book's state tables are behind its journal.", "book")
	residentDesc  = describe("book_resident_rows", "Rows of a book in memory.", "book")
	loadsDesc     = describe("book_loads_total", "Reads of rows that were not in memory.", "book")
	asideDesc     = describe("book_trouble_total", "What went wrong beside the writing: rows that are damaged, due times and key indexes that cannot be read.", "book", "what")
	stillDesc     = describe("book_trouble", "1 while something goes wrong still beside the writing: damaged rows, due times and key indexes that cannot be read.", "book", "what")
	fencedDesc    = describe("book_fenced", "1 once another process has taken the book over.", "book")
	epochDesc     = describe("book_epoch", "How many times a process has taken the book over. It goes up with each start.", "book")
	commitDesc    = describe("journal_commit_seconds", "Time of a commit of the journal, which every answer waits for.")
	saveDesc      = describe("state_save_seconds", "Time of a save of a service's state tables, for which nobody waits.", "service")
	replayDesc    = describe("replays_total", "Requests under an idempotency key that stands for something already.", "service")
	savesDesc     = describe("state_saves_total", "Saves of a service's state tables.", "service")
	savedDesc     = describe("state_rows_total", "Rows saved to a service's state tables.", "service")
	retriesDesc   = describe("state_save_failures_total", "Saves that failed and were tried again.", "service")
	feedQueueDesc = describe("feed_queued_blocks", "Blocks that wait to be numbered for a feed.", "service")
)

// Describe implements prometheus.Collector. The list is in Collect: describing nothing makes the figures unchecked.
func (figures) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (f figures) Collect(out chan<- prometheus.Metric) {
	total := func(d *prometheus.Desc, n int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	now := func(d *prometheus.Desc, n int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	now(leaderDesc, 1)
	j := f.app.Journal.Stats()
	total(commitsDesc, j.Commits)
	total(blocksDesc, j.Blocks)
	total(eventsDesc, j.Events)
	total(bytesDesc, j.Bytes)
	out <- histogram(commitDesc, j.Took)
	now(troubleDesc, flag(f.app.Journal.Trouble() != nil))
	if room, err := roomOf(f.app.Data); err == nil {
		now(freeDesc, int64(room))
	}
	now(lostDesc, f.app.lost.Load())
	if m := f.app.machine; m != nil {
		now(doubtDesc, flag(m.Doubt() != nil))
		total(followedDesc, int64(m.Followed()/time.Second))
	}
	for name, s := range f.app.shelves {
		known := int64(0)
		for _, b := range s.books {
			st := b.Stats()
			known += st.Known
			now(headDesc, int64(st.Head), b.Name())
			now(lagDesc, int64(st.Head-st.Saved), b.Name())
			now(residentDesc, int64(st.Resident), b.Name())
			total(loadsDesc, st.Loads, b.Name())
			for _, t := range book.Troubles() {
				total(asideDesc, st.Failed[t], b.Name(), t.String())
				now(stillDesc, flag(st.Troubled[t]), b.Name(), t.String())
			}
			now(fencedDesc, flag(st.Fenced), b.Name())
			now(epochDesc, int64(st.Epoch), b.Name())
		}
		total(replayDesc, known, name)
		saves := s.saver.Stats()
		total(savesDesc, saves.Saves, name)
		total(savedDesc, saves.Rows, name)
		total(retriesDesc, saves.Failed, name)
		out <- histogram(saveDesc, saves.Took, name)
		now(feedQueueDesc, int64(s.feed.Stats().Queued), name)
	}
	f.payments(out, total, now)
	f.logs(now)
	f.watchmans(total, now)
	f.app.pages.collect(total, now)
	f.app.rehearsal.collect(total, now)
	now(demoDesc, flag(f.app.mode == demonstrating))
	if c := f.app.certificate; c != nil {
		now(certificateDesc, int64(c.notAfter()/clock.Second))
	}
}

func flag(on bool) int64 {
	if on {
		return 1
	}
	return 0
}
