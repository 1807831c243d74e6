// Package score carries the figures of proofs from the tests that measure them to the scoreboard.
package score
