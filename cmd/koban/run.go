package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/koban-pay/koban/internal/term"
	"github.com/koban-pay/koban/judge/watch"
	"github.com/koban-pay/koban/platform"
)

type runCmd struct {
	Data          string      `help:"The folder for platform.json, and for the books unless they are on PostgreSQL." default:"./koban-data" type:"path" placeholder:"DIR"`
	Listen        string      `help:"Where to take requests; port 0 takes a free one." default:"127.0.0.1:8080" placeholder:"ADDRESS"`
	MetricsListen string      `help:"Serve /metrics here, without a key, and on the public address to operators' keys only." placeholder:"ADDRESS"`
	Store         string      `help:"Keep the books on PostgreSQL: postgres://user@host/database; a password belongs into $PGPASSFILE or $KOBAN_STORE." env:"KOBAN_STORE" placeholder:"URL"`
	KeyFile       string      `help:"The file of the root key, instead of DIR/root.key, or of the credential root.key of systemd." type:"path" env:"KOBAN_KEY_FILE" placeholder:"FILE"`
	Standby       bool        `help:"Wait while another process holds the store, and take over when it ends."`
	Tenant        string      `help:"Whether to make the demo company: demo or none." enum:"demo,none" default:"demo"`
	Volumes       volumeCount `help:"How many volumes the books of a new platform are cut into, for good." placeholder:"8"`
	JudgeEvery    rest        `help:"How long the judge of the running books rests between two sweeps, 1s to 1h; off: nobody judges." default:"5s" placeholder:"5s"`
	JudgeShare    percent     `help:"How much of one core the judge may take, in percent, 1 to 100." default:"5" placeholder:"5"`
	Rehearsal     bool        `help:"Not for production: let operators break participants (koban fault) and move the clock (koban clock). New books are then to rehearse on, for good."`
	StartOver     bool        `help:"The journal is lost: set the old tables apart, and make a new platform."`
	Log           string      `help:"Where to write the log, requests included; - is the standard error. Without it, only what needs attention is written, there." placeholder:"FILE"`

	TLSCert  string `name:"tls-cert" help:"Serve TLS: a PEM file with the certificates, our own first. SIGHUP reads it again." type:"path" placeholder:"FILE"`
	TLSKey   string `name:"tls-key" help:"The key of --tls-cert." type:"path" placeholder:"FILE"`
	Insecure bool   `help:"Allow --listen to open the door to other machines without TLS."`

	Mortal bool `hidden:"" help:"On SIGUSR1, die at the step of the next payment that DIR/die-at-step names."`
}

// Help says more than one line can.
func (runCmd) Help() string {
	return `Without --store, everything is in the data folder: the journal, which is the record, and state tables, which can be
rebuilt from it. Once the platform is ready, platform.json there tells where it is and which keys it has.

Stop it with Ctrl-C or SIGTERM: it finishes what is under way. Or kill it whenever you like: what was acknowledged is
kept, and what was under way goes on at the next start.

While it runs, a judge holds the journal to the invariants and compares every row of the tables with it, again and again.
What it finds is in the log, in /metrics (koban_judge_…) and in /healthz; payments go on. By default it finds a changed
account within a minute: a longer --judge-every finds it that much later, and a higher --judge-share sweeps large books
sooner. With --judge-every off, only koban verify judges them.`
}

// rest is how long the judge rests between two sweeps; 0: there is none.
type rest time.Duration

// The metrics say it in seconds.
const (
	leastRest = time.Second
	mostRest  = time.Hour
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (x *rest) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*x = 0
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d < leastRest || d > mostRest || d%time.Second != 0 {
		return fmt.Errorf("%q: expected off, or whole seconds from 1s to 1h, such as 5s or 2m", text)
	}
	*x = rest(d)
	return nil
}

// percent is a share of one core.
type percent int

// UnmarshalText implements encoding.TextUnmarshaler.
func (x *percent) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 || n > 100 {
		return fmt.Errorf("%q: expected a whole number from 1 to 100, such as 5", text)
	}
	*x = percent(n)
	return nil
}

// Run runs the platform until it is told to stop.
func (x *runCmd) Run(c *console) (err error) {
	tune(c.env)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log, rotate, err := logTo(x.Log, c.err)
	if err != nil {
		return err
	}
	config := platform.Config{
		Data: x.Data, StoreURL: x.Store, KeyFile: keyFile(x.KeyFile, c.env), Standby: x.Standby,
		Listen: x.Listen, MetricsListen: x.MetricsListen, Tenant: x.Tenant, Volumes: int(x.Volumes),
		Rehearsal: x.Rehearsal, StartOver: x.StartOver,
		Log: log, Fatal: func(err error) { os.Exit(exitCode(err, c)) },
		Watchman: watch.Pace{Off: x.JudgeEvery == 0, Rest: time.Duration(x.JudgeEvery), Share: int(x.JudgeShare)},
	}
	config.TLSCert, config.TLSKey, config.Insecure = x.TLSCert, x.TLSKey, x.Insecure
	if x.Mortal {
		config.Watch = platform.Mortal(ctx, x.Data)
	}
	if x.Standby {
		fmt.Fprintln(c.out, "Starting, as soon as nobody else holds the store.")
	}
	var serving atomic.Pointer[platform.App]
	onHangup(log, x.reloads(&serving, rotate), stop)
	platform, err := platform.Start(ctx, config)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	serving.Store(platform)
	x.greet(c.out, platform)
	<-ctx.Done()
	stop() // a second Ctrl-C ends it at once
	fmt.Fprintln(c.out, "Stopping: what is under way is finished first.")
	return platform.Close(context.Background())
}

// reloads returns what SIGHUP asks for, nil if there is nothing to read or open again. While a platform starts, or stands
// by, it has read nothing yet that it would read again but its log.
func (x *runCmd) reloads(serving *atomic.Pointer[platform.App], rotate func() error) func() error {
	if rotate == nil && x.TLSCert == "" {
		return nil
	}
	return func() (err error) {
		if rotate != nil {
			err = rotate()
		}
		if p := serving.Load(); p != nil {
			err = errors.Join(err, p.Reload())
		}
		return err
	}
}

// keyFile says where the root key is: as named, or as systemd hands it over; "" means the data folder.
func keyFile(named string, env func(string) string) string {
	if dir := env("CREDENTIALS_DIRECTORY"); named == "" && dir != "" {
		if path := filepath.Join(dir, platform.RootKeyFile); exists(path) {
			return path
		}
	}
	return named
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

func (x *runCmd) greet(w *term.Writer, p *platform.App) {
	if state := p.RehearsalState(); state != "" {
		printRehearsal(w, state)
		fmt.Fprintf(w, "%s\n\n", w.Warn("Not for production: whoever has an operator's key can break participants and move the clock."))
	}
	fmt.Fprintf(w, "%s is ready at %s\n", w.Bold("Koban"), w.Mark(p.Card.Address))
	t := w.Table("", "")
	if door := p.Listening; !strings.HasSuffix(p.Card.Address, "//"+door) || x.Insecure {
		if x.TLSCert == "" {
			door += ", " + w.Warn("without TLS: whoever is on the way reads the keys of callers")
		}
		t.Row(w.Dim("  listens on"), door)
	}
	t.Row(w.Dim("  books"), p.Books())
	if p.Card.Demo {
		t.Row(w.Dim("  demo"), w.Warn("the money in these books is made up, for good"))
	}
	if p.Card.Demo && x.Tenant == "none" {
		t.Row("", "--tenant none has changed nothing: name a folder without books to have a company of your own")
	}
	if !p.Card.Demo && len(p.Card.Customers) == 0 {
		t.Row(w.Dim("  first"), "POST /v1/merchants and POST /v1/customers with the operator's key: docs/guides/run-in-production.md")
	}
	if len(p.Card.Customers) > 0 {
		t.Row(w.Dim("  company"), fmt.Sprintf("%d customers, %d shops", len(p.Card.Customers),
			len(p.Card.Merchants)))
	}
	t.Row(w.Dim("  API"), p.Card.Address+"/openapi.yaml")
	t.Row(w.Dim("  keys"), filepath.Join(p.Data, "platform.json"))
	if p.Card.Metrics != "" {
		t.Row(w.Dim("  metrics"), p.Card.Metrics)
	}
	t.Print()
	with := ""
	if p.Data != defaultData() {
		with = " --data " + quoted(p.Data)
	}
	fmt.Fprintf(w, "\nFrom another terminal:\n")
	for _, command := range []string{"pay", "payments", "explain pay_…", "verify"} {
		fmt.Fprintf(w, "  koban %s%s", command, with)
		switch {
		case command != "verify" || x.Store == "":
		case showsPassword([]string{x.Store}):
			fmt.Fprintf(w, "   (with KOBAN_STORE as it is here)")
		default:
			fmt.Fprintf(w, " --store %s", quoted(x.Store))
		}
		fmt.Fprintln(w)
	}
}

// quoted returns a word as a shell reads it back.
func quoted(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-:@%+,=") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// defaultData is the folder that the other commands look at by themselves.
func defaultData() string {
	dir, err := filepath.Abs("koban-data")
	if err != nil {
		return ""
	}
	return dir
}
