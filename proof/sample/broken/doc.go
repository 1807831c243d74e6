// Package broken has participants that are wrong in one way each: the sample participant behind something that changes
// what it is asked, does or answers. Each is named after the check that is meant to find it, and shows that it does.
package broken
