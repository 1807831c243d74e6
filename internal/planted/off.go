//go:build !planted

package planted

// Bug is none: the constant makes the compiler leave out what asks for one.
const Bug = ""
