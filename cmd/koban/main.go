package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/term"
)

// Exit codes, from docs/start.md.
const (
	exitDone    = 0
	exitRefused = 1 // the platform said no, or something was found wrong
	exitCannot  = 2 // used wrongly, or could not run
	exitHeld    = 3 // the store is held by another process
)

const about = `Koban is a payment company in one program. See it in a few seconds:

    koban demo

Start a platform, and leave it running:

    koban run

It makes a demo company with customers, shops and keys, and writes koban-data/platform.json, where the other commands
find it. From another terminal:

    koban pay                 a customer pays ¥1,200 in a shop, 200 points of it
    koban payments            what happened
    koban explain pay_…       one payment on one page
    koban refund pay_… 600    give back
    koban verify              prove the books

Exit codes: 0 done, 1 refused or found wrong, 2 used wrongly or could not run, 3 the store is held by another process.`

// commands are the words of the command line.
type commands struct {
	Version  versionCmd  `cmd:"" help:"Say which version this is."`
	Demo     demoCmd     `cmd:"" help:"Watch a payment being killed in the middle, heal, and the books being proved."`
	Run      runCmd      `cmd:"" help:"Start the platform, and run until told to stop."`
	Pay      payCmd      `cmd:"" help:"Make a payment: scan a shop's code for a customer, and pay."`
	Capture  captureCmd  `cmd:"" help:"Take what an authorized payment holds."`
	Void     voidCmd     `cmd:"" help:"Let go of what an authorized payment holds."`
	Refund   refundCmd   `cmd:"" help:"Give back a payment, or part of it."`
	Payments paymentsCmd `cmd:"" help:"List payments and refunds, newest first."`
	Accounts accountsCmd `cmd:"" help:"Show what customers and shops hold."`
	Explain  explainCmd  `cmd:"" help:"Show everything about one payment on one page."`
	Verify   verifyCmd   `cmd:"" help:"Prove the books, beside a running platform or on a stopped one. It changes nothing."`
	Erase    eraseCmd    `cmd:"" help:"Erase what was kept in words about a customer or a merchant, for good."`
	Backup   backupCmd   `cmd:"" help:"Copy the books of a platform in files, beside the running platform."`
	Bench    benchCmd    `cmd:"" help:"Measure what this machine can do."`
	Sim      simCmd      `cmd:"" help:"Simulate the platform under faults, from seeds, and judge it."`
	Code     codeCmd     `cmd:"" help:"Read QR codes."`
	TCC      tccCmd      `cmd:"" name:"tcc" help:"Examine a participant of your own."`
	Fault    faultCmd    `cmd:"" help:"Rehearse: let participants be slow, refuse, vanish or die, and see what payments do."`
	Clock    clockCmd    `cmd:"" help:"Rehearse: move the platform's clock forward."`
}

// console is what a command talks to.
type console struct {
	in  io.Reader
	out *term.Writer
	err *term.Writer
	env func(string) string
}

func main() {
	os.Exit(run(os.Args[1:], &console{
		in: os.Stdin, out: term.New(os.Stdout, os.Getenv), err: term.New(os.Stderr, os.Getenv), env: os.Getenv,
	}))
}

// run does what the arguments say, and returns the exit code.
func run(args []string, c *console) int {
	var words commands
	asked := -1 // the exit code, if help was asked for
	parser, err := kong.New(&words, kong.Name("koban"), kong.Description(about), kong.Writers(c.out, c.err),
		kong.Exit(func(code int) { asked = code }), kong.Bind(c), kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 120}))
	if err != nil {
		fmt.Fprintln(c.err, "koban:", err)
		return exitCannot
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	ctx, err := parser.Parse(args)
	if asked >= 0 {
		return asked
	}
	if err != nil {
		fmt.Fprintf(c.err, "koban: %v\nkoban --help shows what there is.\n", err)
		if errors.As(err, new(senseless)) {
			return exitRefused
		}
		return exitCannot
	}
	if showsPassword(args) {
		fmt.Fprintln(c.err, "koban: everybody on this machine can read the password on this command line (ps): put it into a file that "+
			"PGPASSFILE names, or the whole URL into KOBAN_STORE.")
	}
	return exitCode(ctx.Run(c), c)
}

// showsPassword reports whether an argument is the address of a store, with a password.
func showsPassword(args []string) bool {
	for _, arg := range args {
		_, value, ok := strings.Cut(arg, "=")
		if ok && strings.HasPrefix(arg, "--") {
			arg = value
		}
		u, err := url.Parse(arg)
		if err != nil || !strings.HasPrefix(u.Scheme, "postgres") {
			if strings.Contains(arg, "host=") && strings.Contains(arg, "password=") {
				return true // in words instead of a URL
			}
			continue
		}
		if _, has := u.User.Password(); has || u.Query().Has("password") {
			return true
		}
	}
	return false
}

// exitCode says on the console what went wrong, and returns the code that scripts see.
func exitCode(err error, c *console) int {
	var told quiet
	var held *store.HeldError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &told):
		return int(told)
	}
	complain(c.err, plain(err))
	switch {
	case errors.As(err, &held):
		return exitHeld
	case errors.As(err, new(*refusal)):
		return exitRefused
	}
	return exitCannot
}

// complain says what went wrong: on a terminal in its width, elsewhere on one line, for whoever searches in it.
func complain(w *term.Writer, text string) {
	const lead = "koban: "
	if !w.Colour() {
		fmt.Fprintln(w, lead+text)
		return
	}
	for i, line := range term.Wrap(text, max(20, w.Columns()-len(lead))) {
		if i == 0 {
			fmt.Fprintln(w, lead+line)
		} else {
			fmt.Fprintln(w, strings.Repeat(" ", len(lead))+line)
		}
	}
}

// plain says an error without the name of the package that found it, which tells nothing to whoever reads it.
func plain(err error) string {
	text := err.Error()
	for _, name := range []string{"platform: ", "store: ", "journal: ", "verify: ", "reader: ", "book: ", "feed: "} {
		text = strings.TrimPrefix(text, name)
	}
	return text
}

// quiet is the exit code of a command that has said all there is to say.
type quiet int

func (q quiet) Error() string { return fmt.Sprintf("exit code %d", int(q)) }
