// Package id makes identifiers: 16 bytes that sort by time, name a slot, and cannot be guessed; and their public text.
package id
