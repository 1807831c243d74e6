// Package version says which program this is.
package version
