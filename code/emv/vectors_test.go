package emv

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

type vectors struct {
	Valid []struct {
		Name, Payload string
		TLV           [][2]string
	}
	Invalid []struct{ Name, Payload string }
	Strict  []struct {
		Name, Payload, Expect string
		Also                  []string
	} `json:"constructed_strict_negatives"`
}

func loadVectors(t testing.TB) vectors {
	t.Helper()
	var v vectors
	load(t, "emv_mpm.json", &v)
	if len(v.Valid) != 5 || len(v.Invalid) != 6 || len(v.Strict) != 8 {
		t.Fatalf("read %d, %d and %d vectors", len(v.Valid), len(v.Invalid), len(v.Strict))
	}
	return v
}

func load(t testing.TB, name string, v any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

// refusal returns the *Error that Decode refuses payload with.
func refusal(t testing.TB, payload string) *Error {
	t.Helper()
	c, err := Decode(payload)
	var e *Error
	if !errors.As(err, &e) || c != nil {
		t.Fatalf("Decode(%q) = %v, %v; expected a refusal", payload, c, err)
	}
	return e
}

func TestValidVectors(t *testing.T) {
	for _, v := range loadVectors(t).Valid {
		t.Run(v.Name, func(t *testing.T) {
			c, err := Decode(v.Payload)
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Objects) != len(v.TLV) {
				t.Fatalf("%d objects; expected %d", len(c.Objects), len(v.TLV))
			}
			offset := 0
			for i, o := range c.Objects {
				if o.ID != v.TLV[i][0] || flat(o) != v.TLV[i][1] || o.Offset != offset {
					t.Errorf("object %d is %+v; expected %q at %d", i, o, v.TLV[i], offset)
				}
				offset += 4 + utf8.RuneCountInString(v.TLV[i][1])
			}
			again, err := Encode(c)
			if err != nil || again != v.Payload {
				t.Errorf("encoded again: %q, %v", again, err)
			}
		})
	}
}

// flat returns the text of o as it stands on the wire, written apart from Encode.
func flat(o Object) string {
	s := o.Value
	for _, in := range o.Objects {
		v := flat(in)
		s += tlv(in.ID, v)
	}
	return s
}

// TestNationalCodes: codes as they occur, with plain values where the standard has templates, are read, say what is odd, and
// are written again as they were. Those that leave out what is mandatory are refused still, by name.
func TestNationalCodes(t *testing.T) {
	var v struct {
		Codes []struct{ Scheme, Payload string }
	}
	load(t, "emv_national.json", &v)
	got := map[string]int{}
	for _, x := range v.Codes {
		c, err := Decode(x.Payload)
		if err != nil {
			t.Errorf("%s %s: %v", x.Scheme, x.Payload, err)
			continue
		}
		got[x.Scheme]++
		if again, err := Encode(c); err != nil || again != x.Payload {
			t.Errorf("%s: encoded again: %q, %v; expected %q", x.Scheme, again, err, x.Payload)
		}
		if c.AdditionalData() == nil {
			continue
		}
		for _, o := range c.AdditionalData().Systems {
			if o.GUID == "" && (o.Value == "" || len(c.Warnings) == 0) {
				t.Errorf("%s: 62.%s is %+v, with warnings %v", x.Scheme, o.ID, o, c.Warnings)
			}
		}
	}
	if want := map[string]int{"qris": 3, "pix": 2, "paynow": 3, "vietqr": 3, "promptpay": 2}; !maps.Equal(got, want) {
		t.Errorf("read %v, expected %v", got, want)
	}
}

func TestInvalidVectors(t *testing.T) {
	want := map[string]Fault{
		"guid-empty-in-80":        BadLength,
		"crc-missing":             CRCMissing,
		"crc-wrong":               BadCRC,
		"too-short":               BadID,
		"duplicate-53":            DuplicateID,
		"jpqr-static-mpm-shokudo": BadCRC,
	}
	for _, v := range loadVectors(t).Invalid {
		if e := refusal(t, v.Payload); e.Code != want[v.Name] {
			t.Errorf("%s: %v; expected %s", v.Name, e, want[v.Name])
		}
	}
}

func TestStrictNegatives(t *testing.T) {
	for _, v := range loadVectors(t).Strict {
		want, _ := strings.CutSuffix(v.Expect, "_OR_LENIENT")
		if e := refusal(t, v.Payload); string(e.Code) != want {
			t.Errorf("%s: %v; expected %s", v.Name, e, want)
		}
	}
}

func TestLowerCaseCheckSum(t *testing.T) {
	var payload string
	for _, v := range loadVectors(t).Strict {
		if v.Name == "crc-lowercase" {
			payload = v.Payload
		}
	}
	lenient := Decoder{LowerCaseCRC: true}
	c, err := lenient.Decode(payload)
	if err != nil {
		t.Fatal(err)
	}
	upper := payload[:len(payload)-4] + strings.ToUpper(payload[len(payload)-4:])
	if again, err := Encode(c); err != nil || again != upper {
		t.Errorf("encoded again: %q, %v; expected %q", again, err, upper)
	}
	if _, err := Decode(upper); err != nil {
		t.Error(err)
	}
	if _, err := lenient.Decode(payload[:len(payload)-1] + "0"); err == nil {
		t.Error("the lenient decoder took a wrong check sum")
	}
}

func TestConsumerPresentedVectorsAreNamed(t *testing.T) {
	var v struct {
		Vectors []struct{ Name, Base64 string }
	}
	load(t, "emv_cpm.json", &v)
	if len(v.Vectors) != 3 {
		t.Fatalf("read %d vectors", len(v.Vectors))
	}
	for _, v := range v.Vectors {
		if e := refusal(t, v.Base64); e.Code != UnsupportedKind {
			t.Errorf("%s: %v", v.Name, e)
		}
	}
}

func TestCheckSum(t *testing.T) {
	var v struct {
		Check  struct{ Input, CRC string }
		Empty  string
		Nobody string `json:"encode_empty_mpm"`
	}
	load(t, "crc16.json", &v)
	if got := crcText(CRC16([]byte(v.Check.Input))); got != v.Check.CRC || got == "" {
		t.Errorf("check value %s; expected %s", got, v.Check.CRC)
	}
	if got := crcText(CRC16(nil)); got != v.Empty {
		t.Errorf("of nothing %s; expected %s", got, v.Empty)
	}
	for _, c := range []*Code{nil, {}} {
		var e *Error
		if s, err := Encode(c); s != "" || !errors.As(err, &e) || e.Code != MissingMandatory {
			t.Errorf("Encode of an empty code gives %q, %v", s, err)
		}
	}
	if e := refusal(t, v.Nobody); e.Code != MissingMandatory {
		t.Error(e)
	}
}

// TestEveryTruncation cuts every valid payload after every byte.
func TestEveryTruncation(t *testing.T) {
	for _, v := range loadVectors(t).Valid {
		for i := range len(v.Payload) {
			switch e := refusal(t, v.Payload[:i]); e.Code {
			case TruncatedValue, CRCMissing, NotUTF8, MissingMandatory:
				if e.Offset > utf8.RuneCountInString(v.Payload[:i]) {
					t.Errorf("%s cut at %d: offset %d is past the end", v.Name, i, e.Offset)
				}
			default:
				t.Errorf("%s cut at %d: %v", v.Name, i, e)
			}
		}
	}
}

// TestEveryChangedCharacter changes every character of every valid payload: the check sum or the framing shows it.
func TestEveryChangedCharacter(t *testing.T) {
	for _, v := range loadVectors(t).Valid {
		for i, r := range v.Payload {
			for _, with := range []string{"0", "1", "9", "A", "f", " ", "-", ".", "\x00", "\xff", "あ", ""} {
				if with == string(r) {
					continue
				}
				refusal(t, v.Payload[:i]+with+v.Payload[i+utf8.RuneLen(r):])
			}
		}
	}
}
