package code

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/koban-pay/koban/code/emv"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// Shop is a merchant's shop as callers see it.
type Shop struct {
	Merchant     id.ID
	Store        Store
	Name         string // "" once it was erased
	Payload      string // what the printed code says; the same for ever, "" once the name was erased
	RegisteredAt clock.Micros
}

// Details are what a shop says about itself. They are kept in a note that can be erased.
type Details struct {
	Name       string `json:"name"`        // 1–100 characters
	Latin      string `json:"latin"`       // the name in printable ASCII, up to 25 characters; "" takes what the name has of them
	City       string `json:"city"`        // printable ASCII, up to 15 characters; "" is TOKYO
	PostalCode string `json:"postal_code"` // seven digits; "" is 1000001
	MCC        string `json:"mcc"`         // merchant category code, ISO 18245; "" is 5999, other retail
}

const (
	maxName  = 100 // characters
	maxLocal = 25  // characters of 64.01, and of 59
)

// fill sets what was left out, and cuts what a code has no room for.
func (d *Details) fill() {
	if d.Latin == "" {
		d.Latin = latin(d.Name)
	}
	for _, f := range [...]struct {
		field    *string
		standard string
	}{{&d.Latin, "SHOP"}, {&d.City, "TOKYO"}, {&d.PostalCode, "1000001"}, {&d.MCC, "5999"}} {
		if *f.field == "" {
			*f.field = f.standard
		}
	}
}

// latin returns what a name has of printable ASCII, cut to the length of object 59.
func latin(name string) string {
	var out []byte
	for _, r := range name {
		if r >= ' ' && r <= '~' {
			out = append(out, byte(r))
		}
	}
	s := strings.Join(strings.Fields(string(out)), " ")
	return strings.TrimSpace(s[:min(len(s), maxLocal)])
}

// encode checks the details and returns the body of their note.
func (d Details) encode() ([]byte, error) {
	d.fill()
	n := utf8.RuneCountInString(d.Name)
	switch {
	case !utf8.ValidString(d.Name) || strings.ContainsFunc(d.Name, unicode.IsControl):
		return nil, fault.InvalidRequest.New("the name is not text on one line").WithParam("name")
	case strings.TrimSpace(d.Name) == "" || n > maxName:
		return nil, fault.InvalidRequest.New("the name has %d characters; expected 1 to %d", n, maxName).WithParam("name")
	}
	if _, err := d.payload(Store{Number: 1}); err != nil {
		return nil, fault.InvalidRequest.New("a code cannot say this: %v", err).WithParam(fieldOf(err))
	}
	return json.Marshal(d)
}

// fieldOf returns the field of Details that an object of the code stands for.
func fieldOf(err error) string {
	var refusal *emv.Error
	if !errors.As(err, &refusal) {
		return ""
	}
	return map[string]string{"59": "latin", "60": "city", "61": "postal_code", "52": "mcc", "64.01": "name"}[refusal.Object]
}

func decodeDetails(body []byte) (d Details, err error) {
	if err := json.Unmarshal(body, &d); err != nil {
		return d, fault.DataDamaged.New("the note of a shop cannot be read").Because(fmt.Errorf("code: %w", err))
	}
	return d, nil
}

// payload returns what the shop's printed code says.
func (d *Details) payload(s Store) (string, error) {
	local := []rune(strings.TrimSpace(d.Name))
	return emv.EncodeJPQR(emv.JPQRShop{
		ID: s.JPQR(), Name: d.Latin, NameJA: strings.TrimSpace(string(local[:min(len(local), maxLocal)])), City: d.City,
		PostalCode: d.PostalCode, MCC: d.MCC,
	})
}
