// Package stray stands on no floor, which is what is wrong with it.
package stray // want floor
