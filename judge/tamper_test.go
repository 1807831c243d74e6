package judge_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/book/journal"
	balancev1 "github.com/koban-pay/koban/gen/koban/balance/journal/v1"
	codev1 "github.com/koban-pay/koban/gen/koban/code/journal/v1"
	feedv1 "github.com/koban-pay/koban/gen/koban/feed/journal/v1"
	paymentv1 "github.com/koban-pay/koban/gen/koban/payment/journal/v1"
	pointsv1 "github.com/koban-pay/koban/gen/koban/points/journal/v1"
	"github.com/koban-pay/koban/internal/attic"
	"github.com/koban-pay/koban/judge"
	"github.com/koban-pay/koban/ledger"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/payment"
)

// change has the first event of a type in a book say something else, where edit reports that it has changed it.
func change[M proto.Message](name string, typ uint32, m M, edit func(M) bool) func(*testing.T, []*journal.Block) []*journal.Block {
	return func(t *testing.T, blocks []*journal.Block) []*journal.Block {
		t.Helper()
		for _, b := range blocks {
			for i := range b.Events {
				if b.Book != name || b.Events[i].Type != typ {
					continue
				}
				if err := proto.Unmarshal(b.Events[i].Body, m); err != nil {
					t.Fatal(err)
				}
				if !edit(m) {
					continue
				}
				body, err := proto.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				b.Events[i].Body = body
				return blocks
			}
		}
		t.Fatalf("%s has no such event", name)
		return nil
	}
}

// again has the first event of a type in a book stand there twice.
func again(name string, typ uint32) func(*testing.T, []*journal.Block) []*journal.Block {
	return func(t *testing.T, blocks []*journal.Block) []*journal.Block {
		t.Helper()
		for _, b := range blocks {
			for _, e := range b.Events {
				if b.Book == name && e.Type == typ {
					b.Events = append(b.Events, e)
					return blocks
				}
			}
		}
		t.Fatalf("%s has no such event", name)
		return nil
	}
}

// againLast is again of the last event.
func againLast(name string, typ uint32) func(*testing.T, []*journal.Block) []*journal.Block {
	return func(t *testing.T, blocks []*journal.Block) []*journal.Block {
		t.Helper()
		for i := len(blocks) - 1; i >= 0; i-- {
			for _, e := range blocks[i].Events {
				if blocks[i].Book == name && e.Type == typ {
					blocks[i].Events = append(blocks[i].Events, e)
					return blocks
				}
			}
		}
		t.Fatalf("%s has no such event", name)
		return nil
	}
}

// without drops the first event of a type in a book.
func without(name string, typ uint32) func(*testing.T, []*journal.Block) []*journal.Block {
	return func(t *testing.T, blocks []*journal.Block) []*journal.Block {
		t.Helper()
		for _, b := range blocks {
			for i, e := range b.Events {
				if b.Book == name && e.Type == typ {
					b.Events = append(b.Events[:i:i], b.Events[i+1:]...)
					return blocks
				}
			}
		}
		t.Fatalf("%s has no such event", name)
		return nil
	}
}

// TestWrongDayIsFound changes one thing of a day that was right. The judge must say which rule that breaks.
func TestWrongDayIsFound(t *testing.T) {
	always := func(f func()) bool { f(); return true }
	for name, tc := range map[string]struct {
		invariant string
		wrong     func(*testing.T, []*journal.Block) []*journal.Block
	}{
		"taken on another day than the payment's": {"X3", change("balance/00", 22, &balancev1.Confirmed{}, func(m *balancev1.Confirmed) bool {
			return always(func() { m.EffectiveAt += 86_400_000_000 })
		})},
		"captured on another day than it was taken": {"X3", change("payment/00", 19, &paymentv1.Decided{}, func(m *paymentv1.Decided) bool {
			m.EffectiveAt += 86_400_000_000
			return m.Cause == uint32(payment.ByCapture)
		})},
		"one yen more is taken than given": {"I1", change("balance/00", 22, &balancev1.Confirmed{}, func(m *balancev1.Confirmed) bool {
			return always(func() { m.Legs[0].Amount++ })
		})},
		"a leg of nothing": {"I1", change("balance/00", 18, &balancev1.Credited{}, func(m *balancev1.Credited) bool {
			return always(func() { m.Legs = append(m.Legs, &balancev1.Leg{Account: m.Account}) })
		})},
		"an opening that moves one yen less": {"I3", change("balance/00", 16, &balancev1.AccountOpened{}, func(m *balancev1.AccountOpened) bool {
			if len(m.Legs) != 2 {
				return false
			}
			m.Legs[0].Amount--
			m.Legs[1].Amount--
			return true
		})},
		"a confirm that takes less than it says": {"I3", change("balance/00", 22, &balancev1.Confirmed{}, func(m *balancev1.Confirmed) bool {
			return always(func() { m.Legs[0].Amount--; m.Legs[1].Amount-- })
		})},
		"an account that was never opened": {"I3", without("points/00", 16)},
		"more is held than there is": {"I4", change("balance/00", 20, &balancev1.Held{}, func(m *balancev1.Held) bool {
			return always(func() { m.Amount += 1_000_000 })
		})},
		"a hold that was let go in part": {"I6", change("balance/00", 23, &balancev1.Cancelled{}, func(m *balancev1.Cancelled) bool {
			m.Released--
			return m.Released > 0
		})},
		"a block is missing": {"I7", func(_ *testing.T, blocks []*journal.Block) []*journal.Block {
			return append(blocks[:3:3], blocks[4:]...)
		}},
		"another currency": {"I8", change("balance/00", 24, &balancev1.Added{}, func(m *balancev1.Added) bool {
			m.Currency = 840
			return len(m.Legs) > 0
		})},
		"captured without a way": {"I10", change("payment/00", 17, &paymentv1.Advanced{}, func(m *paymentv1.Advanced) bool {
			m.Standing.Status = uint32(payment.Voided)
			return m.Standing.Resource == uint32(payment.WorkInProgress)
		})},
		"moved after its end":        {"I10", againLast("payment/00", 17)},
		"one part is not taken":      {"I11", without("points/00", 23)},
		"taken twice":                {"I12", again("balance/00", 22)},
		"tried twice":                {"I12", again("points/00", 21)},
		"one yen more than was said": {"I12", change("balance/00", 20, &balancev1.Held{}, func(m *balancev1.Held) bool { return always(func() { m.Amount++ }) })},
		"cancelled, and nothing let go": {"I13", change("balance/00", 21, &balancev1.TryRefused{}, func(m *balancev1.TryRefused) bool {
			return always(func() { m.Branch[15]++ }) // the refusal is another part's
		})},
		"a Try after its Cancel": {"I14", func(t *testing.T, blocks []*journal.Block) []*journal.Block {
			t.Helper()
			for _, b := range blocks {
				for i, e := range b.Events {
					if b.Book == "points/00" && e.Type == 21 {
						var m pointsv1.Tried
						if err := proto.Unmarshal(e.Body, &m); err != nil {
							t.Fatal(err)
						}
						body, err := proto.Marshal(&pointsv1.Cancelled{Tenant: m.Tenant, Branch: m.Branch, Account: m.Account})
						if err != nil {
							t.Fatal(err)
						}
						b.Events = append(b.Events[:i:i], append([]journal.Event{{Type: 24, Body: body}}, b.Events[i:]...)...)
						return blocks
					}
				}
			}
			t.Fatal("no Try")
			return nil
		}},
		"a Try that came too late, on a balance": {"I14", change("balance/00", 20, &balancev1.Held{}, func(m *balancev1.Held) bool { return always(func() { m.NotAfter = 1 }) })},
		"a Try that came too late, on points":    {"I14", change("points/00", 21, &pointsv1.Tried{}, func(m *pointsv1.Tried) bool { return always(func() { m.NotAfter = 1 }) })},
		"a Try that came too late, on a session": {"I14", change("code/00", 19, &codev1.Tried{}, func(m *codev1.Tried) bool { return always(func() { m.NotAfter = 1 }) })},
		"an operator brings in more than can be counted": {"BL8", change("balance/00", 18, &balancev1.Credited{}, func(m *balancev1.Credited) bool {
			return always(func() {
				m.Amount += money.MaxWire / 2
				m.Legs[0].Amount, m.Legs[1].Amount = m.Legs[0].Amount+money.MaxWire/2, m.Legs[1].Amount+money.MaxWire/2
			})
		})},
		"a suspended account pays": {"BL7", func(t *testing.T, blocks []*journal.Block) []*journal.Block {
			t.Helper()
			for _, b := range blocks {
				for i, e := range b.Events {
					var m balancev1.Held
					if b.Book != "balance/00" || e.Type != 20 {
						continue
					}
					if err := proto.Unmarshal(e.Body, &m); err != nil {
						t.Fatal(err)
					}
					body, err := proto.Marshal(&balancev1.StatusChanged{Tenant: m.Tenant, Account: m.Account, Status: balancev1.Status(ledger.NoOut)})
					if err != nil {
						t.Fatal(err)
					}
					b.Events = append(b.Events[:i:i], append([]journal.Event{{Type: 17, Body: body}}, b.Events[i:]...)...)
					return blocks
				}
			}
			t.Fatal("nobody holds anything")
			return nil
		}},
		"points of a lot that has expired": {"P6", func(t *testing.T, blocks []*journal.Block) []*journal.Block {
			t.Helper()
			for _, b := range blocks {
				for i := range b.Events {
					var m pointsv1.Granted
					if e := &b.Events[i]; b.Book == "points/00" && e.Type == 17 {
						if err := proto.Unmarshal(e.Body, &m); err != nil {
							t.Fatal(err)
						}
						m.Lot.ExpiresAt = 1
						body, err := proto.Marshal(&m)
						if err != nil {
							t.Fatal(err)
						}
						e.Body = body
					}
				}
			}
			return blocks
		}},
		"another customer's session": {"C4", change("code/00", 17, &codev1.SessionOpened{}, func(m *codev1.SessionOpened) bool {
			return always(func() { m.Customer[9]++ })
		})},
		"a writer that does not raise the epoch": {"I7", func(_ *testing.T, blocks []*journal.Block) []*journal.Block {
			last := blocks[len(blocks)-1]
			last.Events = append(last.Events, journal.Event{Type: 1})
			return blocks
		}},
		"taken before it was decided": {"I16", change("payment/00", 17, &paymentv1.Advanced{}, func(m *paymentv1.Advanced) bool {
			m.Standing.Decision = uint32(payment.Cancel)
			return m.Standing.Status == uint32(payment.Captured)
		})},
		"a refund of more than was captured": {"I18", change("payment/00", 16, &paymentv1.Started{}, func(m *paymentv1.Started) bool {
			if len(m.Parent) == 0 {
				return false
			}
			m.Sources[0].Amount += 1_000_000
			return true
		})},
		"a key that is bound twice": {"I21", again("balance/00", 18)},
		"an event of another version": {"I24", func(_ *testing.T, blocks []*journal.Block) []*journal.Block {
			blocks[5].Events = append(blocks[5].Events, journal.Event{Type: 99})
			return blocks
		}},
		"a feed that skips a number": {"I25", change("payment.feed/00", 16, &feedv1.Sequenced{}, func(m *feedv1.Sequenced) bool {
			if len(m.Steps[0].Runs) == 0 {
				return false
			}
			m.Steps[0].Runs[0].First++
			return true
		})},
		"a feed that followed another block": {"I25", change("payment.feed/00", 16, &feedv1.Sequenced{}, func(m *feedv1.Sequenced) bool {
			return always(func() { m.Steps[0].Hash[7]++ })
		})},
		"points of a lot that is not there": {"P3", change("points/00", 21, &pointsv1.Tried{}, func(m *pointsv1.Tried) bool {
			return always(func() { m.Lots[0].Lot += 50 })
		})},
		"points out of nowhere": {"P1", change("points/00", 21, &pointsv1.Tried{}, func(m *pointsv1.Tried) bool {
			return always(func() { m.Lots[0].Amount++ })
		})},
		"more points return than were taken": {"P4", change("points/00", 25, &pointsv1.Added{}, func(m *pointsv1.Added) bool {
			if len(m.Back) == 0 {
				return false
			}
			m.Back[0].Amount += 100_000
			return true
		})},
		"a session that is used twice": {"C1", again("code/00", 21)},
		"a shop number that is left out": {"C5", change("code/00", 16, &codev1.ShopRegistered{}, func(m *codev1.ShopRegistered) bool {
			return always(func() { m.Number++ })
		})},
		"taken and never added":         {"X1", without("balance/00", 24)},
		"points paid, and not redeemed": {"X2", without("points/00", 23)},
	} {
		t.Run(name, func(t *testing.T) {
			files := attic.New(t.TempDir(), 4<<10)
			defer files.Close()
			for _, c := range []judge.Config{{}, {Keep: 1, Full: 1, Remember: 1 << 20, Attic: files, InUse: 1, Deep: true}} {
				b := newBench(c)
				for _, x := range sideBySide(tc.wrong(t, day(t))) {
					b.Block(x)
					if c.Deep {
						b.Tidy()
					}
				}
				b.Cut()
				b.Sums()
				b.Bound()
				found := map[string]int{}
				for _, v := range b.found {
					found[v.Invariant]++
				}
				if found[tc.invariant] == 0 {
					t.Errorf("%s was not found, in files %t; found are %v", tc.invariant, c.Deep, found)
				}
			}
		})
	}
}
