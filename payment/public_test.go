package payment

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// The contract names the types of public events that the statuses of payments make, all of them and no other. That a charge is
// refunded is told by the refund.
func TestTypesOfEventsAreNamed(t *testing.T) {
	var made []string
	for kind, list := range map[Kind][]Status{
		Charge: {Accepted, Authorized, kinds[Charge].success, Voided, Expired, Failed},
		Refund: {Accepted, kinds[Refund].success, Failed},
	} {
		for _, s := range list {
			made = append(made, publicType(kind, s))
		}
	}
	proto, err := os.ReadFile("../proto/koban/payment/v1/payment.proto")
	check(t, err)
	said := regexp.MustCompile(`(?s)Its types on the feed are(.*?)That a payment`).FindSubmatch(proto)
	if said == nil {
		t.Fatal("the contract names no types")
	}
	var named []string
	named = append(named, regexp.MustCompile(`\b(payment|refund)\.[a-z_]+`).FindAllString(string(said[1]), -1)...)
	slices.Sort(made)
	slices.Sort(named)
	if !slices.Equal(made, named) {
		t.Errorf("named are %v, announced %v", named, made)
	}
}
