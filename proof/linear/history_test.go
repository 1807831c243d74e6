package linear

import (
	"fmt"
	"testing"

	"github.com/koban-pay/koban/internal/score"
)

// clients is how many there are.
const clients = 24

// TestAccountsAreLinearizable records what clients do and see while the platform is killed, and requires that each
// account's history is one of an account that does one thing after the other.
func TestAccountsAreLinearizable(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"sqlite", "postgres"} {
		t.Run(store, func(t *testing.T) {
			n := operations(t)
			w := open(t, genuine(t, store))
			wrong := w.judged(n)
			for _, err := range wrong {
				t.Error(err)
			}
			for _, x := range append(w.odd, w.bad...) {
				t.Error(x)
			}
			w.end()
			figure := fmt.Sprintf("%d operations (%d reads, %d payments, %d refused, %d first unknown), %d steps, %d kills, %d accounts not linearizable",
				w.count, w.reads, w.moved, w.failed, w.unknown, w.steps, w.kills, len(wrong))
			score.Report(t, score.Line{
				ID: "linearizable-" + store, Name: "operations under kill -9, linearizable by account, " + store, Figure: figure,
				Target: fmt.Sprintf(">= %d operations, all linearizable", n), Value: int64(w.count), Seeds: fmt.Sprint(w.seed),
				OK: w.count >= n && len(wrong)+len(w.odd)+len(w.bad) == 0 && w.kills > 2 && w.unknown > 0 && w.failed > 0,
			})
		})
	}
}

// judged makes n operations and returns what is wrong with their histories.
func (w *world) judged(n int) (wrong []error) {
	w.run(clients, n, func() { wrong = append(wrong, w.cut(w.views(w.accounts()))...) })
	return wrong
}
