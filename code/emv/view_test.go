package emv

import (
	"encoding/json"
	"errors"
	"testing"
)

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestView(t *testing.T) {
	for name, v := range map[string]struct {
		payload row
		want    string
	}{
		"plain": {plain, `{"ok":true,"kind":"emv_mpm","profile":null,"objects":{"00":"01","26":{"00":"com.example"},"52":"4111","53":"840",` +
			`"58":"US","59":"abc","60":"xyz","63":"18C1"},"merchant":{"name":"abc","city":"xyz","country":"US","mcc":"4111"},` +
			`"currency":"USD","amount":null}`},
		"JPQR": {store.with("01", "12", "54", "1280", "55", "01", "62", "0903tuv"), `{"ok":true,"kind":"emv_mpm","profile":"jpqr","initiation":"12",` +
			`"objects":{"00":"01","01":"12","26":{"00":"jp.or.paymentsjapan","01":"1234567890123","02":"0001","03":"000002","04":"000003"},` +
			`"52":"5812","53":"392","54":"1280","55":"01","58":"JP","59":"abc","60":"xyz","61":"1066143","62":{"09":"tuv"},"63":"2A4F",` +
			`"64":{"00":"JA","01":"カフェ屋"}},"merchant":{"name":"abc","city":"xyz","country":"JP","mcc":"5812","postal_code":"1066143",` +
			`"localized":{"language":"JA","name":"カフェ屋"},"jpqr":{"lv1":"1234567890123","lv2":"0001","lv3":"000002","lv4":"000003"}},` +
			`"currency":"JPY","amount":{"currency":"JPY","value":1280},"tip":{"kind":"prompt"},` +
			`"warnings":[{"object":"62.09","offset":170,"message":"Found \"tuv\"; expected A, M and E, each at most once."}]}`},
		"fees": {plain.with("54", "23.7", "55", "02", "56", "5"), `{"ok":true,"kind":"emv_mpm","profile":null,` +
			`"objects":{"00":"01","26":{"00":"com.example"},"52":"4111","53":"840","54":"23.7","55":"02","56":"5","58":"US","59":"abc",` +
			`"60":"xyz","63":"B329"},"merchant":{"name":"abc","city":"xyz","country":"US","mcc":"4111"},"currency":"USD",` +
			`"amount":{"currency":"USD","value":2370},"tip":{"kind":"fixed","fixed":{"currency":"USD","value":500}}}`},
		"percentage": {plain.with("55", "03", "57", "3.25"), `{"ok":true,"kind":"emv_mpm","profile":null,` +
			`"objects":{"00":"01","26":{"00":"com.example"},"52":"4111","53":"840","55":"03","57":"3.25","58":"US","59":"abc","60":"xyz",` +
			`"63":"6523"},"merchant":{"name":"abc","city":"xyz","country":"US","mcc":"4111"},"currency":"USD","amount":null,` +
			`"tip":{"kind":"percent","percent_hundredths":325}}`},
	} {
		c, err := Decode(v.payload.String())
		if err != nil {
			t.Fatal(err)
		}
		if got := asJSON(t, c.View()); got != v.want {
			t.Errorf("%s: %s\nexpected %s", name, got, v.want)
		}
	}
}

func TestErrorView(t *testing.T) {
	_, err := Decode(plain.with("62", "0726"+long(26)).String())
	want := `{"ok":false,"error":{"code":"BAD_LENGTH","object":"62.07","offset":66,"message":"The length is 26; expected 01 to 25."}}`
	if got := asJSON(t, ErrorView(err)); got != want {
		t.Errorf("%s\nexpected %s", got, want)
	}
	want = `{"ok":false,"error":{"code":"UNREADABLE","object":"","offset":0,"message":"no such file"}}`
	if got := asJSON(t, ErrorView(errors.New("no such file"))); got != want {
		t.Errorf("%s\nexpected %s", got, want)
	}
}
