package verify

import "context"

// judgeKeys requires every key to stand for one thing, and every payment and operation to have its key (I21).
func (r *run) judgeKeys(ctx context.Context) error {
	pay := r.shelf(Payment)
	if pay == nil {
		return nil // a book cannot be replayed, and that has been said
	}
	n, err := countKeys(ctx, pay.db)
	if err != nil {
		return err
	}
	r.found.count("I21", n.keys)
	if n.lost > 0 {
		r.found.wrong("I21", "%d keys stand for nothing", n.lost)
	}
	if n.keys != n.targets || n.keys != n.made {
		r.found.wrong("I21", "%d keys stand for %d different things, and there are %d payments and operations", n.keys, n.targets, n.made)
	}
	return nil
}
