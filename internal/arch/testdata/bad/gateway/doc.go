// Package gateway is here to break rules in its other files.
package gateway
