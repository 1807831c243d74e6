// Package ledger is one thing. Its charter stands in two files, and one is too many.
package ledger
