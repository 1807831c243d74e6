// Package wiretest tries decoders of what is stored for ever: what a later version may have written, and whether a
// version says so when it writes more than the last one.
package wiretest
