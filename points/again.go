//go:build !planted

package points

// oneHold: a branch holds once (I12). Its twin, which a planted bug breaks, is in again_planted.go.
func oneHold(*Branch) {}
