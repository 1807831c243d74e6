package book

import (
	"testing"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// A row may lead to another: Touch says whether the first can be read already.
func TestTouchReportsWhetherARowIsAtHand(t *testing.T) {
	r := NewRows(Schema[int64]{Table: "steps", Columns: []string{"next"}})
	old := Key{Tenant: 1, ID: id.ID{15: 7}}
	var want Touch
	if !r.Touch(&want, old) || len(want.missing) != 0 {
		t.Fatal("a new table has every row at hand")
	}
	if r.Get(old) != nil {
		t.Fatal("a new table has no rows")
	}
	r.fresh = old.ID.Time() + 1 // as after a start with tables that hold something
	if r.Touch(&want, old) || len(want.missing) != 1 || want.missing[0].Key != old {
		t.Fatalf("a row that may be in the store is wanted, not %v", want.missing)
	}
	v := int64(8)
	r.install(old, &row[int64]{v: v})
	want.missing = nil
	if !r.Touch(&want, old) || len(want.missing) != 0 || *r.Get(old) != v {
		t.Fatal("a row that was fetched is at hand")
	}
}

// TestB10_LateTablesAreSavedWithPriority: saves are what nobody waits for, until the tables are too far behind.
func TestB10_LateTablesAreSavedWithPriority(t *testing.T) {
	s := &Saver{stand: 5 * clock.Second}
	for at, want := range map[clock.Micros]bool{s.stand: false, s.stand + tooLate: false, s.stand + tooLate + 1: true} {
		sets := []*SaveSet{{At: at}, {At: at - clock.Second}}
		if s.late(sets) != want {
			t.Errorf("tables that stand for %d, with a save of %d: late is %t", s.stand, at, !want)
		}
	}
}
