package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/koban-pay/koban/cmd/koban/term"
	"github.com/koban-pay/koban/internal/app"
	"github.com/koban-pay/koban/internal/app/verify"
	"github.com/koban-pay/koban/internal/journal"
	"github.com/koban-pay/koban/internal/store"
)

type verifyCmd struct {
	Data       string `help:"The platform's data folder." default:"./koban-data" type:"path" placeholder:"DIR"`
	Store      string `help:"The books are on PostgreSQL: postgres://user:password@host/database." env:"KOBAN_STORE" placeholder:"URL"`
	Rebuild    bool   `help:"Also let the saved tables recover elsewhere, as a start would, and compare with what the journal gives from nothing."`
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
between payments, balances, points and sessions. It exits with 1 if anything is wrong.`
}

// Run judges the books.
func (x *verifyCmd) Run(c *console) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config := app.VerifyConfig{Data: x.Data, StoreURL: x.Store, KeyFile: keyFile(x.KeyFile, c.env),
		Rebuild: x.Rebuild}
	if err := x.checkpoints(c, &config); err != nil {
		return err
	}
	report, err := app.Verify(ctx, config)
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
func (x *verifyCmd) checkpoints(c *console, config *app.VerifyConfig) (err error) {
	if x.Checkpoint != "" {
		if x.PublicKey == "" {
			return errors.New("the checkpoint: say with --public-key who has to have signed it: checkpoint.pub, as " +
				"you kept it " +
				"outside of the platform when the first checkpoint was exported. A key from the platform itself proves " +
				"nothing")
		}
		if config.Pinned, err = app.ParsePublicKey(x.PublicKey); err != nil {
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
	made := false
	if config.Export, made, err = app.CheckpointKey(x.Data, x.SignKey); err != nil {
		return err
	}
	if made {
		fmt.Fprintf(c.err, "A new key signs checkpoints: checkpoint.key in %s. Keep its public half, "+
			"checkpoint.pub, outside of the "+
			"platform, and hold checkpoints to it with --public-key:\n  %s\n", x.Data,
			app.PublicKeyText(config.Export))
	}
	return nil
}

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
		}
		t.Row(mark, i.ID, strconv.FormatInt(i.Checked, 10), strconv.FormatInt(i.Violations, 10), i.Title)
	}
	t.Print()
	for _, i := range r.Invariants {
		for _, e := range i.Examples {
			fmt.Fprintf(w, "%s %s\n", w.Bad(i.ID), term.Clean(e))
		}
	}
	if r.OK {
		fmt.Fprintf(w, "%s: %d books, %d blocks.\n", w.Good("The books are right"), len(r.Books), blocks)
	} else {
		fmt.Fprintf(w, "%s. %d books, %d blocks.\n", w.Bad("The books are wrong"), len(r.Books), blocks)
	}
}
