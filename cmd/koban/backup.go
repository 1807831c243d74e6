package main

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/koban-pay/koban/platform"
)

type backupCmd struct {
	Data        string `help:"The platform's data folder." default:"./koban-data" type:"path" placeholder:"DIR"`
	To          string `required:"" help:"Where to put the copy: a folder that is not there yet." type:"path" placeholder:"DIR"`
	JournalOnly bool   `help:"Leave the tables out. They are made anew at the first start, which takes longer."`
	JSON        bool   `name:"json" help:"Print what was copied as JSON."`
}

// Help says more than one line can.
func (backupCmd) Help() string {
	return `It copies the books of a platform in files, beside the running platform or of a stopped one; nobody waits for it. The copy
is a data folder that koban run starts from and koban verify judges. The root key is not in it, and must not be: keep that
elsewhere, and put it beside the copy when you restore.

Books on PostgreSQL are backed up with pg_dump: docs/guides/back-up-and-restore.md.`
}

// Run copies the books.
func (x *backupCmd) Run(c *console) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	line := &progress{w: c.err}
	made, err := platform.BackUp(ctx, platform.BackupConfig{
		Data: x.Data, To: x.To, JournalOnly: x.JournalOnly,
		Progress: func(file string, bytes int64) {
			if c.err.Colour() {
				line.show("copied "+file, megabytes(bytes))
			}
		},
	})
	line.clear()
	if err != nil {
		return err
	}
	if x.JSON {
		printJSON(c.out, made)
		return nil
	}
	w := c.out
	t := w.Table("file", ">size")
	var sum int64
	for _, f := range made.Files {
		t.Row(f.Name, megabytes(f.Bytes))
		sum += f.Bytes
	}
	t.Print()
	fmt.Fprintf(w, "\n%d books, %d blocks, %s, as of %s.\n", len(made.Books), made.Blocks, megabytes(sum), made.At)
	fmt.Fprintf(w, "Prove the copy:  koban verify --data %s\n", x.To)
	fmt.Fprintf(w, "To restore it, put %s beside it; it is not in the copy.\n", platform.RootKeyFile)
	return nil
}

// megabytes returns a number of bytes as people read it.
func megabytes(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KB", (n+1023)/1024)
	}
	return fmt.Sprintf("%d MB", (n+1048575)/1048576)
}
