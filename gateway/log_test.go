package gateway

import (
	"strings"
	"testing"
)

// Every line of the log of requests names what the call was about, or what it made.
func TestRequestsNameTheirObject(t *testing.T) {
	d := newDoor(t, nil)
	for _, q := range []request{
		{verb: "GET", path: "/v1/payments/pay_1"},
		{verb: "POST", path: "/v1/payments/pay_1/void"},
	} {
		d.log.Reset()
		d.do(q)
		if log := d.log.String(); !strings.Contains(log, `"object":"pay_`) {
			t.Errorf("%s: %s", q.path, log)
		}
	}
}
