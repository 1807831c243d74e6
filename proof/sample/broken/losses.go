package broken

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// fact is what a loss looks at in a line of the sample's journal.
type fact struct {
	Try     *struct{ Branch, Account, Refused string } `json:"try"`
	Confirm *struct{ Branch string }                   `json:"confirm"`
	Cancel  *struct{ Branch string }                   `json:"cancel"`
	Add     *struct{ Branch string }                   `json:"add"`
}

func (f fact) branch() string {
	switch {
	case f.Try != nil:
		return f.Try.Branch
	case f.Confirm != nil:
		return f.Confirm.Branch
	case f.Cancel != nil:
		return f.Cancel.Branch
	}
	return ""
}

// losses say which lines of a journal are lost in a crash, by the check that is meant to find that.
var losses = map[string]func(all []fact) func(fact) bool{
	"restart-confirm": func([]fact) func(fact) bool { return func(f fact) bool { return f.Confirm != nil } },
	"restart-cancel": func(all []fact) func(fact) bool {
		tried := triedOf(all)
		return func(f fact) bool { return f.Cancel != nil && tried[f.Cancel.Branch] }
	},
	"restart-tombstone": func(all []fact) func(fact) bool {
		tried := triedOf(all)
		return func(f fact) bool { return f.Cancel != nil && !tried[f.Cancel.Branch] }
	},
	"restart-refused": func([]fact) func(fact) bool { return func(f fact) bool { return f.Try != nil && f.Try.Refused != "" } },
	"restart-add":     func([]fact) func(fact) bool { return func(f fact) bool { return f.Add != nil } },
	// What came last on an account that was busy had not reached the disk.
	"restart-under-load": func(all []fact) func(fact) bool {
		const busy = 3
		byAccount := map[string][]string{}
		for _, f := range all {
			if f.Try != nil {
				byAccount[f.Try.Account] = append(byAccount[f.Try.Account], f.Try.Branch)
			}
		}
		lost := map[string]bool{}
		for _, branches := range byAccount {
			if len(branches) >= busy {
				for _, b := range branches {
					lost[b] = true
				}
			}
		}
		return func(f fact) bool { return lost[f.branch()] }
	},
}

func triedOf(all []fact) map[string]bool {
	out := map[string]bool{}
	for _, f := range all {
		if f.Try != nil {
			out[f.Try.Branch] = true
		}
	}
	return out
}

// Forget loses what the named mistake loses in a crash, out of the journal at path, once nobody has it open. A name that is no
// such mistake loses nothing.
//
// Errors: of the file system.
func Forget(name, path string) error {
	loss, ok := losses[name]
	if !ok {
		return nil
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was synced
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	var facts []fact
	for line := range bytes.Lines(text) {
		var f fact
		_ = json.Unmarshal(line, &f) // half a line is none
		facts = append(facts, f)
	}
	lost := loss(facts)
	var kept []byte
	n := 0
	for line := range bytes.Lines(text) {
		if !lost(facts[n]) {
			kept = append(kept, line...)
		}
		n++
	}
	if err := file.Truncate(0); err != nil {
		return err
	}
	if _, err := file.WriteAt(kept, 0); err != nil {
		return err
	}
	return file.Sync()
}
