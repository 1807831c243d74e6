package code

import (
	"strings"
	"testing"

	"github.com/koban-pay/koban/code/emv"
	"github.com/koban-pay/koban/fault"
)

func TestDetails(t *testing.T) {
	for _, tc := range []struct {
		in          Details
		latin, name string // of the code
	}{
		{Details{Name: "Blue Bottle"}, "Blue Bottle", "Blue Bottle"},
		{Details{Name: "山田商店"}, "SHOP", "山田商店"},
		{Details{Name: "喫茶 Cafe  渋谷 No.1 "}, "Cafe No.1", "喫茶 Cafe  渋谷 No.1"},
		{Details{Name: strings.Repeat("寿", 100), Latin: "Sushi"}, "Sushi", strings.Repeat("寿", 25)},
		{Details{Name: strings.Repeat("a", 24) + " b"}, strings.Repeat("a", 24), strings.Repeat("a", 24)},
	} {
		body, err := tc.in.encode()
		if err != nil {
			t.Errorf("%+v: %v", tc.in, err)
			continue
		}
		d, err := decodeDetails(body)
		if err != nil || d.Name != tc.in.Name {
			t.Errorf("%+v: kept as %+v, %v", tc.in, d, err)
		}
		payload, err := d.payload(Store{7, 1, 2})
		if err != nil {
			t.Fatal(err)
		}
		c, err := emv.Decode(payload)
		if err != nil || c.MerchantName() != tc.latin || c.Language().Name != tc.name || *c.JPQR != (Store{7, 1, 2}).JPQR() {
			t.Errorf("%+v: %s, %v", tc.in, payload, err)
		}
	}
}

func TestDetailsThatCannotBe(t *testing.T) {
	for param, d := range map[string]Details{
		"name":        {Name: " "},
		"latin":       {Name: "a", Latin: "é"},
		"city":        {Name: "a", City: strings.Repeat("x", 16)},
		"postal_code": {Name: "a", PostalCode: "100-0001"},
		"mcc":         {Name: "a", MCC: "59"},
	} {
		if _, err := d.encode(); !fault.HasCode(err, fault.InvalidRequest) || fault.Of(err).Param != param {
			t.Errorf("%s: %v", param, err)
		}
	}
	for _, name := range []string{"", "a\nb", "a\x00", "\xff", strings.Repeat("寿", 101)} {
		if _, err := (Details{Name: name}).encode(); !fault.HasCode(err, fault.InvalidRequest) || fault.Of(err).Param != "name" {
			t.Errorf("%q: %v", name, err)
		}
	}
}
