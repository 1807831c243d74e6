//go:build planted

package planted

import "os"

// Bug is the bug that this program has: the one that KOBAN_PLANTED names, none without it. The simulator's tests change it
// between one run and the next.
var Bug = known(os.Getenv("KOBAN_PLANTED"))

// known panics where there is no such bug: a control that is not there proves nothing.
func known(name string) string {
	if name == "" {
		return ""
	}
	for _, e := range List() {
		if e.Bug == name {
			return name
		}
	}
	panic("planted: there is no bug " + name + "; internal/planted/planted.txt lists them")
}
