package emv

import (
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/koban-pay/koban/money"
)

// FuzzDecode holds every text to: it is refused with an *Error inside the text, or encoding it gives the same bytes.
// Each text is tried as it is, and with its check sum put right, which gets past the door.
func FuzzDecode(f *testing.F) {
	v := loadVectors(f)
	for _, v := range v.Valid {
		f.Add(v.Payload)
	}
	for _, v := range v.Strict {
		f.Add(v.Payload)
	}
	f.Add(plain.with("55", "03", "57", "00.01", "62", "50060002xy").String())
	f.Fuzz(func(t *testing.T, s string) {
		roundTrip(t, s)
		if n := len(s) - 8; n >= 0 {
			roundTrip(t, seal(s[:n]))
		}
	})
}

func roundTrip(t *testing.T, s string) {
	c, err := Decode(s)
	if err != nil {
		var e *Error
		if !errors.As(err, &e) || c != nil || e.Code == "" || e.Message == "" || e.Offset < 0 || e.Offset > utf8.RuneCountInString(s) {
			t.Fatalf("Decode(%q) = %v, %v", s, c, err)
		}
		return
	}
	if again, err := Encode(c); err != nil || again != s {
		t.Fatalf("%q is encoded as %q, %v", s, again, err)
	}
	if a := c.Amount(); (a == nil) != (c.Text("54") == "") || a != nil && a.Sign() <= 0 {
		t.Fatalf("%q has the amount %v", s, a)
	}
	if _, err := json.Marshal(c.View()); err != nil {
		t.Fatal(err)
	}
}

// FuzzEncodeJPQR holds what is encoded to: it decodes to what went in.
func FuzzEncodeJPQR(f *testing.F) {
	s := shop()
	f.Add(s.ID.LV1, s.ID.LV2, s.ID.LV3, s.ID.LV4, s.Name, s.NameJA, s.City, s.PostalCode, s.MCC, "YANAKA", "T-07", int64(1280))
	f.Add(s.ID.LV1, s.ID.LV2, s.ID.LV3, s.ID.LV4, s.Name, s.NameJA, s.City, s.PostalCode, s.MCC, "", "", int64(0))
	f.Fuzz(func(t *testing.T, lv1, lv2, lv3, lv4, name, ja, city, postal, mcc, label, terminal string, yen int64) {
		s := JPQRShop{JPQR{lv1, lv2, lv3, lv4}, name, ja, city, postal, mcc, label, terminal, nil}
		if yen != 0 {
			a := money.Yen(yen)
			s.Amount = &a
		}
		payload, err := EncodeJPQR(s)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || payload != "" {
				t.Fatalf("EncodeJPQR(%+v) = %q, %v", s, payload, err)
			}
			return
		}
		c, err := Decode(payload)
		if err != nil {
			t.Fatalf("%+v gives %q: %v", s, payload, err)
		}
		if c.Profile != ProfileJPQR || *c.JPQR != s.ID || c.MerchantName() != name || c.Language().Name != ja || c.City() != city ||
			c.PostalCode() != postal || c.MCC() != mcc || c.Text("62.03") != label || c.Text("62.07") != terminal {
			t.Fatalf("%+v is read as %+v", s, c)
		}
		if a := c.Amount(); (a == nil) != (yen == 0) || a != nil && *a != *s.Amount {
			t.Fatalf("amount %v is read as %v", s.Amount, a)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, v := range loadVectors(b).Valid {
		b.Run(v.Name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(v.Payload)))
			for b.Loop() {
				if _, err := Decode(v.Payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncodeJPQR(b *testing.B) {
	s := shop()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := EncodeJPQR(s); err != nil {
			b.Fatal(err)
		}
	}
}
