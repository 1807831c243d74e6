package disk

import (
	"context"
	"flag"
	"fmt"
	"testing"

	"github.com/koban-pay/koban/e2e/chaos"
	"github.com/koban-pay/koban/internal/score"
)

var losses = flag.Int("losses", 3, "how often TestPowerLoss takes the power away, on each file system")

// room is the size of a file system that is not meant to fill up. It takes what is written, no more.
const room = 4 << 30

// TestPowerLoss takes the power away while clients pay, again and again: what was acknowledged has to be there when it is
// back, once, unchanged.
func TestPowerLoss(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) {
			t.Parallel()
			i := newImage(t, fs, room)
			s := play(t, chaos.Config{Program: chaos.Program{Path: koban(t), Data: i.dir + "/data"}, Binary: koban(t), Kills: *losses, Strike: i.lose})
			score.Report(t, score.Line{ID: "power-loss-" + fs, Name: "power losses on " + fs,
				Figure: fmt.Sprintf("%d power losses, %d acknowledged, %d payments, %s, verify %s", s.Kills, s.Acks, s.Payments, &s.Verdict, s.Verify),
				Target: fmt.Sprintf("%d, nothing lost, doubled, changed or stuck", *losses),
				Value:  int64(s.Kills), Seeds: fmt.Sprint(s.seed), OK: s.Kills >= *losses && s.right()})
		})
	}
}

// lose takes the power away, and gives it back. The process dies with it, or has ended by itself because it could not
// write any more.
func (i *image) lose(_ context.Context, p *chaos.Platform) error {
	if err := i.cut(); err != nil {
		return err
	}
	if err := p.Kill(); err != nil {
		if code, said := p.Exit(); code != cannotGoOn {
			return fmt.Errorf("%w: exit code %d: %s", err, code, said)
		}
	}
	return i.back()
}

// cannotGoOn is the exit code of a process that ends because it cannot go on.
const cannotGoOn = 2

// TestControlPowerLossWithoutSync does the same with a platform whose journal does not sync. If the judge finds no loss,
// then either it is blind or the power was not really away.
func TestControlPowerLossWithoutSync(t *testing.T) {
	t.Parallel()
	i := newImage(t, "ext4", room)
	s := play(t, chaos.Config{Program: spoiled(t, unsynced, i.dir+"/data"), Kills: 2, Strike: i.lose})
	report(t, s, "power-loss-control", "power losses of a journal that does not sync")
}
