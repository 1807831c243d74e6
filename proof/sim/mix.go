package sim

import (
	"math/bits"
	"math/rand/v2"

	"github.com/koban-pay/koban/internal/clock"
)

// mix is what one world is like. Chances are in thousandths; times are the most that is drawn.
type mix struct {
	dropRequest, dropReply, twice, garble, wrong, late int
	usual, latest                                      clock.Micros

	failWrite, loseWrite, crashBefore, crashAfter int // of appends
	failRead, failSave, crashCall                 int
	crashDecision, usurpDecision                  int // at the block of a decision
	wholeProcess                                  bool
	sync, save, fetch, read                       clock.Micros
	snapshot, forget                              int

	crashEvery, usurpEvery, outageEvery, suspendEvery, stepEvery, sleepEvery clock.Micros // 0: never
	outage                                                                   clock.Micros
	skew                                                                     clock.Micros // between the clocks of processes

	noWorker, noQueue, noSweep bool // recovery layers that are off
	noProbe                    bool // nobody asks whether participants are back: the queue is alone
	sweep, probe               clock.Micros
	patience                   clock.Micros // of the front door with one request
	vanish, otherBody, hangUp  int          // of callers
	authorization              clock.Micros
	pace                       clock.Micros // between two intents of callers
	reads                      int          // queries for every thousand intents
}

// calm is a world without faults.
func calm() mix {
	return mix{
		usual: 2 * clock.Millisecond, sync: clock.Millisecond, save: 20 * clock.Millisecond, snapshot: 300, forget: 300,
		sweep: clock.Hour, probe: clock.Second, patience: 10 * clock.Second, authorization: 20 * clock.Minute, pace: 2 * clock.Second,
	}
}

// The most that a brutal world draws, in thousandths; others draw from a tenth to a third of it.
const (
	mostLoss      = 400
	mostTwice     = 500
	mostStore     = 100 // of failed, of ambiguous and of unreadable
	mostCrash     = 16
	mostDecision  = 60
	mostGarble    = 160
	mostLate      = 400
	mostVanish    = 300
	mostOtherBody = 200
	mostHangUp    = 400
)

// drawMix draws a world's own mix: each kind of fault is in it or not, and harsh or not; one world in six is brutal, and
// some last for days.
func drawMix(rnd *rand.Rand) mix {
	m := calm()
	tenths := 1 + rnd.IntN(3)
	if rnd.IntN(6) == 0 {
		tenths = 10
	}
	some := func(most int, list ...*int) {
		for _, dst := range list {
			if rnd.IntN(5) < 3 {
				*dst = 1 + rnd.IntN(max(1, most*tenths/10))
			}
		}
	}
	some(mostLoss, &m.dropRequest, &m.dropReply)
	some(mostTwice, &m.twice)
	some(mostGarble, &m.garble, &m.wrong)
	some(mostLate, &m.late)
	some(mostStore, &m.failWrite, &m.loseWrite, &m.failRead, &m.failSave)
	some(mostCrash, &m.crashBefore, &m.crashAfter, &m.crashCall)
	some(mostDecision, &m.crashDecision, &m.usurpDecision)
	some(mostVanish, &m.vanish)
	some(mostOtherBody, &m.otherBody)
	some(mostHangUp, &m.hangUp)
	m.usual = upTo(rnd, 50*clock.Millisecond)
	m.latest = clock.Second + upTo(rnd, clock.Minute)
	if rnd.IntN(4) == 0 {
		m.latest = span(rnd, clock.Minute, 2*clock.Day)
	}
	m.sync = upTo(rnd, 20*clock.Millisecond)
	m.save = upTo(rnd, 2*clock.Second)
	if rnd.IntN(3) == 0 {
		m.fetch = upTo(rnd, 100*clock.Millisecond)
		m.read = 10*clock.Millisecond + upTo(rnd, 90*clock.Millisecond)
	}
	if rnd.IntN(2) == 0 {
		m.skew = upTo(rnd, 1900*clock.Millisecond)
	}
	m.snapshot, m.forget = rnd.IntN(600), rnd.IntN(800)
	m.pace = upTo(rnd, 6*clock.Second)
	m.patience = clock.Second + upTo(rnd, 15*clock.Second)
	m.authorization = 10*clock.Second + upTo(rnd, 10*clock.Minute)
	m.reads = rnd.IntN(2000)
	m.layers(rnd.IntN(8))
	m.calamities(rnd, clock.Micros(tenths))
	return m
}

// calamities draws what comes by time. In a world that lasts for days a participant may be away for one.
func (m *mix) calamities(rnd *rand.Rand, tenths clock.Micros) {
	slow := clock.Micros(1)
	if rnd.IntN(20) == 0 {
		slow = 300
		m.pace = slow * (clock.Second + upTo(rnd, 3*clock.Second))
		m.authorization = 8 * clock.Hour
	}
	every := func(dst *clock.Micros, least clock.Micros) {
		if rnd.IntN(2) == 0 {
			*dst = slow * (least/tenths + upTo(rnd, least))
		}
	}
	every(&m.crashEvery, 40*clock.Second)
	every(&m.usurpEvery, 30*clock.Second)
	every(&m.outageEvery, 30*clock.Second)
	every(&m.suspendEvery, 20*clock.Second)
	every(&m.stepEvery, 30*clock.Second)
	every(&m.sleepEvery, 60*clock.Second)
	m.outage = slow * (clock.Second + upTo(rnd, 40*clock.Second))
	if slow > 1 {
		m.outageEvery, m.outage = 3*clock.Hour, clock.Day
		// Days at the pace of the others would be endless: the sweep comes round as rarely as in production, probes too.
		m.noWorker, m.noQueue, m.noSweep, m.noProbe = false, false, false, false
		m.sweep, m.probe = clock.Hour, 20*clock.Second
	}
}

// layers switches two of the three layers of recovery off in some worlds: each must heal alone. The sweep comes round every
// hour in production; here it comes too late to help in half of the worlds, and soon in the others.
func (m *mix) layers(n int) {
	m.sweep = 15*clock.Second + 5*clock.Second*clock.Micros(n)
	switch n {
	case 0:
		m.noWorker, m.noQueue = true, true
	case 1:
		m.noQueue = true
	case 2:
		m.noWorker = true
	case 3:
		m.noWorker, m.noSweep, m.noProbe, m.failRead = true, true, true, 0
	case 4, 5, 6, 7:
		m.sweep = clock.Hour
	}
}

// peace ends the faults; what is broken is mended.
func (m *mix) peace() {
	p := calm()
	p.snapshot, p.forget = m.snapshot, m.forget
	p.sweep, p.noWorker, p.noQueue, p.noSweep, p.noProbe = m.sweep, m.noWorker, m.noQueue, m.noSweep, m.noProbe
	p.patience, p.authorization, p.latest = m.patience, m.authorization, m.latest
	*m = p
}

// upTo draws a time from 1 µs to most.
func upTo(rnd *rand.Rand, most clock.Micros) clock.Micros {
	return 1 + clock.Micros(rnd.Int64N(int64(most)))
}

// span draws a time between two, as likely among the short ones as among the long ones.
func span(rnd *rand.Rand, least, most clock.Micros) clock.Micros {
	doublings := bits.Len64(uint64(most / least))
	from := least << rnd.IntN(doublings)
	return min(from+upTo(rnd, from), most)
}
