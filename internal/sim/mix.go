package sim

import (
	"math/rand/v2"

	"github.com/koban-pay/koban/internal/clock"
)

// mix is what one world is like. Chances are in thousandths; times are the most that is drawn.
type mix struct {
	dropRequest, dropReply, twice, garble, late int
	usual, latest                               clock.Micros

	failWrite, loseWrite, crashBefore, crashAfter int
	wholeProcess                                  bool
	sync, save, fetch                             clock.Micros
	snapshot, forget                              int

	crashEvery, usurpEvery, outageEvery, suspendEvery clock.Micros // 0: never
	outage                                            clock.Micros

	noWorker, noQueue, noSweep bool // recovery layers that are off
	sweep                      clock.Micros
	patience                   clock.Micros // of the front door with one request
	vanish, otherBody          int          // of callers
	authorization              clock.Micros
	pace                       clock.Micros // between two intents of callers
}

// calm is a world without faults.
func calm() mix {
	return mix{usual: 2 * clock.Millisecond, sync: clock.Millisecond, save: 20 * clock.Millisecond, snapshot: 300, forget: 300,
		sweep: clock.Hour, patience: 10 * clock.Second, authorization: 20 * clock.Minute, pace: 2 * clock.Second}
}

// draw makes a world's own mix: each kind of fault is in it or not, and harsh or not; one world in six is brutal.
func drawMix(rnd *rand.Rand) mix {
	m := calm()
	hard := 1 + rnd.IntN(3)
	if rnd.IntN(6) == 0 {
		hard = 8
	}
	some := func(dst *int, most int) {
		if rnd.IntN(5) < 3 {
			*dst = 1 + rnd.IntN(most*hard)
		}
	}
	some(&m.dropRequest, 30)
	some(&m.dropReply, 30)
	some(&m.twice, 60)
	some(&m.garble, 20)
	some(&m.late, 40)
	some(&m.failWrite, 20)
	some(&m.loseWrite, 20)
	some(&m.crashBefore, 2)
	some(&m.crashAfter, 2)
	some(&m.vanish, 50)
	some(&m.otherBody, 40)
	every := func(dst *clock.Micros, least clock.Micros) {
		if rnd.IntN(2) == 0 {
			*dst = least/clock.Micros(hard) + clock.Micros(rnd.Int64N(int64(least)))
		}
	}
	every(&m.crashEvery, 40*clock.Second)
	every(&m.usurpEvery, 30*clock.Second)
	every(&m.outageEvery, 30*clock.Second)
	every(&m.suspendEvery, 20*clock.Second)
	m.outage = clock.Second + clock.Micros(rnd.Int64N(int64(40*clock.Second)))
	m.usual = clock.Micros(1 + rnd.Int64N(int64(50*clock.Millisecond)))
	m.latest = clock.Second + clock.Micros(rnd.Int64N(int64(60*clock.Second)))
	m.sync = clock.Micros(1 + rnd.Int64N(int64(20*clock.Millisecond)))
	m.save = clock.Micros(1 + rnd.Int64N(int64(2*clock.Second)))
	if rnd.IntN(3) == 0 {
		m.fetch = clock.Micros(1 + rnd.Int64N(int64(100*clock.Millisecond)))
	}
	m.snapshot, m.forget = rnd.IntN(600), rnd.IntN(800)
	m.pace = clock.Micros(1 + rnd.Int64N(int64(6*clock.Second)))
	m.patience = clock.Second + clock.Micros(rnd.Int64N(int64(15*clock.Second)))
	m.authorization = 10*clock.Second + clock.Micros(rnd.Int64N(int64(10*clock.Minute)))
	m.layers(rnd.IntN(8))
	return m
}

// layers switches two of the three layers of recovery off in some worlds: each must heal alone.
func (m *mix) layers(n int) {
	m.sweep = 20*clock.Second + 20*clock.Second*clock.Micros(n)
	switch n {
	case 0:
		m.noWorker, m.noQueue, m.sweep = true, true, 15*clock.Second
	case 1:
		m.noQueue = true
	case 2:
		m.noWorker = true
	}
}

// peace ends the faults; what is broken is mended.
func (m *mix) peace() {
	p := calm()
	p.snapshot, p.forget = m.snapshot, m.forget
	p.sweep, p.noWorker, p.noQueue, p.noSweep = m.sweep, m.noWorker, m.noQueue, m.noSweep
	p.patience, p.authorization = m.patience, m.authorization
	*m = p
}
