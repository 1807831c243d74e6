package platform

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/koban-pay/koban/book/store"
)

// Card is platform.json: where a running platform is, and its keys. It stands in the data folder, for its owner alone,
// from when the platform is ready until it stops.
type Card struct {
	Address   string `json:"address"`
	Metrics   string `json:"metrics,omitempty"` // where figures are served without a key, if anywhere but at Address
	PID       int    `json:"pid"`
	Version   string `json:"version"` // of the program
	Data      string `json:"data"`
	Store     string `json:"store"` // sqlite or postgres
	Rehearsal bool   `json:"rehearsal,omitempty"`
	Demo      bool   `json:"demo,omitempty"`
	// Certificate is the SHA-256 of the one that the address shows, in hexadecimal digits; "" without TLS.
	Certificate string         `json:"certificate_sha256,omitempty"`
	Keys        CardKeys       `json:"keys"`
	Customers   []CardCustomer `json:"customers"`
	Merchants   []CardMerchant `json:"merchants"`
}

// CardKeys are the keys of the demo company. Merchant is that of the first merchant, "" if there is none.
type CardKeys struct {
	Operator    string `json:"operator"`
	CustomerApp string `json:"customer_app"`
	Merchant    string `json:"merchant"`
}

// CardCustomer is one customer of the demo company.
type CardCustomer struct {
	ID      string      `json:"id"`
	Balance CardAccount `json:"balance"`
	Points  CardAccount `json:"points"`
}

// CardAccount is one account, and what stood on it when the platform started.
type CardAccount struct {
	Account string `json:"account"`
	Value   int64  `json:"value"`
}

// CardMerchant is one shop of the demo company.
type CardMerchant struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Payload string `json:"payload"` // what its code says
	Account string `json:"account"`
	Key     string `json:"key"`
}

// cardPath returns where the card of a data folder stands.
func cardPath(dir string) string { return filepath.Join(dir, "platform.json") }

// maxCard is more than any card has.
const maxCard = 1 << 20

// ReadCard reads the card in a data folder. If there is none, the error is fs.ErrNotExist.
func ReadCard(dir string) (*Card, error) {
	f, err := os.OpenFile(cardPath(dir), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("platform: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxCard))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("platform: %w", err)
	}
	c := new(Card)
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("platform: %s cannot be read: %w", cardPath(dir), err)
	}
	return c, nil
}

func (c *Card) write(dir string) error {
	if c.Customers == nil {
		c.Customers = []CardCustomer{}
	}
	if c.Merchants == nil {
		c.Merchants = []CardMerchant{}
	}
	text, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return fmt.Errorf("platform: %w", err)
	}
	return store.WriteFileAtomic(cardPath(dir), append(text, '\n'), 0o600)
}

func removeCard(dir string) error {
	if err := os.Remove(cardPath(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("platform: %w", err)
	}
	return nil
}
