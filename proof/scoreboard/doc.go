// Command scoreboard runs every proof of Koban, one after another, and keeps the score in docs/scoreboard.
//
// A part is a make target. The tests that it runs report their figures by internal/score; this command collects them,
// adds what no test can say about itself (a part that failed, took too long, or stayed silent; how many controls failed
// as they must), and holds the figures of a full run to those that Koban has promised (goals.go).
//
//	scoreboard              the full sizes
//	scoreboard --ci         the sizes of make test
//	scoreboard --only a,b   some parts, by their names or by the names of their lines
//	scoreboard --render     draw docs/scoreboard anew from its history
//	scoreboard --from FILE  print lines that were collected elsewhere
package main
