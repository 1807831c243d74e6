//go:build !later

package payment

// later is one in a program that says it is of the next release (go build -tags later): with it a test sees that this one
// refuses the books of that one.
const later = 0
