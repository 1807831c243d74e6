package contract

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shape says what each member of an object is. A name that ends in ? may be missing. What a member may be:
//
//	pay_ cus_ …       an id with that prefix
//	text, int, bool   a text (not empty), a whole number, true or false
//	time              RFC 3339 in UTC
//	money             currency and value
//	A|B|null          one of these words, or null
//	{name} [name]     an object, or a list of objects, of that name
//	any               anything
type shape map[string]string

var errorShape = shape{
	"code": "text", "kind": "invalid|unauthenticated|denied|not_found|refused|conflict|busy|unknown|internal", "message": "text",
	"param?": "text", "retryable": "bool", "request_id": "req_", "payment?": "pay_",
}

var paymentShape = shape{
	"id": "pay_", "kind": "charge|refund", "resource_status": "WORK_IN_PROGRESS|WAIT|COMPLETED|FAILED",
	"status": "ACCEPTED|AUTHORIZED|CAPTURED|PARTIALLY_REFUNDED|REFUNDED|VOIDED|EXPIRED|FAILED|SUCCEEDED",
	"amount": "money", "captured": "money", "refunded": "money", "customer": "cus_", "merchant": "mer_",
	"session?": "ses_", "reference?": "text", "parent?": "pay_", "sources": "[source]", "failure": "{failure}|null",
	"created_at": "time", "updated_at": "time", "expires_at?": "time",
}

// shapes are the contract's objects, by name.
var shapes = map[string]shape{
	"payment": paymentShape,
	"source":  {"type": "points|balance", "account": "acc_", "amount": "money", "captured": "money", "refunded": "money"},
	"failure": {"code": "text", "message": "text"},
	"money":   {"currency": "text", "value": "int"},
	"session": {
		"id": "ses_", "customer": "cus_", "merchant": "{shop}", "amount?": "money", "expires_at": "time", "status": "OPEN|USED|EXPIRED",
	},
	"shop": {"id": "mer_", "name": "text"},
	"account": {
		"id": "acc_", "owner": "text", "kind": "text", "currency": "text", "posted": "int", "held": "int", "available": "int",
		"status": "text",
	},
	"event":    {"n": "int", "type": "text", "at": "time", "payment?": "pay_", "data": "any"},
	"customer": {"id": "cus_", "balance": "{account}", "points": "{account}"},
	"merchant": {"id": "mer_", "name": "text", "payload": "text", "account": "acc_", "key": "text"},
	"book":     {"name": "text", "blocks": "int", "head": "text"},
	"invariant": {
		"id": "text", "checked": "int", "violations": "int", "examples": "any",
	},
}

var (
	wholeNumber = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)
	publicID    = regexp.MustCompile(`^[a-z]{3}_[0-9a-z]{16,64}$`)
	utcTime     = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`)
)

// check holds an object to its shape. Members beyond the shape are nobody's business.
func check(t testing.TB, o map[string]any, s shape) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(s)) {
		want := s[name]
		name, optional := strings.CutSuffix(name, "?")
		v, there := o[name]
		if !there {
			if !optional {
				t.Errorf("%s is missing in %v", name, o)
			}
			continue
		}
		if !fits(t, v, want) {
			t.Errorf("%s is %v (%T), expected %s", name, v, v, want)
		}
	}
}

func fits(t testing.TB, v any, want string) bool {
	t.Helper()
	if rest, ok := strings.CutSuffix(want, "|null"); ok {
		return v == nil || fits(t, v, rest)
	}
	text, isText := v.(string)
	switch {
	case want == "any":
		return true
	case want == "text":
		return isText && text != ""
	case want == "time":
		return utcTime.MatchString(text)
	case want == "int":
		n, ok := v.(json.Number)
		return ok && wholeNumber.MatchString(n.String())
	case want == "bool":
		_, ok := v.(bool)
		return ok
	case want == "req_":
		return strings.HasPrefix(text, want) && len(text) > len(want)
	case strings.HasSuffix(want, "_") && len(want) == 4:
		return strings.HasPrefix(text, want) && publicID.MatchString(text)
	case want == "money":
		return fits(t, v, "{money}")
	case want[0] == '{':
		o, ok := v.(map[string]any)
		if ok {
			check(t, o, shapes[strings.Trim(want, "{}")])
		}
		return ok
	case want[0] == '[':
		list, ok := v.([]any)
		for _, one := range list {
			ok = ok && fits(t, one, "{"+strings.Trim(want, "[]")+"}")
		}
		return ok
	}
	return isText && slices.Contains(strings.Split(want, "|"), text)
}
