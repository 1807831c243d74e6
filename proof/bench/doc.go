// Package bench measures what this machine can do: whole payments in process and through the REST API, and transfers of
// the bare ledger, each beside a bound, a short loop that writes the same rows and bytes without doing the work.
//
// Everything runs in a temporary folder, or a temporary database, that is removed afterwards. A figure counts when the
// books it left behind verify; docs/reference/benchmarks.md says how to read one.
package bench
