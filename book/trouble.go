package book

import (
	"errors"

	"github.com/koban-pay/koban/fault"
)

// What goes wrong aside has no caller who hears of it, or one who can do nothing: it is counted, told once, and told again
// when it is over.

// Trouble is a kind of thing that goes wrong beside the writing.
type Trouble int

// The kinds.
const (
	DamagedRow  Trouble = iota // a row of the tables cannot be understood
	TimerScan                  // due times in the tables cannot be read: what is due there does not run
	IndexTended                // the filters of the key index cannot be looked after: new keys cost reads
	troubles
)

var troubleWords = [...]string{"damaged_row", "timer_scan", "index"}

// String returns the word for metrics and logs.
func (t Trouble) String() string { return troubleWords[t] }

// went notes how something has gone; err is nil if it went well.
func (b *Book) went(t Trouble, err error) {
	b.mu.Lock()
	tell := (err == nil) != (b.troubled[t] == nil)
	b.troubled[t] = err
	if err != nil {
		b.failed[t]++
	}
	b.mu.Unlock()
	if tell && b.writer.hooks.Trouble != nil {
		b.writer.hooks.Trouble(b.name, t, err)
	}
}

// unreadable says why rows cannot be read: a damaged one stays so however often somebody asks.
func unreadable(book string, err error) error {
	if f := (*fault.Error)(nil); errors.As(err, &f) && f.Code == fault.DataDamaged {
		return err
	}
	return fault.Unavailable.New("the state of book %s cannot be read", book).Because(err)
}
