package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/koban-pay/koban/fault"
)

// decode reads the body of a request into v, and takes nothing that could be read in two ways: no unknown member, no
// member twice, none in other letters, nothing after the object, no fraction where an integer stands.
func decode(body []byte, v any) error {
	if err := exactMembers(json.NewDecoder(bytes.NewReader(body))); err != nil {
		return fault.InvalidRequest.New("the body: %s", err.Error())
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong) && strings.HasSuffix(wrong.Field, "value"):
		return fault.InvalidAmount.New("").WithParam(wrong.Field)
	case errors.As(err, &wrong):
		return fault.InvalidRequest.New("%s has the wrong type: %s", wrong.Field, wrong.Value).WithParam(wrong.Field)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fault.UnknownField.New("").WithParam(strings.Trim(name, `"`))
	}
	return fault.InvalidRequest.New("the body: %s", err.Error())
}

// exactMembers reads one JSON value and checks what encoding/json lets pass: members that come twice or differ in case
// only, and what follows the value.
func exactMembers(d *json.Decoder) error {
	d.UseNumber()
	type level struct {
		object bool
		name   bool // a member's name comes next
		seen   map[string]bool
	}
	var open []*level
	for {
		token, err := d.Token()
		if err != nil {
			return fmt.Errorf("it is not JSON: %w", err)
		}
		var top *level
		if len(open) > 0 {
			top = open[len(open)-1]
		}
		switch t := token.(type) {
		case json.Delim:
			if t == '{' || t == '[' {
				if top != nil {
					top.name = top.object
				}
				open = append(open, &level{object: t == '{', name: t == '{', seen: map[string]bool{}})
			} else {
				open = open[:len(open)-1]
			}
		case string:
			if top == nil || !top.name {
				break
			}
			if top.seen[t] || t != strings.ToLower(t) {
				return fmt.Errorf("the member %.40q comes twice, or not in lower case", t)
			}
			top.seen[t], top.name = true, false
			continue
		}
		if top != nil && top.object {
			top.name = true
		}
		if len(open) == 0 {
			if _, err := d.Token(); !errors.Is(err, io.EOF) {
				return errors.New("something follows the object")
			}
			return nil
		}
	}
}
