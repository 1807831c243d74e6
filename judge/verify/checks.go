package verify

import (
	"bytes"
	"context"
	"hash/maphash"
	"slices"

	"github.com/koban-pay/koban/balance"
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/code"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/points"
	"github.com/koban-pay/koban/tcc/branch"
)

// checks holds one volume of the rebuilt tables to what its service says of its own rows. The service's Check wants all rows
// that belong together in memory: a group of rows at a time is put there, with those that they refer to.
type checks struct {
	*shelf
	v    *volume
	m    book.Machine
	core *book.Core
}

// check holds the rebuilt rows of a volume, at the cut, to the rules of their service.
func (s *shelf) check(ctx context.Context, v *volume) error {
	m := s.Machine(v.n)
	c := &checks{shelf: s, v: v, m: m, core: book.NewCore(v.name, v.n, m)}
	switch s.Name {
	case Balance:
		return c.holds("balance_branches", "balance_accounts")
	case Points:
		return c.holds("points_branches", "points_accounts")
	case Code:
		return c.sessions()
	case Payment:
		return c.keys()
	}
	if of, ok := isFeed(s.Name); ok {
		return c.followed(ctx, of)
	}
	return nil
}

// groupRows is how many rows are in memory at once, but for those that they refer to.
const groupRows = 2000

// table returns a table of the machine.
func (c *checks) table(name string) book.Table {
	list := c.m.Tables()
	return list[slices.IndexFunc(list, func(t book.Table) bool { return book.TableName(t) == name })]
}

// column returns the place of a column in a row of a table.
func (c *checks) column(table, column string) int {
	return slices.Index(book.ColumnsOf(c.table(table)), column)
}

// put puts a row into memory; row is nil if there is none.
func (c *checks) put(table string, key, row []byte) error {
	k, _ := keyOf(key)
	t := c.table(table)
	w := book.Want{Table: t, Key: k}
	if row == nil {
		c.core.Install(w, nil)
		return nil
	}
	raw, err := book.RowOf(t, unpack(row))
	if err == nil {
		c.core.Install(w, raw)
	}
	return err
}

// fetch puts the row that another refers to into memory.
func (c *checks) fetch(table string, tenant id.Tenant, x []byte) error {
	k := book.Key{Tenant: tenant}
	copy(k.ID[:], x)
	key := rowKey(k, noDay)
	row, _ := c.v.sheets.attic.Shelf(table).Get(key)
	return c.put(table, key, row)
}

// judge has the service check the rows that are in memory, and gives them up. What needs all accounts at once, that they sum
// to nothing (I2), is left to the judge, to which every rebuilt row is shown.
func (c *checks) judge() {
	tell := func(invariant string, checked int, violations []string) {
		if invariant == "I2" {
			return
		}
		c.v.found.count(invariant, int64(checked))
		for _, what := range violations {
			c.v.found.wrong(invariant, "%s: %s", c.v.name, what)
		}
	}
	switch m := c.m.(type) {
	case *balance.Machine:
		var accounts, branches int64
		m.EachAccount(func(book.Key, *balance.Account) { accounts++ })
		m.EachBranch(func(book.Key, *balance.Branch) { branches++ })
		c.v.found.count("I4", accounts)
		c.v.found.count("I5", accounts)
		c.v.found.count("I6", branches)
		for _, x := range balance.Check(m) {
			if x.Invariant != "I2" {
				c.v.found.wrong(x.Invariant, "%s: %v: %s", c.v.name, x.Key, x.Message)
			}
		}
	case *points.Machine:
		for _, f := range m.Check() {
			tell(f.Invariant, f.Checked, f.Violations)
		}
	case *code.Machine:
		for _, f := range m.Check() {
			tell(f.Invariant, f.Checked, f.Violations)
		}
	}
	c.core.Forget()
}

// in calls f for every row of a table, and has what it put into memory checked, a group at a time.
func (c *checks) in(table string, f func(key, row []byte) error) error {
	n := 0
	err := c.v.sheets.below(table, func(key, row []byte) error {
		if n++; n%groupRows == 0 {
			c.judge()
		}
		return f(key, row)
	})
	c.judge()
	return err
}

// holds checks branches that ended by themselves, then accounts with the branches that hold something on them: those are few.
func (c *checks) holds(branches, accounts string) error {
	type open struct{ key, row []byte }
	on := map[book.Key][]open{} // by account
	status, account := c.column(branches, "status"), c.column(branches, "account")
	err := c.in(branches, func(key, row []byte) error {
		values := unpack(row)
		if values[status] != branch.Held.String() {
			return c.put(branches, key, row)
		}
		k, _ := keyOf(key)
		at := book.Key{Tenant: k.Tenant}
		copy(at.ID[:], values[account].([]byte))
		on[at] = append(on[at], open{bytes.Clone(key), bytes.Clone(row)})
		return nil
	})
	if err != nil {
		return err
	}
	take := func(k book.Key) error {
		for _, b := range on[k] {
			if err := c.put(branches, b.key, b.row); err != nil {
				return err
			}
		}
		delete(on, k)
		return nil
	}
	err = c.in(accounts, func(key, row []byte) error {
		k, _ := keyOf(key)
		if err := take(k); err != nil {
			return err
		}
		return c.put(accounts, key, row)
	})
	if err != nil {
		return err
	}
	for k := range on { // on accounts that do not exist
		if err := take(k); err != nil {
			return err
		}
	}
	c.judge()
	return nil
}

// sessions checks branches with the sessions that they have, sessions with the branches that have them, and shops.
func (c *checks) sessions() error {
	session, status, by := c.column("code_branches", "session"), c.column("code_branches", "status"), c.column("code_sessions", "branch")
	err := c.in("code_branches", func(key, row []byte) error {
		values := unpack(row)
		if values[status] != branch.Held.String() && values[status] != branch.Confirmed.String() {
			return nil
		}
		k, _ := keyOf(key)
		if err := c.put("code_branches", key, row); err != nil {
			return err
		}
		return c.fetch("code_sessions", k.Tenant, values[session].([]byte))
	})
	if err != nil {
		return err
	}
	err = c.in("code_sessions", func(key, row []byte) error {
		if has, _ := unpack(row)[by].([]byte); len(has) > 0 && !bytes.Equal(has, id.Nil[:]) {
			k, _ := keyOf(key)
			if err := c.fetch("code_branches", k.Tenant, has); err != nil {
				return err
			}
		}
		return c.put("code_sessions", key, row)
	})
	if err != nil {
		return err
	}
	for _, table := range []string{"code_shops", "code_numbers", "code_counts"} { // as many as there are shops
		err := c.v.sheets.below(table, func(key, row []byte) error { return c.put(table, key, row) })
		if err != nil {
			return err
		}
	}
	c.judge()
	return nil
}

// bag adds up what was put into it, so that two bags are equal if they hold the same, in whatever order.
type bag struct {
	n   int64
	sum uint64
}

var bagSeed = maphash.MakeSeed()

func (b *bag) add(key []byte) { b.n, b.sum = b.n+1, b.sum+maphash.Bytes(bagSeed, key) }

// keys requires every key to stand for one thing, and every payment and operation to have its key (I21).
func (c *checks) keys() error {
	var stands, made bag
	target := c.column("payment_keys", "target")
	each := func(f func(target []byte)) error {
		return c.v.sheets.below("payment_keys", func(key, row []byte) error {
			k, _ := keyOf(key)
			x, _ := unpack(row)[target].([]byte)
			k.ID = id.Nil
			copy(k.ID[:], x)
			f(rowKey(k, noDay))
			return nil
		})
	}
	if err := each(stands.add); err != nil {
		return err
	}
	for _, table := range []string{"payments", "payment_operations"} {
		if err := c.v.sheets.below(table, func(key, _ []byte) error { made.add(key); return nil }); err != nil {
			return err
		}
	}
	c.v.found.count("I21", stands.n)
	if stands == made {
		return nil
	}
	lost, twice, seen := 0, 0, c.v.sheets.attic.Shelf("targets")
	err := each(func(x []byte) {
		if _, again := seen.Get(x); again {
			twice++
		}
		seen.Put(x, nil)
		_, payment := c.v.sheets.attic.Shelf("payments").Get(x)
		_, operation := c.v.sheets.attic.Shelf("payment_operations").Get(x)
		if !payment && !operation {
			lost++
		}
	})
	c.v.found.wrong("I21", "%s: %d keys stand for nothing", c.v.name, lost)
	c.v.found.wrong("I21", "%s: %d keys stand for %d different things, and there are %d payments and operations", c.v.name, stands.n,
		stands.n-int64(twice), made.n)
	return err
}

// followed requires a feed to have followed blocks that exist (I25).
func (c *checks) followed(ctx context.Context, of string) error {
	seq, hash := c.column("feed_positions", "seq"), c.column("feed_positions", "hash")
	return c.v.sheets.below("feed_positions", func(key, row []byte) error {
		values := unpack(row)
		at := journal.Head{Book: book.Name(of, int(key[len(key)-1])), Seq: uint64(values[seq].(int64))}
		copy(at.Hash[:], values[hash].([]byte))
		blocks, err := c.log.Read(ctx, at.Book, at.Seq, 1)
		if err = c.v.found.damage(err); err != nil {
			return err
		}
		c.v.found.check(len(blocks) == 1 && blocks[0].Hash == at.Hash, "I25",
			"%s has numbered up to block %d (%x) of %s, which the journal does not have", c.Name, at.Seq, at.Hash[:8], at.Book)
		return nil
	})
}
