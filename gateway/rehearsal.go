package gateway

import (
	"log/slog"
	"slices"
	"strings"
)

// A platform to rehearse on says so wherever it is met: in every answer's head, in the access log and in /healthz.

// RehearsalHeader is in every answer of a platform to rehearse on, and in no other. It says what is not as in production.
const RehearsalHeader = "Koban-Rehearsal"

const (
	rehearsalPrefix = "koban.rehearsal."
	rehearsalMode   = "rehearsal"
	demoMode        = "demo"
)

// offered returns the routes that there are in this mode. The others do not exist: they are not merely forbidden.
func (c *Config) offered(table []*route) []*route {
	if c.Rehearsal != nil {
		return table
	}
	return slices.DeleteFunc(table, func(r *route) bool { return strings.HasPrefix(r.Method, rehearsalPrefix) })
}

// mark writes the header, as things stand once the request is done.
func (x *exchange) mark() {
	if x.rehearsal != nil {
		x.w.Header()[RehearsalHeader] = []string{x.rehearsal()}
	}
}

// healthy is what /healthz and /readyz say of a platform that serves.
func (g *Gateway) healthy() []byte {
	body := `{"ok":true`
	switch {
	case g.cfg.Rehearsal != nil:
		body += `,"mode":"` + rehearsalMode + `"`
	case g.cfg.Demo:
		body += `,"mode":"` + demoMode + `"`
	}
	if g.standby {
		body += `,"standby":true`
	}
	if g.cfg.Degraded != nil {
		if wrong := g.cfg.Degraded(); len(wrong) > 0 {
			body += `,"degraded":["` + strings.Join(wrong, `","`) + `"]`
		}
	}
	if g.cfg.Version != "" {
		body += `,"version":` + quote(g.cfg.Version)
	}
	return []byte(body + "}\n")
}

// mode returns the mode for the access log; in production there is nothing to say.
func (g *Gateway) mode() slog.Attr {
	if g.cfg.Rehearsal != nil {
		return slog.String("mode", rehearsalMode)
	}
	return slog.Attr{}
}
