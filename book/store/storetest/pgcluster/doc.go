// Command pgcluster runs a command with a PostgreSQL server for its tests: it starts one, sets KOBAN_TEST_PG to its URL,
// runs the command and stops the server, whatever becomes of the command. It exits as the command does.
//
//	go run ./book/store/storetest/pgcluster -- go test ./...
package main
