// Package chaos kills a running platform again and again while clients use it, and judges what is left by what the
// platform had acknowledged.
//
// The platform is the real binary, a process of its own, spoken to over REST. Clients write every request into a log
// before they send it, and every answer when it has come (record.go); the log is outside of the platform's folder and is
// all that the judge believes (judge.go). A run (run.go) is a sequence of lives: the platform starts, clients work
// (client.go), SIGKILL ends it at a moment drawn by lot or at the instant when a payment's decision is durable and no
// participant was asked to confirm yet.
//
// What must hold: an acknowledged answer stays true and is repeated byte for byte; one key has one effect; every account
// is what the acknowledged payments make of it; nothing is unfinished 60 seconds after a start; the books are right.
package chaos
