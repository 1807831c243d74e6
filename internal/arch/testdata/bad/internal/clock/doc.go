// Package clock is here to break rules in its other files.
package clock
