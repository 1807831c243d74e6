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

func (g *Gateway) healthy() []byte {
	if g.cfg.Rehearsal != nil {
		return []byte(`{"ok":true,"mode":"` + rehearsalMode + `"}` + "\n")
	}
	return []byte(`{"ok":true}` + "\n")
}

// mode returns the mode for the access log; in production there is nothing to say.
func (g *Gateway) mode() slog.Attr {
	if g.cfg.Rehearsal != nil {
		return slog.String("mode", rehearsalMode)
	}
	return slog.Attr{}
}
