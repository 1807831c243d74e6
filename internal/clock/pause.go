package clock

import "time"

// Pause returns a channel that receives after d of real time. It paces machinery (polling, retrying a database); no
// decision of business may depend on it.
func Pause(d time.Duration) <-chan time.Time { return time.After(d) }
