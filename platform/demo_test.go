package platform

import (
	"net/http"
	"strings"
	"testing"

	"github.com/koban-pay/koban/internal/rpc"
)

// Books that were made with the demo company are a demo for good, and say so; those for production never get
// one.
func TestDemoBooksStayDemo(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.config.Listen = "127.0.0.1:0"
		for _, tenant := range []string{"demo", "none"} {
			r.stop()
			r.config.Tenant = tenant
			r.start()
			if says := r.ask("", "/healthz", "", ""); !strings.Contains(says.body, `"mode":"demo"`) || says.status != http.StatusOK {
				t.Errorf("%s: /healthz says %+v", tenant, says)
			}
			if says := r.ask("", "/metrics", "", "").body; !strings.Contains(says, "\nkoban_demo 1\n") {
				t.Errorf("%s: the metrics do not say that it is a demo", tenant)
			}
			if !r.app.Card.Demo {
				t.Errorf("%s: platform.json does not say that it is a demo", tenant)
			}
		}
		r.stop()
		r.config.Rehearsal = true
		r.refused("a rehearsal on demo books", "--rehearsal")
	})
	real := &rig{t: t, config: Config{
		Data: t.TempDir(), Volumes: 1, MinFree: 1, Tenant: "none",
		Listen: "127.0.0.1:0",
	}}
	real.start()
	if says := real.ask("", "/healthz", "", ""); strings.Contains(says.body, "mode") || real.app.Card.Demo {
		t.Errorf("books for production: %+v", says)
	}
	real.stop()
	real.config.Tenant = "demo"
	real.refused("a demo company in books for production", "--tenant none")
}

// Everybody has a limit, the demo company too: one that no machine reaches by itself.
func TestEverybodyHasALimit(t *testing.T) {
	r := newRig(t, "")
	if n := r.app.ease(rpc.Principal{Tenant: demoTenant}); n != demoEase {
		t.Errorf("a caller of a demo has %d times the rate of others", n)
	}
	real := &App{mode: production}
	if n := real.ease(rpc.Principal{Tenant: demoTenant}); n != 1 {
		t.Errorf("a caller in production has %d times the rate", n)
	}
}
