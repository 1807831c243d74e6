package storm

import (
	"bytes"
	"flag"
	"fmt"
	"sync"
	"testing"

	"github.com/koban-pay/koban/proof/chaos"
)

var signups = flag.Int("signups", 400, "how many customers TestRestartAmidSignUps signs up, on each store")

// TestRestartAmidSignUps kills the platform in the middle of a storm of sign-ups, when every block that is replayed has opened
// accounts and bound keys. It comes back, every customer who was told so is there once, and says the same under the same key.
func TestRestartAmidSignUps(t *testing.T) {
	everywhere(t, func(w *town) {
		told := make([][]byte, *signups)
		var crew sync.WaitGroup
		half := make(chan struct{})
		var once sync.Once
		signUp := func(i int) {
			q := chaos.Request{
				As: chaos.Operator, Path: "/v1/customers", Key: fmt.Sprintf("sign-up-%d", i),
				Body: object{"balance": yen(1000), "points": object{"currency": "PT", "value": 50}}.text(),
			}
			a, _, err := w.line.Settle(w.ctx, q, nil)
			switch {
			case err != nil || a.Status != 201:
				w.t.Errorf("sign-up %d: %d %s %v", i, a.Status, a.Body, err)
			case told[i] == nil:
				told[i] = a.Body
			case !bytes.Equal(told[i], a.Body):
				w.t.Errorf("sign-up %d was answered with %s, and then with %s", i, told[i], a.Body)
			}
			if i >= *signups/2 {
				once.Do(func() { close(half) })
			}
		}
		crew.Go(func() { each(*signups, signUp) })
		<-half
		w.restart()
		w.t.Logf("ready %v after kill -9 amid %d sign-ups", w.now.Ready, *signups)
		crew.Wait()
		w.restart()
		each(*signups, signUp)
		w.line.Lead(nil)
		if err := w.now.Stop(w.ctx); err != nil {
			w.t.Fatal(err)
		}
		wrong, err := w.program.Verify(w.ctx, w.program.Path)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, x := range wrong {
			w.t.Errorf("verify: %s", x)
		}
	})
}
