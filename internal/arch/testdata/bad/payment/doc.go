// Package payment is here to break rules in its other files.
package payment
