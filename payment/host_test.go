package payment

import "testing"

// TestCrewsListStaysSmallUnderLoad: the list is as long as what is left to do, also if it is never empty.
func TestCrewsListStaysSmallUnderLoad(t *testing.T) {
	const backlog = 1000
	var c crew
	c.working = 1 << 20 // nobody else takes
	for range backlog {
		c.do(func() {})
	}
	var mine [atOnce]task
	for range 100_000 {
		for range atOnce {
			c.do(func() {})
		}
		if n := c.take(mine[:]); n != atOnce {
			t.Fatalf("%d were taken", n)
		}
	}
	if len(c.todo)-c.taken != backlog || cap(c.todo) > 8*(backlog+maxTaken) {
		t.Errorf("%d of %d are left to do, in a list that has room for %d", len(c.todo)-c.taken, backlog, cap(c.todo))
	}
	left := 0
	for n := c.take(mine[:]); n > 0; n = c.take(mine[:]) {
		left += n
	}
	if left != backlog {
		t.Errorf("%d of %d were taken in the end", left, backlog)
	}
}
