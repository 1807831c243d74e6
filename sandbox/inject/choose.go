package inject

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// call is one call to a participant.
type call struct {
	participant string
	verb        Verb
	branch      id.ID
}

// injected is a fault at work.
type injected struct {
	mu     sync.Mutex
	is     Fault
	chosen int64
	tries  map[try]uint32 // how often each call was seen; empty where all are chosen anyway
}

type try struct {
	branch id.ID
	verb   Verb
}

// maxTries bounds what a fault remembers. Beyond, it starts to count afresh.
const maxTries = 1 << 15

func (f *injected) fits(c call) bool {
	return (f.is.Participant == "" || f.is.Participant == c.participant) && (f.is.Verb == AnyVerb || f.is.Verb == c.verb)
}

// choose looks at a call, and reports whether it goes wrong. What it draws decides whatever else is left to chance.
func (f *injected) choose(c call, now clock.Micros) (drawn uint64, hit bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.overAt(now) {
		return 0, false
	}
	f.is.Seen++
	drawn = draw(f.is.Seed, c, f.try(c))
	if drawn%100 >= uint64(f.is.Share) {
		return 0, false
	}
	f.chosen++
	if f.is.Do == Kill && f.chosen != f.is.Nth {
		return 0, false
	}
	f.is.Hit++
	return drawn, true
}

// try returns how often the call was made since the fault was injected, this time included.
func (f *injected) try(c call) uint32 {
	if f.tries == nil || len(f.tries) >= maxTries {
		f.tries = make(map[try]uint32)
	}
	k := try{c.branch, c.verb}
	f.tries[k]++
	return f.tries[k]
}

// overAt reports whether the fault is over at now, and remembers that it is.
func (f *injected) overAt(now clock.Micros) bool {
	if f.is.Until > 0 && now >= f.is.Until || f.is.Times > 0 && f.is.Hit >= f.is.Times {
		f.end()
	}
	return f.is.Over
}

func (f *injected) end() { f.is.Over, f.tries = true, nil }

// seenAt returns the fault as it stands at now.
func (f *injected) seenAt(now clock.Micros) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.overAt(now)
	return f.is
}

// clear ends the fault, and returns it as it stood. It reports false if it was over already.
func (f *injected) clear(now clock.Micros) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.overAt(now)
	f.end()
	return f.is, !was
}

// draw returns a number that depends on nothing but its arguments (J1).
func draw(seed uint64, c call, try uint32) uint64 {
	b := make([]byte, 0, 8+len(c.branch)+1+4)
	b = binary.BigEndian.AppendUint64(b, seed)
	b = append(b, c.branch[:]...)
	b = append(b, byte(c.verb))
	b = binary.BigEndian.AppendUint32(b, try)
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:8])
}
