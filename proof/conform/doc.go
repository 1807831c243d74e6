// Package conform puts a participant behind a wire before the conformance kit, and tells what was asked, what came back,
// why it matters and what to change.
package conform
