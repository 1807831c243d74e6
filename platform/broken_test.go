package platform

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/koban-pay/koban/book/store"
)

// A disk that fails under a checkpoint, or under a save of any table, ends the process: nobody waits for them, so nobody
// would hear of it.
func TestFailedCheckpointEndsTheProcess(t *testing.T) {
	c := Config{Data: t.TempDir(), Tenant: "none", Volumes: 1, MinFree: 1}
	broken := map[string]func(error){}
	var mu sync.Mutex // tables are opened side by side
	c.edit = func(name string, c *store.Config) {
		mu.Lock()
		defer mu.Unlock()
		broken[name] = c.Broken
	}
	var told []error
	c.Fatal = func(err error) { told = append(told, err) }
	a, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close(t.Context())
	names := []string{journalName}
	for _, k := range catalog() {
		names = append(names, k.name, k.name+feedSuffix)
	}
	if len(broken) != len(names) {
		t.Errorf("%d databases are open, expected %v", len(broken), names)
	}
	for _, name := range names {
		tell := broken[name]
		if tell == nil {
			t.Errorf("nobody would hear of a checkpoint of %s that failed", name)
			continue
		}
		told = nil
		a.failed.Store(nil)
		tell(&store.MovedError{Path: name})
		var cause *store.MovedError
		if len(told) != 1 || !errors.As(told[0], &cause) || cause.Path != name || !strings.Contains(told[0].Error(), "start again") {
			t.Errorf("a checkpoint of %s failed, and the process was told to end for %v", name, told)
		}
		if a.Ready(t.Context()) == nil {
			t.Errorf("the platform is ready although %s has failed", name)
		}
	}
}
