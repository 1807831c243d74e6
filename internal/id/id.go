package id

import (
	"crypto/rand"
	"encoding/binary"
	"io"
	"sync"

	"github.com/koban-pay/koban/internal/clock"
)

// ID is 16 bytes, most significant first:
//
//	42 bits  milliseconds since 2020-01-01T00:00:00Z (lasts until 2159), so that ids sort by time (rule B12)
//	12 bits  slot, which names the volume that owns the thing
//	66 bits  random
//	 8 bits  facet: 0 for the thing itself, another number for a part of it (an owner's account, a payment's branch)
//
// Together with the tag of its public text (Codec), an id carries 98 bits that nobody outside can predict.
type ID [16]byte

// Slots is the number of slots. Every id names one of 0 … Slots-1.
const Slots = 4096

const epoch = clock.Micros(1577836800) * clock.Second // 2020-01-01T00:00:00Z

// Nil is the id of nothing.
var Nil ID

// Compose returns the id with the given time, slot and random bits; rnd's surplus bits are ignored. A time before 2020 is
// taken as 2020, one after 42 bits of milliseconds as the last of them.
func Compose(at clock.Micros, slot uint16, rnd [9]byte) ID {
	var ms uint64
	if at > epoch {
		ms = min(uint64((at-epoch)/clock.Millisecond), 1<<42-1)
	}
	hi := ms<<22 | uint64(slot%Slots)<<10 | uint64(rnd[8])<<2&0x3ff
	var x ID
	binary.BigEndian.PutUint64(x[:8], hi|uint64(rnd[7]&3))
	copy(x[8:15], rnd[:7])
	return x
}

// Time returns the time in x, rounded down to a millisecond.
func (x ID) Time() clock.Micros {
	return epoch + clock.Micros(binary.BigEndian.Uint64(x[:8])>>22)*clock.Millisecond
}

// Slot returns the slot in x.
func (x ID) Slot() uint16 { return uint16(binary.BigEndian.Uint64(x[:8])>>10) & (Slots - 1) }

// Volume returns which of n volumes owns x. Volumes are equal ranges of slots.
func (x ID) Volume(n int) int { return int(x.Slot()) * n / Slots }

// Facet returns the id of part f of x; f = 0 gives x's root.
func (x ID) Facet(f uint8) ID {
	x[15] = f
	return x
}

// Root returns the id of the thing that x is a part of.
func (x ID) Root() ID { return x.Facet(0) }

// Part returns which part of its root x is; 0 is the root itself.
func (x ID) Part() uint8 { return x[15] }

// IsNil reports whether x is the id of nothing.
func (x ID) IsNil() bool { return x == Nil }

// Compare orders ids by their bytes, and so by time.
func (x ID) Compare(y ID) int {
	for i := range x {
		if x[i] != y[i] {
			return int(x[i]) - int(y[i])
		}
	}
	return 0
}

// SlotOf returns the slot that a hash (at least 2 bytes) falls into.
func SlotOf(hash []byte) uint16 { return (uint16(hash[0])<<8 | uint16(hash[1])) % Slots }

// FirstSlot returns the lowest slot of volume v of n, where the accounts that belong to the volume itself live.
func FirstSlot(v, n int) uint16 { return uint16((v*Slots + n - 1) / n) }

// Tenant numbers a company on the platform. It stands first in every key.
type Tenant uint32

// Source makes new ids. It is safe for concurrent use.
type Source struct {
	mu  sync.Mutex
	rnd io.Reader
	buf [9 * 256]byte
	at  int
}

// NewSource returns a source that draws from rnd; nil means the operating system's generator.
func NewSource(rnd io.Reader) *Source {
	if rnd == nil {
		rnd = rand.Reader
	}
	s := &Source{rnd: rnd}
	s.at = len(s.buf)
	return s
}

// New returns a fresh id for slot, made at now.
func (s *Source) New(now clock.Micros, slot uint16) ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == len(s.buf) {
		if _, err := io.ReadFull(s.rnd, s.buf[:]); err != nil {
			panic("id: the generator of random numbers failed: " + err.Error())
		}
		s.at = 0
	}
	var r [9]byte
	copy(r[:], s.buf[s.at:])
	s.at += 9
	return Compose(now, slot, r)
}

// Slot returns a random slot.
func (s *Source) Slot() uint16 {
	x := s.New(0, 0)
	return SlotOf(x[8:10])
}
