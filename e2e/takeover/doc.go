// Package takeover takes a running platform away from its clients, or its store away from the platform, and judges by
// what was acknowledged: nothing may be lost, doubled, changed or stuck.
//
// Clients, acknowledgement log and judge are those of package chaos. What happens to a life is this package's:
//
//   - the leader is stopped by SIGSTOP while another process waits on the same PostgreSQL (stopped_test.go);
//   - the only process, on SQLite, is stopped, and goes on or never wakes up (paused_test.go);
//   - PostgreSQL restarts, in order or at once, and ends sessions at work (restart_test.go, postgres_test.go);
//   - the connection is cut right after COMMIT was sent, so that nobody knows whether it was done (cut_test.go,
//     wire_test.go).
//
// Each has a control that must lose: a platform that answers before it commits, or a connection that says "committed" and
// never passed it on.
package takeover
