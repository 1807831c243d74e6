package clock

import "time"

// Pause returns a channel that receives after d of real time. It paces machinery (polling, retrying a database); no
// decision of business may depend on it.
func Pause(d time.Duration) <-chan time.Time { return time.After(d) }

// PauseFunc calls f in a goroutine of its own after d of real time, unless stop is called before: for giving up on
// something that does not answer, which no clock of a platform may hasten. stop reports whether it was in time.
func PauseFunc(d time.Duration, f func()) (stop func() bool) { return time.AfterFunc(d, f).Stop }

// Deadline returns the moment that is d of real time away, for what only takes moments: the deadline of a connection.
func Deadline(d time.Duration) time.Time { return time.Now().Add(d) }
