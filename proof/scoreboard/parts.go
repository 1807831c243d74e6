package main

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// The kinds of proof, in the order in which they are shown.
const (
	simulation   = "simulation"
	crashWalk    = "crash walk"
	realBinary   = "real binary"
	disks        = "disks"
	takeover     = "takeover"
	histories    = "histories"
	participants = "participants"
	judge        = "judge"
	usersFaults  = "users' faults"
	promises     = "figures that Koban has promised"
	others       = "others"
)

var kinds = []string{simulation, crashWalk, realBinary, disks, takeover, histories, participants, judge, usersFaults, promises, others}

// The two sizes of a run. What came out of one is never compared with the other.
const (
	small = "ci"
	full  = "full"
)

// part is one make target and what it has to tell.
type part struct {
	name     string
	kind     string
	full, ci []string       // arguments of make
	limit    time.Duration  // of the full size
	lines    []string       // the ids that it has to report
	controls *regexp.Regexp // the tests that break something on purpose; they pass if that is found
}

// ciLimit is how long a part may take at the sizes of make test.
const ciLimit = 4 * time.Minute

var named = regexp.MustCompile(`^TestControl`)

// parts are run in this order, one at a time. Their limits come to 90 minutes.
var parts = []part{
	{
		name: "sim", kind: simulation, full: []string{"sim"}, ci: []string{"sim", "SEEDS=", "PAYMENTS="}, limit: 10 * time.Minute,
		lines:    []string{"sim-payments", "sim-replay", "sim-anomalies", "time-to-terminal"},
		controls: regexp.MustCompile(`^Test(PlantedFaults|ReplayNotices)$`),
	},
	{name: "planted", kind: simulation, full: []string{"planted"}, ci: []string{"planted"}, limit: 3 * time.Minute, lines: []string{"planted-bugs"}},
	{
		name: "walk", kind: crashWalk, full: []string{"walk"}, ci: []string{"walk", "PAIRS="}, limit: 4 * time.Minute,
		lines: []string{"crash-walk"}, controls: regexp.MustCompile(`^TestCrashWalkNotices$`),
	},
	{
		name: "chaos", kind: realBinary, full: []string{"chaos", "KILLS=100", "ARGS=-life=1200ms -clients=48"}, ci: []string{"chaos", "KILLS=3"},
		limit: 22 * time.Minute, lines: []string{"kill-loop"}, controls: named,
	},
	{
		name: "disk", kind: disks, full: []string{"disk"}, ci: []string{"disk", "DISK="}, limit: 20 * time.Minute, controls: named,
		lines: []string{
			"power-loss-ext4", "power-loss-xfs", "power-loss-control", "disk-full-ext4", "disk-full-tmpfs", "disk-full-control",
			"disk-read-only", "disk-read-only-control", "sync-error", "sync-error-control", "torn-log-fresh", "torn-log-moved",
			"torn-log-control", "bit-flips-stopped", "bit-flips-killed", "bit-flips-constants",
		},
	},
	{
		name: "takeover", kind: takeover, full: []string{"takeover"}, ci: []string{"takeover", "ROUNDS=", "PAUSE="}, limit: 9 * time.Minute,
		lines: []string{"takeover-sigstop", "paused-sqlite", "postgres-restarts", "postgres-cut-commits"}, controls: named,
	},
	{
		name: "histories", kind: histories, full: []string{"histories"}, ci: []string{"histories", "OPS="}, limit: 14 * time.Minute,
		lines: []string{"linearizable-sqlite", "linearizable-postgres", "bank"}, controls: named,
	},
	{
		name: "conformance", kind: participants, full: []string{"conformance"}, ci: []string{"conformance"}, limit: 2 * time.Minute,
		lines: []string{"conformance"},
	},
	{
		name: "watchman", kind: judge, full: []string{"watchman"}, ci: []string{"watchman", "PAYMENTS="}, limit: 4 * time.Minute,
		lines: []string{"background-verifier-sqlite", "background-verifier-postgres"},
	},
	{
		name: "faults", kind: usersFaults, full: []string{"faults"}, ci: []string{"faults", "FAULTS="}, limit: 2 * time.Minute,
		lines: []string{"faults-matrix", "faults-kill"},
	},
}

// command returns what make is asked for.
func (p part) command(size string) []string {
	if size == small {
		return p.ci
	}
	return p.full
}

func (p part) within(size string) time.Duration {
	if size == small {
		return min(ciLimit, p.limit)
	}
	return p.limit
}

// controlLine is the id of the line about a part's controls.
func (p part) controlLine() string { return "controls-" + p.name }

// chosen returns all parts, or those that only names: by their own names or by those of their lines.
// What it does not know is returned as unknown.
func chosen(only string) (out []part, unknown []string) {
	names := strings.FieldsFunc(only, func(r rune) bool { return r == ',' || r == ' ' })
	met := map[string]bool{}
	for _, p := range parts {
		of := append([]string{p.name, p.controlLine()}, p.lines...)
		take := len(names) == 0
		for _, n := range names {
			if slices.Contains(of, n) {
				take, met[n] = true, true
			}
		}
		if take {
			out = append(out, p)
		}
	}
	for _, n := range names {
		if !met[n] {
			unknown = append(unknown, n)
		}
	}
	return out, unknown
}

// partOf returns the part that a line belongs to.
func partOf(id string) (part, bool) {
	i := slices.IndexFunc(parts, func(p part) bool { return slices.Contains(p.lines, id) || p.controlLine() == id })
	if i < 0 {
		return part{kind: others}, false
	}
	return parts[i], true
}
