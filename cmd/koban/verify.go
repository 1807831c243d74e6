package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/term"
	"github.com/koban-pay/koban/judge/verify"
	"github.com/koban-pay/koban/platform"
)

type verifyCmd struct {
	Data       string `help:"The platform's data folder." default:"./koban-data" type:"path" placeholder:"DIR"`
	Store      string `help:"The books are on PostgreSQL: postgres://user@host/database; a password belongs into $PGPASSFILE or $KOBAN_STORE." env:"KOBAN_STORE" placeholder:"URL"`
	Rebuild    bool   `help:"Also let the saved tables recover elsewhere, as a start would, and compare with what the journal gives from nothing."`
	Light      bool   `help:"Only heads, the last blocks and the sums of the accounts: seconds, however large the books are."`
	Resume     string `help:"Note in this file which books are done, and go on with it when stopped." type:"path" placeholder:"FILE"`
	Temp       string `help:"Where to rebuild the tables, which takes about as much room as they do. Not in memory." type:"existingdir" placeholder:"DIR"`
	KeyFile    string `help:"The file of the root key, if it is not in the data folder. Without the key, ids are hexadecimal." type:"path" env:"KOBAN_KEY_FILE" placeholder:"FILE"`
	Checkpoint string `help:"Hold the journal to a checkpoint that was exported earlier: it shows whether a tail was cut off since." placeholder:"FILE"`
	Export     string `name:"export-checkpoint" help:"Write a signed checkpoint. Keep it where nobody of the platform can change it." placeholder:"FILE"`
	PublicKey  string `help:"Who has to have signed the checkpoint: 64 hexadecimal digits, or a file with them, that you got from elsewhere." env:"KOBAN_CHECKPOINT_PUBLIC_KEY" placeholder:"KEY"`
	SignKey    string `name:"checkpoint-key" help:"The key that signs, instead of DIR/checkpoint.key, which is made if it is missing." type:"path" placeholder:"FILE"`
	JSON       bool   `name:"json" help:"Print the report as JSON."`
}

// Help says more than one line can.
func (verifyCmd) Help() string {
	return `It reads the journal from the first block on, recomputes every hash, rebuilds every table in temporary files, compares
them row by row with those of the platform, and holds all of it to the platform's invariants: within each book, and
between payments, balances, points and sessions. It exits with 1 if anything is wrong.

Memory stays the same however many payments there are; temporary files take about as much room as the tables. A judgement
that was stopped goes on with the same --resume FILE: the journal is judged again, books that are done are not compared
again.`
}

// Run judges the books.
func (x *verifyCmd) Run(c *console) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config := platform.VerifyConfig{
		Data: x.Data, StoreURL: x.Store, KeyFile: keyFile(x.KeyFile, c.env),
		Rebuild: x.Rebuild, Light: x.Light, Resume: x.Resume, Temp: x.Temp,
	}
	if x.Light && (x.Rebuild || x.Resume != "") {
		return errors.New("--light takes seconds and compares no tables: leave out --rebuild and --resume")
	}
	if err := x.checkpoints(c, &config); err != nil {
		return err
	}
	modestMemory(c.env)
	line := &progress{w: c.err}
	config.Progress = (&verifying{line: line, clock: clock.NewSystem()}).show
	report, err := platform.Verify(ctx, config)
	line.clear()
	if err != nil {
		return err
	}
	if x.Export != "" && report.OK { // what is wrong is not worth keeping
		text, err := json.MarshalIndent(report.Checkpoint, "", " ")
		if err != nil {
			return err
		}
		if err := store.WriteFileAtomic(x.Export, append(text, '\n'), 0o600); err != nil {
			return err
		}
	}
	if x.JSON {
		printJSON(c.out, report)
	} else {
		if report.Rehearsal {
			printRehearsal(c.out, "these books are not for production")
		}
		printReport(c.out, report)
	}
	if !report.OK {
		return quiet(exitRefused)
	}
	return nil
}

// checkpoints reads what is needed to check a checkpoint, and to sign one.
func (x *verifyCmd) checkpoints(c *console, config *platform.VerifyConfig) (err error) {
	if x.Checkpoint != "" {
		if x.PublicKey == "" {
			return errors.New("the checkpoint: say with --public-key who has to have signed it: checkpoint.pub, as " +
				"you kept it " +
				"outside of the platform when the first checkpoint was exported. A key from the platform itself proves " +
				"nothing")
		}
		if config.Pinned, err = platform.ParsePublicKey(x.PublicKey); err != nil {
			return err
		}
		config.Checkpoint = new(journal.Checkpoint)
		if err := readJSONFile(x.Checkpoint, config.Checkpoint); err != nil {
			return fmt.Errorf("the checkpoint: %w", err)
		}
	}
	if x.Export == "" {
		return nil
	}
	if err := onlyOver(x.Export); err != nil {
		return err
	}
	made := false
	if config.Export, made, err = platform.CheckpointKey(x.Data, x.SignKey); err != nil {
		return err
	}
	if made {
		fmt.Fprintf(c.err, "A new key signs checkpoints: checkpoint.key in %s. Keep its public half, "+
			"checkpoint.pub, outside of the "+
			"platform, and hold checkpoints to it with --public-key:\n  %s\n", x.Data,
			platform.PublicKeyText(config.Export))
	}
	return nil
}

// verifying tells how far a judgement is: on a terminal a line that changes, elsewhere a line now and then.
type verifying struct {
	line  *progress
	clock clock.Clock
	began clock.Micros // when the first step did
	since clock.Micros // when the step began
	told  clock.Micros
	step  string
}

// How often a line is told.
const (
	onTerminal = clock.Second / 4
	inFile     = 30 * clock.Second
	silent     = 10 * clock.Second // off a terminal, what is done sooner says nothing but its answer
)

func (v *verifying) show(p verify.Progress) {
	now := v.clock.Now()
	if v.step == "" {
		v.began = now
	}
	if p.Step != v.step {
		v.step, v.since, v.told = p.Step, now, now
		if v.line.w.Colour() || now-v.began >= silent {
			v.line.show(p.Step, "")
		}
		return
	}
	every := inFile
	if v.line.w.Colour() {
		every = onTerminal
	}
	if now-v.told < every {
		return
	}
	v.told = now
	done := fmt.Sprintf("%d blocks", p.Done)
	if p.Total > 0 {
		done = fmt.Sprintf("%d of %d blocks", min(p.Done, p.Total), p.Total)
	}
	if p.Rows > 0 {
		done += fmt.Sprintf(", %d rows", p.Rows)
	}
	done += fmt.Sprintf(", %d s", (now-v.since)/clock.Second)
	if v.line.w.Colour() {
		v.line.show(p.Step, done)
	} else {
		fmt.Fprintf(v.line.w, "%s: %s\n", p.Step, done)
	}
}

// modestMemory has a judgement take little memory, unless the environment says otherwise (GOGC, GOMEMLIMIT).
func modestMemory(env func(string) string) {
	store.LimitPageMemory(verifyPages)
	if env("GOGC") == "" {
		debug.SetGCPercent(verifyGCPercent)
	}
	if env("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(verifyMemory)
	}
}

// A judgement keeps some 300 MB. Garbage may grow to twice that, until the whole comes to 700 MB;
// SQLite's pages are not counted there.
const (
	verifyGCPercent = 200
	verifyMemory    = 700 << 20
	verifyPages     = 64 << 20
)

func printReport(w *term.Writer, r *verify.Report) {
	var blocks uint64
	for _, b := range r.Books {
		blocks += b.Blocks
	}
	t := w.Table("", "", ">checked", ">wrong", "")
	for _, i := range r.Invariants {
		mark := w.Good("✓")
		if i.Violations > 0 {
			mark = w.Bad("✗")
		} else if i.Checked == 0 && r.Light {
			continue
		}
		lines := term.Wrap(i.Title, titleWidth)
		t.Row(mark, i.ID, strconv.FormatInt(i.Checked, 10), strconv.FormatInt(i.Violations, 10), lines[0])
		for _, more := range lines[1:] {
			t.Row("", "", "", "", more)
		}
	}
	t.Print()
	for _, i := range r.Invariants {
		for _, e := range i.Examples {
			printWrapped(w, w.Bad(i.ID)+" ", len(i.ID)+1, term.Clean(e))
		}
	}
	for _, what := range r.NotChecked {
		printWrapped(w, w.Warn("not checked")+" ", len("not checked "), term.Clean(what))
	}
	verdict := w.Good("The books are right")
	switch {
	case !r.OK:
		verdict = w.Bad("The books are wrong")
	case len(r.NotChecked) > 0:
		verdict = w.Good("What was checked is right")
	}
	fmt.Fprintf(w, "%s: %d books, %d blocks.\n", verdict, len(r.Books), blocks)
}

// What is printed fits 80 columns, with up to eleven digits of what was checked.
const (
	lineWidth  = 80
	titleWidth = 48
)

// printWrapped prints text behind a head of some columns, and its further lines below it.
func printWrapped(w *term.Writer, head string, columns int, text string) {
	for _, line := range term.Wrap(text, lineWidth-columns) {
		fmt.Fprintf(w, "%s%s\n", head, line)
		head = strings.Repeat(" ", columns)
	}
}

// onlyOver refuses to write a checkpoint over what is none: a key, a journal.
func onlyOver(path string) error {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var old journal.Checkpoint
	if err == nil {
		err = readJSONFile(path, &old)
	}
	if err != nil || len(old.Signature) == 0 {
		return fmt.Errorf("--export-checkpoint=%s: that file is there and is no checkpoint; name another", path)
	}
	return nil
}
