package book

import (
	"testing"

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
