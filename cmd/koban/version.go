package main

import (
	"fmt"
	"runtime"

	"github.com/koban-pay/koban/internal/version"
)

type versionCmd struct {
	JSON bool `name:"json" help:"Print it as JSON."`
}

// Run prints the version of this program, and what it was built with.
func (x *versionCmd) Run(c *console) error { //nolint:unparam // as every command has it
	if x.JSON {
		printJSON(c.out, map[string]string{
			"version": version.String(), "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
		})
		return nil
	}
	fmt.Fprintf(c.out, "koban %s (%s, %s/%s)\n", version.String(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
