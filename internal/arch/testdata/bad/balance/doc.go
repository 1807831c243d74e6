// Package balance is here to break rules in its other files.
package balance
