package version

import (
	"runtime/debug"
	"sync"
)

// set is what the build was told: make build gives it the tag and commit (-ldflags -X).
var set string

// String returns the version of this program: what the build was told, else the module's version and the commit that the
// compiler noted, else "devel".
var String = sync.OnceValue(func() string {
	if set != "" {
		return set
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "devel-" + s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
})
