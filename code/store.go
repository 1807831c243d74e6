package code

import (
	"strconv"
	"strings"

	"github.com/koban-pay/koban/code/emv"
	"github.com/koban-pay/koban/internal/id"
)

// Store is what a JPQR store id of this platform says: whose shop it is and where its row stands, so that a scanned
// code leads to its shop without an index over all volumes.
//
//	LV1  13 digits: a check digit and the tenant's number, as a Japanese corporate number has them
//	LV2   4 digits: the slot of the merchant's id, which names the volume
//	LV3   6 digits: the upper half of the shop's number
//	LV4   6 digits: the lower half
//
// Shops are numbered from 1 within their tenant and volume.
type Store struct {
	Tenant id.Tenant
	Slot   uint16
	Number int64 // 1 … maxNumber
}

const (
	half      = 1_000_000
	maxNumber = half*half - 1
)

// JPQR returns the store id's four levels.
func (s Store) JPQR() emv.JPQR {
	company := padded(int64(s.Tenant), 12)
	return emv.JPQR{
		LV1: string(checkDigit(company)) + company, LV2: padded(int64(s.Slot), 4),
		LV3: padded(s.Number/half, 6), LV4: padded(s.Number%half, 6),
	}
}

// ParseStore is the inverse of JPQR. ok is false for a store id that this platform does not give out.
func ParseStore(j emv.JPQR) (s Store, ok bool) {
	company, ok := strings.CutPrefix(j.LV1, string(checkDigit(tail(j.LV1))))
	if !ok {
		return Store{}, false
	}
	tenant, ok1 := digits(company, 12)
	slot, ok2 := digits(j.LV2, 4)
	upper, ok3 := digits(j.LV3, 6)
	lower, ok4 := digits(j.LV4, 6)
	s = Store{id.Tenant(tenant), uint16(slot), upper*half + lower}
	return s, ok1 && ok2 && ok3 && ok4 && tenant < 1<<32 && slot < id.Slots && s.Number > 0
}

// key returns the id under which the shop with this number is found: the slot, no time, and the number as random part.
func (s Store) key() id.ID {
	n := s.Number
	return id.Compose(0, s.Slot, [9]byte{1: byte(n >> 40), 2: byte(n >> 32), 3: byte(n >> 24), 4: byte(n >> 16), 5: byte(n >> 8), 6: byte(n)}).
		Facet(1)
}

// checkDigit returns the check digit of a Japanese corporate number (Ordinance of the Ministry of Finance No. 70 of
// 2014, article 2): 9 less the remainder by 9 of the sum of the digits, every second one from the right doubled.
func checkDigit(body string) byte {
	sum := 0
	for i := range len(body) {
		weight := 1 + (len(body)-1-i)%2
		sum += int(body[i]-'0') * weight
	}
	return byte('0' + 9 - sum%9)
}

func tail(s string) string {
	if s == "" {
		return ""
	}
	return s[1:]
}

func padded(n int64, width int) string {
	s := strconv.FormatInt(n, 10)
	return strings.Repeat("0", width-len(s)) + s
}

// digits reads a number of exactly width digits.
func digits(s string, width int) (int64, bool) {
	if len(s) != width {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}
