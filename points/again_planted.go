//go:build planted

package points

import "github.com/koban-pay/koban/internal/planted"

// oneHold lets a second hold take the place of the first, whose points stay set aside.
func oneHold(b *Branch) {
	if planted.Bug == planted.TryHoldsTwice {
		*b = Branch{}
	}
}
