package score

import (
	"encoding/json"
	"fmt"
	"os"
)

// FileEnv names the environment variable that holds the path of the file to which lines are appended. Without it nobody
// keeps score.
const FileEnv = "KOBAN_SCORE"

// Line is one figure of the scoreboard.
type Line struct {
	ID     string `json:"id"`              // short and stable, such as "power-loss-sqlite"; a history hangs on it
	Name   string `json:"name"`            // what was done, in a few words
	Figure string `json:"figure"`          // what came out, for people: "104 power losses, 61,220 acknowledged, 0 lost"
	Target string `json:"target"`          // what it is held to: ">= 100, 0 lost"
	Value  int64  `json:"value"`           // the figure that is drawn over time
	Seeds  string `json:"seeds,omitempty"` // "1-5000"; empty where chance has no part
	OK     bool   `json:"ok"`              // whether the target is met
}

// T is what Report needs of a test.
type T interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
}

// Report logs a line, keeps it for the scoreboard if one is being made, and fails the test if the target is missed.
func Report(t T, l Line) {
	t.Helper()
	t.Logf("%s: %s (target %s)", l.Name, l.Figure, l.Target)
	if !l.OK {
		t.Errorf("%s: %s, but the target is %s", l.Name, l.Figure, l.Target)
	}
	if err := Keep(l); err != nil {
		t.Errorf("%v", err)
	}
}

// Keep appends a line to the file that FileEnv names, if it names one. One write a line: processes may share the file.
func Keep(l Line) error {
	path := os.Getenv(FileEnv)
	if path == "" {
		return nil
	}
	text, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("score: %w", err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("score: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("score: %w", err)
	}
	return nil
}
