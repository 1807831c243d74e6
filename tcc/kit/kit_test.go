package kit

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// What keeps the contract passes everything, and nothing is left out.
func TestSoundParticipantPasses(t *testing.T) {
	Run(t, func(t *testing.T) Fixture { return newFake("").fixture() })
	results := Examine(context.Background(), newFake("").fixture())
	if len(results) != len(checks) {
		t.Errorf("%d results of %d checks", len(results), len(checks))
	}
	for i, r := range results {
		if elsewhere := checks[i].needs&behindAWire != 0; r.OK == elsewhere || r.Skipped != elsewhere || r.OK == (r.Detail != "") {
			t.Errorf("%+v", r)
		}
	}
}

// behindAWire are the needs that no participant in this process has; proof/conform has one that is broken for each.
const behindAWire = wire | timing | crash

// Whoever fails a check learns why it matters and what to change; no advice is left over.
func TestEveryCheckHasAdvice(t *testing.T) {
	names := Names()
	for _, c := range checks {
		if a := advices[c.name]; c.what == "" || a.why == "" || a.fix == "" || !slices.Contains(Groups(), a.group) {
			t.Errorf("%s: what %q, advice %+v", c.name, c.what, a)
		}
	}
	for name := range advices {
		if !slices.Contains(names, name) {
			t.Errorf("there is advice for %s, and no such check", name)
		}
	}
	if slices.Sort(names); len(slices.Compact(names)) != len(checks) {
		t.Error("two checks have the same name")
	}
}

// defects are mistakes; the check that is meant for each, which must catch it; and those that may notice it besides.
// "…" stands for any: where nothing works, much fails.
var defects = []struct {
	defect defect
	meant  string
	also   string
}{
	{"holds nothing", "try-sets-aside", "…"},
	{"tries twice", "try-duplicate", "try-duplicate-at-once try-other-body restart-confirm try-other-account lost-try"},
	{"tries at once are not one", "try-duplicate-at-once", "try-and-cancel"},
	{"keeps one unit", "try-exact", "…"},
	{"lends one unit", "try-one-too-many", "try-counts-holds confirm-after-refused-try"},
	{"forgets its holds", "try-counts-holds", "try-refused-duplicate try-last-units try-no-overdraw cancel-refused-try cancel-refused-try-elsewhere restart-refused"},
	{"tries again what it refused", "try-refused-duplicate", "restart-refused"},
	{"takes any body", "try-other-body", "try-other-account"},
	{"takes any body", "try-other-account", "try-other-body"},
	{"cannot say that an account does not exist", "try-unknown-account", ""},
	{"takes any currency", "try-other-currency", ""},
	{"counts each capture alone", "confirm-too-much-in-parts", ""},
	{"tries again after both", "try-after-try-and-cancel", ""},
	{"forgets tombstones early", "tombstone-lasts", ""},
	{"cancels nothing after the deadline", "cancel-after-deadline", ""},
	{"has a clock that is fast", "clock-agrees", ""},
	{"forgets a try that nobody heard", "lost-try", ""},
	{"forgets a confirm that nobody heard", "lost-confirm", ""},
	{"forgets a cancel that nobody heard", "lost-cancel", ""},
	{"forgets a refusal that nobody heard", "lost-refusal", ""},
	{"knows no deadline", "try-too-late", "clock-agrees"},
	{"calls a shortage a conflict", "try-last-units", "try-counts-holds try-refused-duplicate try-no-overdraw cancel-refused-try cancel-refused-try-elsewhere restart-refused"},
	{"looks before it locks", "try-no-overdraw", "try-last-units try-duplicate-at-once try-and-cancel"},
	{"takes nothing", "confirm-takes", "…"},
	{"confirms twice", "confirm-duplicate", "confirm-duplicate-at-once confirm-in-parts confirm-other-body confirm-or-cancel restart-confirm lost-confirm"},
	{"confirms at once are not one", "confirm-duplicate-at-once", "confirm-or-cancel"},
	{"tries again after the confirm", "try-after-confirm", "restart-confirm"},
	{"calls what it does not know not found", "confirm-without-try", ""},
	{"confirms a refused try", "confirm-after-refused-try", ""},
	{"confirms after the cancel", "confirm-after-cancel", "confirm-or-cancel restart-cancel"},
	{"keeps the rest", "confirm-in-part", "confirm-in-parts cancel-after-part"},
	{"captures after the final one", "confirm-in-parts", ""},
	{"confirms too much", "confirm-too-much", "confirm-too-much-in-parts"},
	{"takes any capture", "confirm-other-body", ""},
	{"lets holds expire", "confirm-after-deadline", ""},
	{"suspends holds", "confirm-after-suspension", ""},
	{"keeps what was cancelled", "cancel-lets-go", "…"},
	{"cancels twice", "cancel-duplicate", "cancel-duplicate-at-once confirm-or-cancel restart-cancel lost-cancel"},
	{"cancels at once are not one", "cancel-duplicate-at-once", "confirm-or-cancel"},
	{"refuses an empty cancel", "cancel-empty", "try-after-cancel try-long-after-cancel try-and-cancel restart-tombstone tombstone-lasts confirm-tombstone-elsewhere"},
	{"refuses to cancel a refusal", "cancel-refused-try", "try-too-late lost-refusal cancel-refused-try-elsewhere"},
	{"compares the account of a refusal", "cancel-refused-try-elsewhere", ""},
	{"compares the account of a tombstone", "confirm-tombstone-elsewhere", ""},
	{"takes captures without a number", "confirm-capture-zero", ""},
	{"tries after the cancel", "try-after-cancel", "try-and-cancel restart-tombstone tombstone-lasts"},
	{"leaves no tombstone", "try-after-cancel", "try-and-cancel restart-tombstone tombstone-lasts confirm-tombstone-elsewhere"},
	{"forgets tombstones at the deadline", "try-long-after-cancel", ""},
	{"cancels after the confirm", "cancel-after-confirm", "cancel-after-part confirm-or-cancel restart-confirm"},
	{"cancels what is left of a capture", "cancel-after-part", ""},
	{"knows no tenants", "other-tenant", ""},
	{"knows no parts", "two-parts", ""},
	{"refuses an add to nobody", "add-unknown-account", ""},
	{"confirms while it cancels", "confirm-or-cancel", "cancel-duplicate-at-once"},
	{"cancels while it tries", "try-and-cancel", ""},
	{"forgets captures at a restart", "restart-confirm", ""},
	{"forgets cancels at a restart", "restart-cancel", ""},
	{"forgets refusals at a restart", "restart-refused", ""},
	{"forgets tombstones at a restart", "restart-tombstone", ""},
	{"forgets adds at a restart", "restart-add", ""},
	{"refuses whose time is up", "ended-context", ""},
	{"adds nothing", "add-adds", "add-duplicate add-duplicate-at-once add-other-body restart-add"},
	{"adds twice", "add-duplicate", "add-duplicate-at-once restart-add"},
	{"adds at once are not one", "add-duplicate-at-once", ""},
	{"takes any add", "add-other-body", ""},
}

// Every mistake is caught by the check that is meant for it, and every check catches one.
func TestDefectsAreCaught(t *testing.T) {
	catches := make(map[string]bool)
	for _, d := range defects {
		catches[d.meant] = true
		also := strings.Fields(d.also)
		found := false
		for _, r := range Examine(context.Background(), newFake(d.defect).fixture()) {
			switch {
			case r.OK, r.Skipped:
			case r.Name == d.meant:
				found = true
			case !slices.Contains(also, r.Name) && !slices.Contains(also, "…"):
				t.Errorf("a participant that %s fails %s too: %s", d.defect, r.Name, r.Detail)
			}
		}
		if !found {
			t.Errorf("a participant that %s passes %s", d.defect, d.meant)
		}
	}
	for _, c := range checks {
		if !catches[c.name] && c.needs&behindAWire == 0 {
			t.Errorf("no defect is meant for %s", c.name)
		}
	}
}

// What a fixture cannot do is left out, and said to be.
func TestMissingAbilitiesAreLeftOut(t *testing.T) {
	f := newFake("").fixture()
	f.Receiver, f.Balance, f.Advance, f.Restart, f.Suspend, f.OneAccount = nil, nil, nil, nil, nil, true
	for i, r := range Examine(context.Background(), f) {
		if needs := checks[i].needs != 0; r.Skipped != needs || r.OK == needs || (r.Detail != "") != needs {
			t.Errorf("%+v", r)
		}
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if r := Examine(ended, f); len(r) != 0 {
		t.Errorf("with an ended context there are %d results", len(r))
	}
}
