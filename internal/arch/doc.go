// Package arch holds the shape of this repository as tests: floors, files, clocks, floats, words.
//
// It has no code of its own. Each rule is a function over the parsed tree that returns findings, and each finding says
// what to do. The rules run twice: over the repository, where nothing may be found, and over testdata/bad, a tree of
// small offences whose lines are marked "// want <rule>", where exactly those must be found. So a rule that stops
// seeing fails as loudly as code that breaks it.
//
// Whoever adds a package adds it to a floor (floors_test.go). Whoever needs an exception adds it to the rule, with
// the reason beside it.
package arch
