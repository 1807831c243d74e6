package main

import (
	"time"

	"github.com/koban-pay/koban/internal/term"
	"github.com/koban-pay/koban/money"
)

// The answers of the platform, as far as they are printed.

type amount struct {
	Currency string `json:"currency"`
	Value    int64  `json:"value"`
}

func (a amount) String() string { return amountText(a.Value, a.Currency) }

type payment struct {
	ID         string     `json:"id"`
	Kind       string     `json:"kind"`
	Status     string     `json:"status"`
	Resource   string     `json:"resource_status"`
	Amount     amount     `json:"amount"`
	Captured   amount     `json:"captured"`
	Refunded   amount     `json:"refunded"`
	Customer   string     `json:"customer"`
	Merchant   string     `json:"merchant"`
	Session    string     `json:"session,omitempty"`
	Reference  string     `json:"reference,omitempty"`
	Parent     string     `json:"parent,omitempty"`
	Sources    []source   `json:"sources"`
	Failure    *failure   `json:"failure"`
	CreatedAt  time.Time  `json:"created_at"`
	UpdatedAt  time.Time  `json:"updated_at"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty"`
	NextCursor string     `json:"-"`
}

type source struct {
	Type     string `json:"type"`
	Account  string `json:"account"`
	Amount   amount `json:"amount"`
	Captured amount `json:"captured"`
	Refunded amount `json:"refunded"`
}

type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type account struct {
	ID        string `json:"id"`
	Owner     string `json:"owner"`
	Kind      string `json:"kind"`
	Currency  string `json:"currency"`
	Posted    int64  `json:"posted"`
	Held      int64  `json:"held"`
	Available int64  `json:"available"`
	Status    string `json:"status"`
}

type session struct {
	ID       string  `json:"id"`
	Amount   *amount `json:"amount"`
	Merchant struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"merchant"`
}

// page is one page of a list.
type page[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"next_cursor"`
}

// amountText returns minor units as people write them.
func amountText(minor int64, currency string) string {
	c, err := money.ParseCurrency(currency)
	if err != nil {
		return term.Clean(currency)
	}
	text := money.Of(minor, c).String()[len(currency)+1:]
	switch currency {
	case "JPY":
		if text[0] == '-' {
			return "-¥" + text[1:]
		}
		return "¥" + text
	case "PT":
		return text + " pt"
	}
	return text + " " + currency
}

// clockText returns the time of a day, for tables within one payment.
func clockText(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// timeText returns a time for lists.
func timeText(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// statusText paints a status.
func statusText(w *term.Writer, status string) string {
	switch status {
	case "CAPTURED", "SUCCEEDED", "PARTIALLY_REFUNDED", "REFUNDED":
		return w.Good(status)
	case "FAILED", "EXPIRED", "VOIDED":
		return w.Bad(status)
	}
	return w.Warn(status)
}
