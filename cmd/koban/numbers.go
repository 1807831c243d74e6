package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// What the command line takes is read here, so that what is wrong is refused before anything is sent, and 0 or an empty word
// is never taken for what was left out: a script that computes an amount of 0 must not give everything back, and one whose
// key is empty must not pay twice.

// whole reads a whole number from 1 to hi.
func whole(text []byte, hi int64, such string) (int64, error) {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || n < 1 || n > hi {
		return 0, fmt.Errorf("%q: expected a whole number from 1 to %d, such as %s", text, hi, such)
	}
	return n, nil
}

// maxAmount is the largest amount of the API: what a JSON number carries exactly.
const maxAmount = 1<<53 - 1

// minorUnits is an amount, as a flag or argument that may be left out: *minorUnits.
type minorUnits int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (x *minorUnits) UnmarshalText(text []byte) error {
	n, err := whole(text, maxAmount, "600 for ¥600")
	*x = minorUnits(n)
	return err
}

// backUnits is minorUnits of what is given back. An amount that cannot be given back is refused, as the platform would refuse
// it: the exit code is that of a refund which was denied.
type backUnits int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (x *backUnits) UnmarshalText(text []byte) error {
	n, err := whole(text, maxAmount, "600 for ¥600")
	if _, odd := strconv.ParseInt(string(text), 10, 64); err != nil && odd == nil {
		return senseless{err}
	}
	*x = backUnits(n)
	return err
}

// senseless is a number that was read, and that nothing can be done with.
type senseless struct{ error }

// orZero returns the amount, 0 if it was left out.
func (x *minorUnits) orZero() int64 {
	if x == nil {
		return 0
	}
	return int64(*x)
}

// pageSize is how many items of a list to show.
type pageSize int

// UnmarshalText implements encoding.TextUnmarshaler.
func (x *pageSize) UnmarshalText(text []byte) error {
	n, err := whole(text, 100, "20")
	*x = pageSize(n)
	return err
}

// volumeCount is how many volumes books are cut into; 0 if it was left out.
type volumeCount int

// UnmarshalText implements encoding.TextUnmarshaler.
func (x *volumeCount) UnmarshalText(text []byte) error {
	n, err := whole(text, 64, "8")
	*x = volumeCount(n)
	return err
}

// count is a number of things, of which there has to be one at least.
type count int

// UnmarshalText implements encoding.TextUnmarshaler.
func (x *count) UnmarshalText(text []byte) error {
	n, err := whole(text, 1_000_000_000, "300")
	*x = count(n)
	return err
}

// period is a duration that is not over at once; 0 if it was left out.
type period time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (x *period) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil || d < time.Millisecond {
		return fmt.Errorf("%q: expected a duration of 1ms or more, such as 800ms, 10s or 2m", text)
	}
	*x = period(d)
	return nil
}

// word is a text that is not empty, "" if it was left out.
type word string

// UnmarshalText implements encoding.TextUnmarshaler.
func (x *word) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New(`found "": leave the flag out if there is nothing to say`)
	}
	*x = word(text)
	return nil
}
