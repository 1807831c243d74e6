package platform

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/payment"
)

var (
	settledDesc  = describe("payments_settled_total", "Payments that ended their way, by status.", "status")
	tookDesc     = describe("payment_settle_seconds", "Time from a payment's acceptance to its first stable status.", "kind")
	runningDesc  = describe("payments_running", "Payments that are driven right now.")
	drivenDesc   = describe("payments_running_oldest_seconds", "For how long the oldest payment that is driven has been driven without a rest.")
	waitingDesc  = describe("payments_waiting", "Payments that wait in the queue for a participant.", "participant", "verb")
	waitsDesc    = describe("payments_waiting_oldest_seconds", "For how long the oldest payment in the queue waits, of those that wait for the same.", "participant", "verb")
	deferredDesc = describe("payments_deferred_total", "Times a payment went back to the queue.")
	overdueDesc  = describe("payments_overdue", "Payments unfinished for more than three days, at the last sweep.")
	suspenseDesc = describe("payments_in_suspense", "Payments and refunds of which something stands in suspense, because the account could not take it, at the last look.")
	undrivenDesc = describe("payments_undriven", "Payments that are owed work which nobody does, at the last look.")
	standsDesc   = describe("payments_undriven_oldest_seconds", "For how long nobody has touched the oldest payment that is owed work which nobody does.")
	foundDesc    = describe("payments_undriven_total", "Payments that were owed work which nobody did, and were driven then.")
	repeatedDesc = describe("payment_reports_repeated_total", "Reports of answers that were offered to a book again.")
	droppedDesc  = describe("payment_reports_refused_total", "Reports of answers that a book has refused. Must be 0.")
	putOffDesc   = describe("payments_put_off_total", "Payments put off at the door because a participant does not answer.", "participant")
	unknownDesc  = describe("participant_unknown_total", "Calls to participants whose outcome is not known.")
	refusedDesc  = describe("participant_refused_duties_total", "Answers that say no to what was decided. Must be 0.", "participant", "verb")
	refusingDesc = describe("payments_refused", "Payments that wait because a participant says no to what was decided. Must be 0.",
		"participant", "verb")
	callDesc    = describe("participant_call_seconds", "Time from a call to its answer, or until it was given up.", "participant", "verb")
	breakerDesc = describe("participant_breaker", "1 for the state that a participant's circuit breaker is in.", "participant", "state")
)

func (f figures) payments(out chan<- prometheus.Metric, total, now func(*prometheus.Desc, int64, ...string)) {
	p := f.app.Payment.Stats()
	age := func(d *prometheus.Desc, age clock.Micros, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, seconds(age), labels...)
	}
	for status, n := range p.Settled {
		total(settledDesc, n, status)
	}
	for kind, took := range p.Took {
		out <- histogram(tookDesc, took, kind.String())
	}
	now(runningDesc, int64(p.Running))
	age(drivenDesc, p.Oldest)
	for _, w := range p.Waiting {
		who, verb := w.Participant.String(), w.Verb.String()
		now(waitingDesc, int64(w.Payments), who, verb)
		now(refusingDesc, int64(w.Refused), who, verb)
		age(waitsDesc, f.app.Clock.Now()-w.Oldest, who, verb)
	}
	total(deferredDesc, p.Deferred)
	now(overdueDesc, p.Overdue)
	now(suspenseDesc, p.Suspense)
	now(undrivenDesc, int64(p.Standing.Payments))
	age(standsDesc, p.Standing.Oldest)
	total(foundDesc, p.Standing.Found)
	total(repeatedDesc, p.Repeated)
	total(droppedDesc, p.Dropped)
	f.participants(out, total, now, p)
}

func (f figures) participants(out chan<- prometheus.Metric, total, now func(*prometheus.Desc, int64, ...string), p payment.Stats) {
	total(unknownDesc, p.Unknown)
	for who, n := range p.PutOff {
		total(putOffDesc, n, who)
	}
	for c, n := range p.Refused {
		total(refusedDesc, n, c.Participant.String(), c.Verb.String())
	}
	for c, took := range p.Calls {
		out <- histogram(callDesc, took, c.Participant.String(), c.Verb.String())
	}
	for who, is := range p.Breakers {
		for _, state := range []string{"closed", "open", "half-open"} {
			now(breakerDesc, flag(state == is), who, state)
		}
	}
}

func seconds(d clock.Micros) float64 { return float64(d) / float64(clock.Second) }

func histogram(d *prometheus.Desc, took clock.Durations, labels ...string) prometheus.Metric {
	buckets, sum := make(map[float64]uint64, len(clock.Bounds)), uint64(0)
	for i, bound := range clock.Bounds {
		sum += uint64(took.Buckets[i])
		buckets[seconds(bound)] = sum
	}
	return prometheus.MustNewConstHistogram(d, uint64(took.Count()), seconds(took.Sum), buckets, labels...)
}
