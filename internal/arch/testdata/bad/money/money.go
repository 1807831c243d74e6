package money

import "math"

// Rate is a float.
type Rate float64 // want float

// Apply rounds where nobody sees it.
func Apply(r Rate, n int64) int64 {
	x := 1.5                // want float
	y, limit := math.Floor, // want float
		math.MaxInt64
	_, _, _ = x, y, limit
	return n
}

// Amount is well.
type Amount struct{}

func (Amount) Value() {} // want comment

const Yen, Sen = 1, 100 // two at once
