// Package clock is the only source of time: microseconds since 1970, UTC, as an input like any other.
package clock
