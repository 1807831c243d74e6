package gateway

// cardRange is a range of issuer prefixes with the lengths of the numbers that begin so (ISO/IEC 7812-1).
type cardRange struct {
	low, high int // of the first six digits
	lengths   []int
}

var cardRanges = []cardRange{
	{400000, 499999, []int{13, 16, 19}}, // Visa
	{510000, 559999, []int{16}},         // Mastercard
	{222100, 272099, []int{16}},
	{340000, 349999, []int{15}}, // American Express
	{370000, 379999, []int{15}},
	{352800, 358999, []int{16, 17, 18, 19}}, // JCB
	{300000, 305999, []int{14, 16}},         // Diners Club
	{360000, 369999, []int{14}},
	{380000, 399999, []int{14, 16}},
	{601100, 601199, []int{16, 19}}, // Discover
	{644000, 659999, []int{16, 19}},
	{620000, 629999, []int{16, 17, 18, 19}}, // UnionPay
}

const (
	leastCard = 13
	mostCard  = 19
)

// holdsCard reports whether a text holds what can only be a card's number: the prefix of a brand, a length that it has, and
// the check digit (ISO/IEC 7812-1, annex B), written as digits with single spaces or hyphens at most, and no digit beside it.
func holdsCard(t string) bool {
	digits := make([]byte, 0, mostCard+1)
	gap := true
	for _, r := range t {
		d, ok := digitOf(r)
		switch {
		case ok:
			if digits = append(digits, d); len(digits) > mostCard+1 {
				digits = digits[:mostCard+1] // too long for a card; and so it stays
			}
			gap = false
		case (r == ' ' || r == '-' || r == 0x3000 || r == 0x2010 || r == 0xff0d) && !gap:
			gap = true
		default:
			if isCard(digits) {
				return true
			}
			digits, gap = digits[:0], true
		}
	}
	return isCard(digits)
}

// digitOf returns the value of a decimal digit, of full width too.
func digitOf(r rune) (byte, bool) {
	switch {
	case '0' <= r && r <= '9':
		return byte(r - '0'), true
	case 0xff10 <= r && r <= 0xff19:
		return byte(r - 0xff10), true
	}
	return 0, false
}

func isCard(digits []byte) bool {
	if len(digits) < leastCard || len(digits) > mostCard {
		return false
	}
	prefix := 0
	for _, d := range digits[:6] {
		prefix = prefix*10 + int(d)
	}
	fits := false
	for _, c := range cardRanges {
		if c.low <= prefix && prefix <= c.high {
			for _, n := range c.lengths {
				fits = fits || n == len(digits)
			}
		}
	}
	return fits && luhn(digits)
}

// luhn reports whether the last digit is the check digit of the others.
func luhn(digits []byte) bool {
	sum := 0
	for i, d := range digits {
		n := int(d)
		if (len(digits)-i)%2 == 0 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return sum%10 == 0
}
