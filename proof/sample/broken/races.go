package broken

import (
	"maps"
	"net/http"
)

// races are mistakes that show only where two calls are here at the same time.
var races = map[string]func(*shop, *call) *reply{
	"try-duplicate-at-once": on("try", func(s *shop, c *call) *reply {
		if c.was.Try == nil && !c.was.Bare && s.meet("try "+c.q.Branch) && s.again("met try "+c.q.Branch) {
			return locksAgain(s, c)
		}
		return nil
	}),
	"try-last-units": on("try", func(s *shop, c *call) *reply {
		met := s.meet("account " + c.q.Account)
		out := s.pass(c)
		if met && out.says("insufficient_funds") {
			return refuse(http.StatusConflict, "in_progress")
		}
		return out
	}),
	"try-no-overdraw": on("try", func(s *shop, c *call) *reply {
		met := s.meet("account " + c.q.Account)
		out := s.pass(c)
		if met && out.says("insufficient_funds") {
			s.give(c.q.Account, c.q.Amount)
			return s.lock(c.q)
		}
		return out
	}),
	"confirm-duplicate-at-once": on("confirm", func(s *shop, c *call) *reply {
		met := s.meet("confirm " + c.q.Branch)
		out := s.pass(c)
		if met && out.ok() && s.again("met confirm "+c.q.Branch) {
			s.take(c.q)
		}
		return out
	}),
	"cancel-duplicate-at-once": on("cancel", func(s *shop, c *call) *reply {
		met := s.meet("cancel " + c.q.Branch)
		out := s.pass(c)
		if met && out.ok() && c.was.Try != nil && s.again("met cancel "+c.q.Branch) {
			return givesAgain(s, c)
		}
		return out
	}),
	"confirm-or-cancel": func(s *shop, c *call) *reply {
		if c.verb != "confirm" && c.verb != "cancel" || c.bad || !c.held() || !s.meet("end "+c.q.Branch) {
			return nil
		}
		if out := s.pass(c); !out.says("already_cancelled") && !out.says("already_confirmed") {
			return out
		}
		return done()
	},
	"try-and-cancel": func(s *shop, c *call) *reply {
		if c.verb != "try" && c.verb != "cancel" || c.bad || c.was.Try != nil || c.was.Bare || !s.meet("begin "+c.q.Branch) {
			return nil
		}
		out := s.pass(c)
		if c.verb == "try" {
			return locksAgain(s, c)
		}
		return out
	},
	"add-duplicate-at-once": on("add", func(s *shop, c *call) *reply {
		met := s.meet("add " + c.q.Branch)
		out := s.pass(c)
		if met && out.ok() && s.again("met add "+c.q.Branch) {
			s.give(c.q.Account, c.q.Amount)
		}
		return out
	}),
}

// all returns the mistakes of both kinds.
func all() map[string]func(*shop, *call) *reply {
	out := maps.Clone(mistakes)
	maps.Copy(out, races)
	return out
}
