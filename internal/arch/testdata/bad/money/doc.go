// Package money is here to break rules in its other files.
package money
