package money

import (
	"math"
	"math/bits"
)

// Bounds of what other layers accept; the arithmetic here reaches over all of int64.
const (
	MaxStored = 1<<62 - 1 // the largest amount that is stored, so that the sum of two still fits into an int64
	MaxWire   = 1<<53 - 1 // the largest integer that every JSON reader keeps exact (RFC 8259 §6)
)

// AddInt returns a + b, or ErrOverflow.
func AddInt(a, b int64) (int64, error) {
	s := a + b
	if (s < a) != (b < 0) {
		return 0, ErrOverflow
	}
	return s, nil
}

// SubInt returns a - b, or ErrOverflow.
func SubInt(a, b int64) (int64, error) {
	d := a - b
	if (d > a) != (b < 0) {
		return 0, ErrOverflow
	}
	return d, nil
}

// MulInt returns a × b, or ErrOverflow.
func MulInt(a, b int64) (int64, error) {
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	if hi != 0 {
		return 0, ErrOverflow
	}
	return signed(lo, (a < 0) != (b < 0))
}

// magnitude returns |n|, which for the smallest int64 only fits without a sign.
func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// signed returns m, or -m if negative, or ErrOverflow.
func signed(m uint64, negative bool) (int64, error) {
	switch {
	case negative && m <= 1<<63:
		return int64(-m), nil
	case !negative && m <= math.MaxInt64:
		return int64(m), nil
	}
	return 0, ErrOverflow
}
