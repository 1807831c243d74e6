package broken

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/koban-pay/koban/proof/sample"
)

// slow is longer than anybody waits.
const slow = 3 * time.Second

// held reports whether the branch of c is on hold, as far as the shop has seen.
func (c *call) held() bool {
	return c.was.Try != nil && !c.was.Refused && !c.was.Cancelled && !c.was.Final
}

func (c *call) same() bool {
	return c.was.Try != nil && c.was.Try.Account == c.q.Account && c.was.Try.Amount == c.q.Amount
}

func (c *call) due(s *shop) bool {
	return c.was.Try.NotAfter != nil && s.now().After(*c.was.Try.NotAfter)
}

// on returns a mistake of one verb.
func on(verb string, wrong func(*shop, *call) *reply) func(*shop, *call) *reply {
	return func(s *shop, c *call) *reply {
		if c.verb != verb || c.bad {
			return nil
		}
		return wrong(s, c)
	}
}

// when returns a mistake that answers what with, if a condition holds.
func when(verb string, is func(*shop, *call) bool, with func(*shop, *call) *reply) func(*shop, *call) *reply {
	return on(verb, func(s *shop, c *call) *reply {
		if !is(s, c) {
			return nil
		}
		return with(s, c)
	})
}

func sayDone(*shop, *call) *reply { return done() }

func sayNo(status int, code string) func(*shop, *call) *reply {
	return func(*shop, *call) *reply { return refuse(status, code) }
}

// locksAgain sets the amount of the call aside once more.
func locksAgain(s *shop, c *call) *reply {
	s.lock(c.q)
	return done()
}

func givesAgain(s *shop, c *call) *reply {
	s.give(c.was.Try.Account, c.was.Try.Amount)
	return done()
}

// mistakes are the ways to be wrong, by the check that is meant to find each.
var mistakes = map[string]func(*shop, *call) *reply{
	"try-sets-aside": on("try", func(s *shop, c *call) *reply {
		out := s.pass(c)
		if out.ok() && c.was.Try == nil {
			s.give(c.q.Account, c.q.Amount)
		}
		return out
	}),
	"confirm-takes": on("confirm", func(s *shop, c *call) *reply {
		out := s.pass(c)
		if out.ok() && len(c.was.Captures) == 0 {
			s.give(c.q.Account, c.q.Amount)
		}
		return out
	}),
	"cancel-lets-go": when("cancel", func(_ *shop, c *call) bool { return c.held() && len(c.was.Captures) == 0 }, sayDone),

	"try-duplicate":         when("try", func(_ *shop, c *call) bool { return c.held() && c.same() && len(c.was.Captures) == 0 }, locksAgain),
	"try-refused-duplicate": when("try", func(_ *shop, c *call) bool { return c.was.Refused && c.q.Branch != "" }, func(s *shop, c *call) *reply { return s.ghost("try", c.q) }),
	"try-other-body":        when("try", func(_ *shop, c *call) bool { return c.held() && c.was.Try.Amount != c.q.Amount }, sayDone),
	"try-other-account":     when("try", func(_ *shop, c *call) bool { return c.held() && c.was.Try.Account != c.q.Account }, sayDone),
	"confirm-duplicate": when("confirm", func(_ *shop, c *call) bool { return c.was.Captures[c.q.Capture] == c.q.Amount.Value && c.was.Final },
		func(s *shop, c *call) *reply {
			s.take(c.q)
			return done()
		}),
	"confirm-other-body": when("confirm", func(_ *shop, c *call) bool {
		first, known := c.was.Captures[c.q.Capture]
		return known && first != c.q.Amount.Value
	}, sayDone),
	"try-after-confirm":        when("try", func(_ *shop, c *call) bool { return c.was.Final }, locksAgain),
	"try-after-try-and-cancel": when("try", func(_ *shop, c *call) bool { return c.was.Cancelled && !c.was.Bare && !c.was.Refused }, locksAgain),
	"cancel-duplicate":         when("cancel", func(_ *shop, c *call) bool { return c.was.Cancelled && c.was.Try != nil && !c.was.Refused }, givesAgain),

	"cancel-empty": when("cancel", func(_ *shop, c *call) bool { return c.was.Try == nil }, sayNo(http.StatusUnprocessableEntity, "not_tried")),
	"try-after-cancel": when("try", func(s *shop, c *call) bool { return c.was.Bare && s.now().Before(*c.q.NotAfter) },
		func(s *shop, c *call) *reply { return s.ghost("try", c.q) }),
	"cancel-refused-try": when("cancel", func(_ *shop, c *call) bool { return c.was.Refused }, sayNo(http.StatusUnprocessableEntity, "not_tried")),
	"cancel-refused-try-elsewhere": when("cancel", func(_ *shop, c *call) bool { return c.was.Refused && c.was.Try.Account != c.q.Account },
		sayNo(http.StatusConflict, "id_reused")),
	"confirm-tombstone-elsewhere": when("confirm", func(_ *shop, c *call) bool { return c.was.Bare && c.was.On != c.q.Account },
		sayNo(http.StatusConflict, "id_reused")),
	"confirm-capture-zero":      when("confirm", func(_ *shop, c *call) bool { return c.q.Capture == 0 }, sayDone),
	"confirm-without-try":       when("confirm", func(_ *shop, c *call) bool { return c.was.Try == nil && !c.was.Bare }, sayNo(http.StatusNotFound, "hold_not_found")),
	"confirm-after-refused-try": when("confirm", func(_ *shop, c *call) bool { return c.was.Refused }, sayDone),
	"confirm-after-cancel":      when("confirm", func(_ *shop, c *call) bool { return c.was.Cancelled && c.was.Try != nil && !c.was.Refused }, sayDone),
	"cancel-after-confirm":      when("cancel", func(_ *shop, c *call) bool { return c.was.Final }, givesAgain),

	"cancel-after-part": when("cancel", func(_ *shop, c *call) bool { return c.held() && len(c.was.Captures) > 0 }, func(s *shop, c *call) *reply {
		rest := c.was.Try.Amount
		rest.Value = c.left()
		s.give(c.q.Account, rest)
		return done()
	}),
	"two-parts": func(s *shop, c *call) *reply {
		root, ok := strings.CutSuffix(c.q.Branch, ".2")
		if !ok {
			return nil
		}
		c.q.Branch = root + ".1"
		return s.passAs(c)
	},
	"other-tenant": func(s *shop, c *call) *reply {
		if c.q.Tenant != 2 || c.verb == "try" {
			return nil
		}
		c.q.Tenant = 1
		return s.passAs(c)
	},
	"long-ids": func(s *shop, c *call) *reply {
		if len(c.q.Branch) != 64 {
			return nil
		}
		c.q.Branch = c.q.Branch[:63]
		return s.passAs(c)
	},

	"try-exact":        when("try", func(s *shop, c *call) bool { return c.was.Try == nil && !c.was.Bare && s.short(c) == 0 }, sayNo(http.StatusPaymentRequired, "insufficient_funds")),
	"try-one-too-many": when("try", func(s *shop, c *call) bool { return c.was.Try == nil && !c.was.Bare && s.short(c) == 1 }, lends),
	"try-counts-holds": when("try", func(s *shop, c *call) bool {
		return c.was.Try == nil && !c.was.Bare && s.short(c) > 0 && s.short(c) <= s.account(c).Held
	}, lends),
	"try-unknown-account": when("try", func(s *shop, c *call) bool {
		return c.q.Account != "" && s.account(c).Currency == "" && len(c.q.Account) <= 64
	}, sayNo(http.StatusServiceUnavailable, "unavailable")),
	"try-other-currency": when("try", func(s *shop, c *call) bool {
		held := s.account(c).Currency
		return held != "" && c.q.Amount.Currency == "USD" && held != "USD"
	}, func(s *shop, c *call) *reply {
		c.q.Amount.Currency = s.account(c).Currency
		return s.send("try", c.q)
	}),
	"confirm-in-part": when("confirm", func(_ *shop, c *call) bool {
		return c.held() && c.q.Final != nil && *c.q.Final && c.left() > c.q.Amount.Value
	},
		func(s *shop, c *call) *reply {
			final := false
			c.q.Final = &final
			return s.passAs(c)
		}),
	"confirm-in-parts": when("confirm", func(_ *shop, c *call) bool {
		_, known := c.was.Captures[c.q.Capture]
		return c.was.Final && !known && !c.was.Cancelled
	}, sayDone),
	"confirm-too-much": when("confirm", func(_ *shop, c *call) bool {
		return c.held() && len(c.was.Captures) == 0 && c.left() < c.q.Amount.Value
	},
		func(s *shop, c *call) *reply {
			s.take(request{Tenant: c.q.Tenant, Account: c.q.Account, Amount: sample.Amount{Currency: c.q.Amount.Currency, Value: c.q.Amount.Value - c.left()}})
			c.q.Amount.Value = c.left()
			return s.passAs(c)
		}),
	"confirm-too-much-in-parts": when("confirm", func(_ *shop, c *call) bool {
		_, known := c.was.Captures[c.q.Capture]
		return c.held() && len(c.was.Captures) > 0 && !known && c.left() < c.q.Amount.Value
	}, sayDone),

	"try-too-late": when("try", func(s *shop, c *call) bool { return c.was.Try == nil && !c.was.Bare && s.now().After(*c.q.NotAfter) },
		func(s *shop, c *call) *reply {
			later := s.now().Add(time.Hour)
			c.q.NotAfter = &later
			return s.passAs(c)
		}),
	"try-long-after-cancel":    when("try", func(s *shop, c *call) bool { return c.was.Bare && s.now().After(*c.q.NotAfter) }, locksAgain),
	"confirm-after-deadline":   when("confirm", func(s *shop, c *call) bool { return c.held() && c.due(s) }, sayNo(http.StatusUnprocessableEntity, "hold_ended")),
	"confirm-after-suspension": when("confirm", func(s *shop, c *call) bool { return s.account(c).Suspended }, sayNo(http.StatusUnprocessableEntity, "account_suspended")),
	"cancel-after-deadline":    when("cancel", func(s *shop, c *call) bool { return c.held() && c.due(s) }, sayNo(http.StatusUnprocessableEntity, "hold_ended")),
	"tombstone-lasts": when("try", func(s *shop, c *call) bool {
		return c.was.Bare && s.now().Sub(c.was.At) > time.Second && s.now().Before(*c.q.NotAfter)
	}, func(s *shop, c *call) *reply { return s.ghost("try", c.q) }),
	"clock-agrees": when("try", func(s *shop, c *call) bool {
		return c.was.Try == nil && !c.was.Bare && s.now().Before(*c.q.NotAfter) && s.now().Add(time.Minute).After(*c.q.NotAfter)
	}, sayNo(http.StatusUnprocessableEntity, "try_too_late")),

	"lost-try": on("try", func(s *shop, c *call) *reply {
		if c.was.Unheard && c.held() {
			return locksAgain(s, c)
		}
		return s.unheard(c)
	}),
	"lost-confirm": on("confirm", func(s *shop, c *call) *reply {
		if c.was.Unheard {
			return refuse(http.StatusUnprocessableEntity, "hold_ended")
		}
		return s.unheard(c)
	}),
	"lost-cancel": on("cancel", func(s *shop, c *call) *reply {
		if c.was.Unheard {
			return refuse(http.StatusUnprocessableEntity, "not_tried")
		}
		return s.unheard(c)
	}),
	"lost-refusal": on("try", func(s *shop, c *call) *reply {
		if c.was.Unheard && c.was.Refused {
			return done()
		}
		return s.unheard(c)
	}),

	"bad-amount": func(_ *shop, c *call) *reply {
		if c.verb == "try" && (c.bad && len(c.raw) > 0 && c.raw[0] == '{' || c.q.Amount.Value <= 0) && c.q.Amount.Currency == "PT" && c.q.Branch != "" {
			return done()
		}
		return nil
	},
	"bad-currency": func(_ *shop, c *call) *reply {
		if c.verb == "try" && c.q.Branch != "" && c.q.Amount.Value == 60 && len(c.q.Amount.Currency) != 2 && c.q.Amount.Currency != "USD" {
			return refuse(http.StatusInternalServerError, "internal_error")
		}
		return nil
	},
	"bad-id": on("try", func(_ *shop, c *call) *reply {
		if len(c.q.Branch) > 64 || len(c.q.Account) > 64 {
			return refuse(http.StatusInternalServerError, "internal_error")
		}
		return nil
	}),
	"bad-member": on("try", func(s *shop, c *call) *reply {
		var all map[string]any
		_ = json.Unmarshal(c.raw, &all) // it was read before
		if _, there := all["limit_per_day"]; there {
			return s.passAs(c)
		}
		return nil
	}),
	"bad-json": func(_ *shop, c *call) *reply {
		if len(c.raw) == 0 || c.bad && c.q.Branch == "" && c.q.Account == "" {
			return refuse(http.StatusInternalServerError, "internal_error")
		}
		return nil
	},

	"answers-in-time": on("confirm", func(s *shop, _ *call) *reply {
		if s.alone() && s.count()%10 == 0 {
			s.pause(slow)
		}
		return nil
	}),
	"answers-in-time-at-once": on("try", func(s *shop, c *call) *reply {
		if s.meet("try of "+c.q.Account) && c.q.Amount.Value == 10 && s.account(c).Available > 4000 {
			s.pause(slow)
		}
		return nil
	}),

	"add-adds": on("add", sayDone),
	"add-duplicate": on("add", func(s *shop, c *call) *reply {
		out := s.pass(c)
		if s.again("add " + c.q.Branch + c.q.Account) {
			s.give(c.q.Account, c.q.Amount)
		}
		return out
	}),
	"add-unknown-account": when("add", func(s *shop, c *call) bool { return s.account(c).Currency == "" }, sayNo(http.StatusNotFound, "account_not_found")),
	"add-other-body": on("add", func(s *shop, c *call) *reply {
		if out := s.pass(c); !out.says("id_reused") {
			return out
		}
		return done()
	}),
}

// lends gives what is missing for a Try, and lets it be done.
func lends(s *shop, c *call) *reply {
	s.give(c.q.Account, sample.Amount{Currency: c.q.Amount.Currency, Value: s.short(c)})
	return s.pass(c)
}

func (s *shop) account(c *call) sample.Account {
	a, _ := s.good.Account(c.q.Account)
	return a
}

// short is how much is missing on the account for c; negative if more is there.
func (s *shop) short(c *call) int64 { return c.q.Amount.Value - s.account(c).Available }

// left is what earlier captures left of the hold.
func (c *call) left() int64 {
	left := c.was.Try.Amount.Value
	for _, v := range c.was.Captures {
		left -= v
	}
	return left
}

// passAs passes c on as it has been changed.
func (s *shop) passAs(c *call) *reply {
	raw, err := json.Marshal(c.q)
	if err != nil {
		panic("broken: " + err.Error())
	}
	c.raw = raw
	return s.pass(c)
}

func (s *shop) alone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inside == 1
}

func (s *shop) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// again reports whether key was seen before.
func (s *shop) again(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, seen := s.parts[key]
	s.parts[key] = &part{}
	return seen
}
