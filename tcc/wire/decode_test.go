package wire

import (
	"encoding/json"
	"testing"

	"github.com/koban-pay/koban/tcc"
)

// FuzzDecode: whatever comes, a body is refused definitely, or read into what says the same again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"branch":"b.1","tenant":1,"account":"a","amount":{"currency":"PT","value":60},"purpose":"charge","not_after":"2030-01-01T09:00:00Z","effective_at":"2030-01-01T09:00:00Z"}`))
	f.Add([]byte(`{"amount":{"value":1e3}}`))
	f.Add([]byte(`{"branch":"a","branch":"b"}`))
	f.Add([]byte(`{"customer":"\ud800"} {}`))
	f.Add([]byte(`[[[[`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var b TryBody
		if err := decode(body, &b); err != nil {
			if tcc.OutcomeOf(err) != tcc.Refused {
				t.Fatalf("%q is %v, which is no definite no", body, err)
			}
			return
		}
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatalf("%q cannot be written again: %v", body, err)
		}
		var again TryBody
		if err := decode(text, &again); err != nil || again != b {
			t.Fatalf("%q became %+v, and %s became %+v, %v", body, b, text, again, err)
		}
	})
}
