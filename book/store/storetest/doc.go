// Package storetest runs tests on every database that the platform supports: SQLite in a directory of the test, and a
// real PostgreSQL that it starts by itself.
//
// PostgreSQL is looked for in PATH and in /usr/lib/postgresql. A test fails where there is none. With KOBAN_TEST_PG set
// to the URL of a running server (of a role that may create databases) that one is used, and none is started:
//
//	go run ./book/store/storetest/pgcluster -- go test ./...
package storetest
