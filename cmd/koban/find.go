package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/koban-pay/koban/platform"
)

// where says which platform a command speaks to.
type where struct {
	Data    string `help:"The platform's data folder, which holds platform.json." default:"./koban-data" type:"path" placeholder:"DIR"`
	Address string `help:"The platform's address, instead of the one in platform.json." env:"KOBAN_ADDRESS" placeholder:"URL"`
	Key     string `help:"The key to use, instead of one from platform.json." env:"KOBAN_KEY"`
}

// role names a key of platform.json.
type role uint8

const (
	asOperator role = iota
	asCustomerApp
)

// find returns a client of the platform, and what platform.json says of it. With an address and a key that file is not
// needed; what it says is then empty.
func (w *where) find(r role) (*client, *platform.Card, error) {
	card, err := platform.ReadCard(w.Data)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case err != nil && !missing:
		return nil, nil, err
	case missing && (w.Address == "" || w.Key == ""):
		return nil, nil, fmt.Errorf("no platform runs on %s: start one with koban run, or name one with --address and --key", w.Data)
	case missing:
		card = &platform.Card{}
	}
	address, key := w.Address, w.Key
	if address == "" {
		address = card.Address
	}
	if key == "" {
		key = card.Keys.Operator
		if r == asCustomerApp {
			key = card.Keys.CustomerApp
		}
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	pin := ""
	if w.Address == "" {
		pin = card.Certificate
	}
	return newClient(strings.TrimSuffix(address, "/"), key, pin), card, nil
}

// readJSONFile reads a file of JSON into v.
func readJSONFile(path string, v any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s cannot be read: %w", path, err)
	}
	return nil
}
