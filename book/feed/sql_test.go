package feed

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/booktest"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/book/store/storetest"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// stored is a world on databases.
func stored(t testing.TB, record, state *store.DB) *world {
	t.Helper()
	log, err := journal.Open(context.Background(), record)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := OpenState(context.Background(), state)
	if err != nil {
		t.Fatal(err)
	}
	return &world{log: log, state: func() book.State { return tables }, clk: clock.NewManual(booktest.Start)}
}

func TestFeedOnBothEngines(t *testing.T) {
	storetest.Each(t, func(t *testing.T, open func(string) *store.DB) {
		w := stored(t, open("journal"), open("shop_feed"))
		p := w.start(t, true)
		want := p.talk("first", 60)
		p.say(0, many(1, 700)...) // several pages
		for tenant, list := range want {
			if tenant == 1 {
				for i := range 700 {
					list = append(list, fmt.Sprintf("r v0 %d", i))
				}
			}
			want[tenant] = p.texts(tenant, len(list))
			sameOrderPerVolume(t, want[tenant], list)
		}
		p.stop()

		p = w.start(t, false)
		p.say(1, said{1, false, "unfollowed v1"})
		p.stop()
		want[1] = append(want[1], "unfollowed v1")

		p = w.start(t, true)
		want = merge(want, p.talk("second", 20))
		for tenant, list := range want {
			got := p.texts(tenant, len(list))
			sameOrderPerVolume(t, got, list)
			want[tenant] = got
		}
		p.stop()

		rebuilt := stored(t, open("journal"), open("shop_feed_rebuilt"))
		p = rebuilt.start(t, true)
		for tenant, list := range want {
			if got := p.texts(tenant, len(list)); !slices.Equal(got, list) {
				t.Errorf("tenant %d: rebuilt tables give other numbers", tenant)
			}
		}
		p.stop()
		if d := cmp.Diff(dump(t, w), dump(t, rebuilt)); d != "" {
			t.Errorf("rebuilt tables differ (-want +got):\n%s", d)
		}
	})
}

func many(tenant id.Tenant, n int) []said {
	out := make([]said, n)
	for i := range out {
		out[i] = said{tenant, false, fmt.Sprintf("r v0 %d", i)}
	}
	return out
}

// dump lists every row of the tables, after everything was saved.
func dump(t *testing.T, w *world) (out []string) {
	t.Helper()
	ctx := context.Background()
	m := NewMachine()
	state := w.state().(*book.SQLState)
	core, err := book.Recover(ctx, BookName("shop"), 0, m, w.log, state)
	if err != nil {
		t.Fatal(err)
	}
	if err := book.SaveNow(ctx, core, state); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ table, column string }{{"feed_positions", "hash"}, {"feed_counters", "id"}, {"feed_pages", "places"}} {
		err := state.DB().Read(ctx, func(tx *sql.Tx) error {
			rows, err := tx.QueryContext(ctx, "SELECT tenant, volume, id, "+c.column+" FROM "+c.table+" ORDER BY tenant, volume, id")
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var tenant, volume int64
				var id, value []byte
				if err := rows.Scan(&tenant, &volume, &id, &value); err != nil {
					return err
				}
				out = append(out, fmt.Sprintf("%s %d %d %x %x", c.table, tenant, volume, id, value))
			}
			return rows.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}
