package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/koban-pay/koban/fault"
)

// What cannot be seen and changes what can is refused in every text; what people write is kept.
func TestTexts(t *testing.T) {
	for name, text := range map[string]string{
		"Japanese": "喫茶 小判・渋谷店", "half width": "ｺｰﾋｰ", "a variant of a kanji": "葛\U000e0100飾", "Arabic": "مقهى", "Persian with joiner": "می\u200cخواهم",
		"Devanagari with joiner": "क्\u200dष", "family": "👨\u200d👩\u200d👧", "skin": "👍🏽", "heart on fire": "❤\ufe0f\u200d🔥", "combining": "e\u0301", "Hebrew": "קפה", "ideographic space": "小判　珈琲",
	} {
		if problem := refuseText(text); problem != "" {
			t.Errorf("%s is refused: %s", name, problem)
		}
	}
	for name, text := range map[string]string{
		"zero width space": "koban\u200b", "word joiner": "ko\u2060ban", "right to left mark": "a\u200fb", "Arabic letter mark": "a\u061cb",
		"override": "a\u202eb", "isolate": "a\u2066b", "byte order mark": "\ufeffa", "soft hyphen": "ko\u00adban", "joiner in Latin": "ko\u200dban",
		"joiner in kana": "コ\u200dバ", "joiner first": "\u200da", "tags": "a\U000e0041\U000e0042", "Hangul filler": "\u3164", "noncharacter": "a\ufffe",
		"private use": "a\ue000", "line separator": "a\u2028b", "NUL": "a\x00", "C1": "a\u0085", "not UTF-8": "a\xff", "interlinear": "a\ufff9b",
	} {
		if refuseText(text) == "" {
			t.Errorf("%s is taken", name)
		}
		d := &decoder{scanner{b: []byte(`"` + text + `"`)}}
		if _, problem := d.text(); problem == "" {
			t.Errorf("%s is taken in JSON", name)
		}
		var escaped strings.Builder
		for _, r := range text {
			if r < 0x10000 {
				fmt.Fprintf(&escaped, `\u%04x`, r)
			} else {
				escaped.WriteRune(r)
			}
		}
		if name == "not UTF-8" {
			continue // has no escape
		}
		d = &decoder{scanner{b: []byte(`"` + escaped.String() + `"`)}}
		if _, problem := d.text(); problem == "" {
			t.Errorf("%s is taken in escapes", name)
		}
	}
}

func TestLabels(t *testing.T) {
	for _, good := range []string{"小判珈琲", "7", "☕", "A", "Café Ōsaka 1号店"} {
		if problem := refuseLabel(good); problem != "" {
			t.Errorf("%q: %s", good, problem)
		}
	}
	for _, bad := range []string{" ", "　", " a", "a ", "...", "\u0301a", "\u200b", "4111 1111 1111 1111", "Shop 4111-1111-1111-1111"} {
		if refuseLabel(bad) == "" && refuseText(bad) == "" {
			t.Errorf("%q is a name", bad)
		}
	}
}

// A number is a card's only if brand, length and check digit agree: one order number in ten has the check digit.
func TestCards(t *testing.T) {
	for _, card := range []string{
		"4111111111111111", "4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005", "3530111333300000",
		"6011111111111117", "４１１１１１１１１１１１１１１１", "pan=4111111111111111;", "2223003122003222", "30569309025904", "6200000000000005",
	} {
		if !holdsCard(card) {
			t.Errorf("%s is no card", card)
		}
	}
	for _, free := range []string{
		"4111111111111112", "1234567890123452", "0000000000000000", "41111111111111110000000", "2026120100000010",
		"4111 1111  1111 1111", "order-4111", "9999999999999995", "", "4111a11111111111111",
	} {
		if holdsCard(free) {
			t.Errorf("%s is a card", free)
		}
	}
}

// Names and metadata hold nothing that pays; a reference may look like anything.
func TestWhatPaysIsKeptNowhere(t *testing.T) {
	d := newDoor(t, nil)
	pay := func(members string) *answer {
		return d.do(request{verb: "POST", path: "/v1/payments", body: `{"kind":"charge","session":"ses_1","amount":{"currency":"JPY","value":1},` + members + `}`})
	}
	for _, bad := range []string{
		`"metadata":{"pan":"4111 1111 1111 1111"}`, `"metadata":{"4111111111111111":"x"}`, `"metadata":{"cvv":"123"}`, `"metadata":{"card_cvc":"1234"}`,
	} {
		a := pay(bad)
		if a.wantsStatus(t, 400); strings.Contains(a.Body, "4111") || !strings.Contains(a.Body, `"param":"metadata`) {
			t.Errorf("%s: %s", bad, a.Body)
		}
	}
	a := d.do(request{verb: "POST", path: "/v1/merchants", body: `{"name":"4111111111111111"}`})
	a.wants(t, fault.InvalidRequest, "name")
	before := d.reached()
	for _, good := range []string{`"reference":"4111111111111111"`, `"metadata":{"cvv":"left out"}`, `"metadata":{"order":"1234567890123452"}`} {
		if a := pay(good); a.Status != 201 {
			t.Errorf("%s: %d %s", good, a.Status, a.Body)
		}
	}
	if d.reached() != before+3 {
		t.Error("not all good requests reached a handler")
	}
	if strings.Contains(d.log.String(), "4111") {
		t.Error("the log holds a number")
	}
}

// What the contract says of metadata fits into a body, however it is written, and is said in the OpenAPI document.
func TestMetadataFitsIntoABody(t *testing.T) {
	d := newDoor(t, nil)
	pay := func(n int, kana string) *answer {
		entries := make([]string, n)
		for i := range entries {
			entries[i] = fmt.Sprintf(`"key%02d":"%s"`, i, kana)
		}
		return d.do(request{verb: "POST", path: "/v1/payments", body: `{"kind":"charge","session":"ses_1",
			"amount":{"currency":"JPY","value":1},"metadata":{` + strings.Join(entries, ",") + `}}`})
	}
	if a := pay(50, strings.Repeat("あ", 52)); a.Status != 201 { // 50 keys of 5 bytes and 156 bytes each: 8,050
		t.Errorf("within the limit: %d %s", a.Status, a.Body)
	}
	if a := pay(16, strings.Repeat(`\u0061`, 500)); a.Status != 201 {
		t.Errorf("within the limit, in escapes: %d %s", a.Status, a.Body)
	}
	pay(50, strings.Repeat("あ", 500)).wants(t, fault.RequestTooLarge, "")
	pay(50, strings.Repeat("あ", 54)).wants(t, fault.InvalidRequest, "metadata")
	for _, says := range []string{"8,192 bytes", "maxProperties: 50", "maxLength: 500"} {
		if !strings.Contains(string(openapi), says) {
			t.Errorf("the document does not say %s", says)
		}
	}
}
