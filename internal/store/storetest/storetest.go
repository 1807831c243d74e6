// Package storetest runs tests on every database that the platform supports.
package storetest

import (
	"testing"

	"github.com/koban-pay/koban/internal/store"
)

// Each runs fn once on SQLite and once on PostgreSQL. open returns the database of that name, new and empty the first
// time; opening a name again gives a second, independent handle on the same database.
func Each(t *testing.T, fn func(t *testing.T, open func(name string) *store.DB)) { panic("skeleton") }
