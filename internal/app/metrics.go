package app

import (
	"github.com/prometheus/client_golang/prometheus"
)

// figures reads what the parts of the process count, when somebody asks.
type figures struct{ app *App }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("koban_"+name, help, labels, nil)
}

var (
	commitsDesc   = describe("journal_commits_total", "Commits of the journal.")
	blocksDesc    = describe("journal_blocks_total", "Blocks that are durable.")
	eventsDesc    = describe("journal_events_total", "Events that are durable.")
	bytesDesc     = describe("journal_bytes_total", "Bytes of durable blocks.")
	troubleDesc   = describe("journal_trouble", "1 while the journal cannot be written.")
	headDesc      = describe("book_head", "Number of a book's last durable block.", "book")
	lagDesc       = describe("book_state_lag_blocks", "Blocks that a book's state tables are behind its journal.", "book")
	residentDesc  = describe("book_resident_rows", "Rows of a book in memory.", "book")
	loadsDesc     = describe("book_loads_total", "Reads of rows that were not in memory.", "book")
	fencedDesc    = describe("book_fenced", "1 once another process has taken the book over.", "book")
	savesDesc     = describe("state_saves_total", "Saves of a service's state tables.", "service")
	savedDesc     = describe("state_rows_total", "Rows saved to a service's state tables.", "service")
	retriesDesc   = describe("state_save_failures_total", "Saves that failed and were tried again.", "service")
	settledDesc   = describe("payments_settled_total", "Payments that ended their way, by status.", "status")
	runningDesc   = describe("payments_running", "Payments that are driven right now.")
	waitingDesc   = describe("payments_waiting", "Payments that wait in the queue for a participant.")
	deferredDesc  = describe("payments_deferred_total", "Times a payment went back to the queue.")
	unknownDesc   = describe("participant_unknown_total", "Calls to participants whose outcome is not known.")
	overdueDesc   = describe("payments_overdue", "Payments unfinished for more than three days, at the last sweep.")
	breakerDesc   = describe("participant_breaker", "1 for the state that a participant's circuit breaker is in.", "participant", "state")
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
	j := f.app.Journal.Stats()
	total(commitsDesc, j.Commits)
	total(blocksDesc, j.Blocks)
	total(eventsDesc, j.Events)
	total(bytesDesc, j.Bytes)
	now(troubleDesc, flag(f.app.Journal.Trouble() != nil))
	now(lostDesc, f.app.lost.Load())
	for name, s := range f.app.shelves {
		for _, b := range s.books {
			st := b.Stats()
			now(headDesc, int64(st.Head), b.Name())
			now(lagDesc, int64(st.Head-st.Saved), b.Name())
			now(residentDesc, int64(st.Resident), b.Name())
			total(loadsDesc, st.Loads, b.Name())
			now(fencedDesc, flag(st.Fenced), b.Name())
		}
		saves := s.saver.Stats()
		total(savesDesc, saves.Saves, name)
		total(savedDesc, saves.Rows, name)
		total(retriesDesc, saves.Failed, name)
		now(feedQueueDesc, int64(s.feed.Stats().Queued), name)
	}
	f.payments(total, now)
	f.watchmans(total, now)
	f.app.rehearsal.collect(total, now)
}

func (f figures) payments(total, now func(*prometheus.Desc, int64, ...string)) {
	p := f.app.Payment.Stats()
	for status, n := range p.Settled {
		total(settledDesc, n, status)
	}
	for who, is := range p.Breakers {
		for _, state := range []string{"closed", "open", "half-open"} {
			now(breakerDesc, flag(state == is), who, state)
		}
	}
	now(runningDesc, int64(p.Running))
	now(waitingDesc, int64(p.Waiting))
	total(deferredDesc, p.Deferred)
	total(unknownDesc, p.Unknown)
	now(overdueDesc, p.Overdue)
}

func flag(on bool) int64 {
	if on {
		return 1
	}
	return 0
}
