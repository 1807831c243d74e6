package code

import (
	"strings"
	"testing"

	"github.com/koban-pay/koban/code/emv"
	"github.com/koban-pay/koban/internal/id"
)

func TestStoreIDs(t *testing.T) {
	for _, tc := range []struct {
		store Store
		want  emv.JPQR
	}{
		{Store{7, 0, 1}, emv.JPQR{LV1: "2000000000007", LV2: "0000", LV3: "000000", LV4: "000001"}},
		{Store{1<<32 - 1, 4095, maxNumber}, emv.JPQR{LV1: "4004294967295", LV2: "4095", LV3: "999999", LV4: "999999"}},
		{Store{0, 12, 34_000_056}, emv.JPQR{LV1: "9000000000000", LV2: "0012", LV3: "000034", LV4: "000056"}},
	} {
		if got := tc.store.JPQR(); got != tc.want {
			t.Errorf("%+v is %+v, want %+v", tc.store, got, tc.want)
		}
		if got, ok := ParseStore(tc.want); !ok || got != tc.store {
			t.Errorf("%+v leads to %+v, %v", tc.want, got, ok)
		}
		if got := tc.store.key(); got.Slot() != tc.store.Slot || got.Time() != id.Compose(0, 0, [9]byte{}).Time() {
			t.Errorf("the key of %+v is in slot %d, of %v", tc.store, got.Slot(), got.Time())
		}
	}
}

// TestCheckDigit takes the number that the National Tax Agency of Japan has itself: 7000012050002.
func TestCheckDigit(t *testing.T) {
	if got := checkDigit("000012050002"); got != '7' {
		t.Errorf("%c", got)
	}
}

func TestForeignStoreIDs(t *testing.T) {
	good := Store{7, 12, 99}.JPQR()
	for name, j := range map[string]emv.JPQR{
		"nothing":      {},
		"check digit":  {LV1: "3" + good.LV1[1:], LV2: good.LV2, LV3: good.LV3, LV4: good.LV4},
		"other tenant": {LV1: good.LV1[:12] + "8", LV2: good.LV2, LV3: good.LV3, LV4: good.LV4},
		"letters":      {LV1: strings.Repeat("A", 13), LV2: good.LV2, LV3: good.LV3, LV4: good.LV4},
		"slot":         {LV1: good.LV1, LV2: "4096", LV3: good.LV3, LV4: good.LV4},
		"number zero":  {LV1: good.LV1, LV2: good.LV2, LV3: "000000", LV4: "000000"},
		"not digits":   {LV1: good.LV1, LV2: good.LV2, LV3: "00000x", LV4: good.LV4},
	} {
		if s, ok := ParseStore(j); ok {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// TestStoreKeysDiffer: no two numbers of a volume share a key.
func TestStoreKeysDiffer(t *testing.T) {
	seen := map[id.ID]Store{}
	for _, slot := range []uint16{0, 1, 4095} {
		for _, n := range []int64{1, 2, 255, 256, 65_536, half - 1, half, half + 1, 1<<24 + 1, 1<<32 + 1, 1<<39 + 1, maxNumber} {
			s := Store{7, slot, n}
			if other, ok := seen[s.key()]; ok {
				t.Errorf("%+v and %+v", s, other)
			}
			seen[s.key()] = s
		}
	}
}
