package kit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/koban-pay/koban/tcc"
)

// inputChecks send a Try that is wrong in one place. A definite no ends the payment at once; a server error, or no answer,
// would have it asked again and again; and what was done wrongly cannot be told from what was asked.
var inputChecks = []check{
	{"bad-amount", "A Try of an amount that is not a whole, positive number of minor units is refused.", wire, inputs(
		change{"zero", "amount.value", `0`}, change{"negative", "amount.value", `-60`}, change{"with a fraction", "amount.value", `60.5`},
		change{"as text", "amount.value", `"60"`}, change{"beyond 64 bits", "amount.value", `99999999999999999999`},
		change{"missing", "amount", ``})},
	{"bad-currency", "A Try in what is no currency is refused.", wire, inputs(
		change{"unknown", "amount.currency", `"QQQ"`}, change{"in lower case", "amount.currency", `"jpy"`}, change{"empty", "amount.currency", `""`},
		change{"as number", "amount.currency", `392`})},
	{"bad-id", "A Try whose branch or account is no id is refused.", wire, inputs(
		change{"no branch", "branch", ``}, change{"empty branch", "branch", `""`},
		change{"branch of 10,000 characters", "branch", `"` + strings.Repeat("9", 10000) + `"`},
		change{"branch with a NUL", "branch", `"a\u0000b"`}, change{"branch as number", "branch", `17`},
		change{"no account", "account", ``}, change{"account of 10,000 characters", "account", `"` + strings.Repeat("9", 10000) + `"`})},
	{"bad-member", "A Try with a member that the contract does not know is refused.", wire, inputs(
		change{"unknown member", "limit_per_day", `50`}, change{"unknown member of the amount", "amount.scale", `2`})},
	{"bad-json", "What is no JSON object is refused.", wire, inputs(
		change{"nothing", "", ``}, change{"half an object", "", `{"branch":`}, change{"a list", "", `[]`}, change{"text", "", `"try"`},
		change{"a deep nest", "", strings.Repeat("[", 20000)})},
}

// change is one way to make a Try wrong: the JSON of a member, or no member; of no path, the whole body.
type change struct{ what, path, json string }

// inputs returns a check that sends each change of a Try that could be done, each of a payment of its own. A change that
// the wire cannot carry is left out; if it can carry none, the check is.
func inputs(changes ...change) func(context.Context, *exam) error {
	return func(ctx context.Context, e *exam) error {
		var errs []error
		sent := 0
		p, err := e.part(ctx, 1000, 60)
		if err != nil {
			return err
		}
		for _, c := range changes {
			body, err := c.apply(e.Body(e.from(p.account, 60).tryRequest()))
			if err != nil {
				return err
			}
			err = e.Send(ctx, body)
			if errors.Is(err, ErrUnsayable) {
				continue
			}
			sent++
			if tcc.OutcomeOf(err) != tcc.Refused {
				errs = append(errs, fmt.Errorf("%s: %w", c.what, asOutcome(err)))
			}
		}
		if sent == 0 {
			return ErrUnsayable
		}
		return errors.Join(errors.Join(errs...), p.holds(ctx, 1000, 0))
	}
}

func (c change) apply(body []byte) ([]byte, error) {
	if c.path == "" {
		return []byte(c.json), nil
	}
	var whole map[string]any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&whole); err != nil {
		return nil, fmt.Errorf("the fixture's body is no JSON: %w", err)
	}
	at := whole
	member := c.path
	if first, rest, inner := strings.Cut(c.path, "."); inner {
		at, _ = whole[first].(map[string]any)
		member = rest
	}
	if c.json == "" {
		delete(at, member)
	} else {
		at[member] = json.RawMessage(c.json)
	}
	return json.Marshal(whole)
}

// asOutcome says how a call ended that should have been refused.
func asOutcome(err error) error {
	if err == nil {
		return errors.New("it was done, should be refused")
	}
	return fmt.Errorf("%w, should be refused", err)
}

// refusal checks that a call was definitely refused.
func refusal(what string, err error) error {
	if tcc.OutcomeOf(err) == tcc.Refused {
		return nil
	}
	return fmt.Errorf("%s: %w", what, asOutcome(err))
}
