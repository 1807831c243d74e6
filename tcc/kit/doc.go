// Package kit is the conformance kit of the Try–Confirm–Cancel contract: what every participant must survive, as
// checks that any implementation can be put before, in process or behind a network.
//
// A participant's own test is one call:
//
//	func TestConformance(t *testing.T) { kit.Run(t, newFixture) }
//
// Whoever wants results instead of a test calls Examine. The kit imports no testing package, so that a program can
// offer it to people who write participants in another language.
package kit
