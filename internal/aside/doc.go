// Package aside runs work that nobody waits for on threads of its own with low priority, so that work which somebody waits
// for never waits for a core because of it.
package aside
