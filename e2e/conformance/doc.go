// Package conformance puts Koban's own participants, and the kit that others use, to the test over a real wire.
package conformance
