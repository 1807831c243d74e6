// Package book is here to break rules in its other files.
package book
