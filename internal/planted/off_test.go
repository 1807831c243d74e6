//go:build !planted

package planted

// An ordinary build has no bug: this does not compile where Bug is a variable, or anything but the empty string.
var _ [0]struct{} = [len(Bug)]struct{}{}
