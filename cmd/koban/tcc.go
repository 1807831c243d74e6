package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/proof/conform"
	"github.com/koban-pay/koban/proof/sample"
	"github.com/koban-pay/koban/proof/sample/broken"
	"github.com/koban-pay/koban/tcc/wire"
)

type tccCmd struct {
	Test        tccTestCmd   `cmd:"" help:"Examine a service of your own: does it keep the contract that payments rely on?"`
	ServeSample tccSampleCmd `cmd:"" name:"serve-sample" help:"Run a sample participant: one to copy from, or one that is broken on purpose."`
}

type tccTestCmd struct {
	URL      string      `arg:"" help:"Where it answers: http://host/path (its /try, /confirm, /cancel), or grpc://host:port."`
	Account  []string    `help:"An account of the service, with --amount available, that nobody else uses. Give two for all checks." placeholder:"ID"`
	Currency string      `help:"What the account holds: a currency of ISO 4217, or PT for points." default:"PT" placeholder:"CODE"`
	Amount   *minorUnits `help:"What is available on each account, in minor units: at least 10000. What the kit confirms is gone afterwards." placeholder:"N"`
	Setup    string      `help:"Hooks that open accounts, instead of --account: POST URL/open, and if there are, URL/balance and URL/suspend." placeholder:"URL"`
	Add      bool        `help:"The service can be given value: it answers /add."`
	Restart  string      `help:"A command that kills the service and starts it again, for the checks of crashes." placeholder:"COMMAND"`
	Header   []string    `help:"A header for every request, such as 'Authorization: Bearer KEY'." placeholder:"'NAME: VALUE'" sep:"none"`
	Tenant   uint32      `help:"The company that the requests are for." default:"1" placeholder:"N"`
	Timeout  period      `help:"How long the platform waits for an answer." default:"2s" placeholder:"DURATION"`
	Only     []string    `help:"Run these checks alone." placeholder:"CHECK,…"`
	JSON     string      `name:"json" help:"Also write the report as JSON; - for the standard output, instead of the text." placeholder:"FILE"`
	HTML     string      `name:"html" help:"Also write the report as one HTML page." placeholder:"FILE"`
}

// Help says more than one line can.
func (tccTestCmd) Help() string {
	return `It sends what a platform under faults sends: duplicates, requests out of order, late, at once, cut off and wrong. For each
check that fails it says what was sent, what came back, why it matters and what to change. What could not be run is named, and
never counts as passed. Exit codes: 0 all that ran passed, 1 something failed, 2 it could not run.
The contract, and how to read the report: docs/guides/integrate-your-own-service.md.`
}

// Run examines a participant.
func (x *tccTestCmd) Run(c *console) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := cmp.Or(writesOver("--json", x.JSON, "{"), writesOver("--html", x.HTML, "<!doctyp")); err != nil {
		return err
	}
	o, err := x.options(c)
	if err != nil {
		return err
	}
	n := 0
	report, err := conform.Run(ctx, o, func(k conform.Check) {
		if n++; c.err.Colour() {
			fmt.Fprintf(c.err, "\r\x1b[K%d %s", n, k.Name)
		}
	})
	if c.err.Colour() {
		fmt.Fprint(c.err, "\r\x1b[K")
	}
	if err != nil {
		return err
	}
	if err := x.write(c, report); err != nil {
		return err
	}
	if !report.OK {
		return quiet(exitRefused)
	}
	return nil
}

func (x *tccTestCmd) options(c *console) (conform.Options, error) {
	currency, err := money.ParseCurrency(x.Currency)
	if err != nil {
		return conform.Options{}, fmt.Errorf("--currency: %w", err)
	}
	o := conform.Options{
		URL: x.URL, Tenant: id.Tenant(x.Tenant), Currency: currency, Accounts: x.Account,
		Amount: x.Amount.orZero(), Setup: x.Setup,
		Add: x.Add, Timeout: time.Duration(x.Timeout), Only: x.Only, Header: http.Header{},
	}
	for _, h := range x.Header {
		name, value, ok := strings.Cut(h, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return o, fmt.Errorf("--header: expected 'Name: value', found no colon")
		}
		o.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if x.Restart != "" {
		o.Restart = func(ctx context.Context) error { return shell(ctx, x.Restart, c.err) }
	}
	return o, nil
}

// shell runs a command, and does not wait for what it leaves running.
func shell(ctx context.Context, command string, said io.Writer) error {
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Stderr, cmd.WaitDelay = said, 100*time.Millisecond
	if err := cmd.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return fmt.Errorf("--restart: %s: %w", command, err)
	}
	return nil
}

func (x *tccTestCmd) write(c *console, r *conform.Report) error {
	if x.JSON == "-" {
		printJSON(c.out, r)
	} else {
		r.Print(c.out)
	}
	if x.JSON != "" && x.JSON != "-" {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := store.WriteFileAtomic(x.JSON, append(text, '\n'), 0o644); err != nil {
			return fmt.Errorf("--json: %w", err)
		}
	}
	if x.HTML != "" {
		var page strings.Builder
		if err := r.WriteHTML(&page); err != nil {
			return err
		}
		if err := store.WriteFileAtomic(x.HTML, []byte(page.String()), 0o644); err != nil {
			return fmt.Errorf("--html: %w", err)
		}
	}
	return nil
}

type tccSampleCmd struct {
	Listen string `help:"Where it answers, over HTTP and gRPC." default:"127.0.0.1:9090" placeholder:"HOST:PORT"`
	Data   string `help:"Its journal: a file. Without one it forgets when it ends." type:"path" placeholder:"FILE"`
	Broken string `help:"Be wrong in one way, named after the check that finds it; 'list' lists them." placeholder:"CHECK"`
}

// Run serves the sample participant until it is told to stop.
func (x *tccSampleCmd) Run(c *console) error {
	if x.Broken == "list" {
		fmt.Fprintln(c.out, strings.Join(broken.Names(), "\n"))
		return nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	clk := clock.NewSystem()
	now := func() time.Time { return clk.Now().Time() }
	if x.Data != "" {
		if err := errors.Join(os.MkdirAll(filepath.Dir(x.Data), 0o750), broken.Forget(x.Broken, x.Data)); err != nil {
			return err
		}
	}
	service, err := sample.Open(x.Data, now)
	if err != nil {
		return err
	}
	defer service.Close() //nolint:errcheck // each answer was durable before it was given
	verbs := service.Handler()
	if x.Broken != "" {
		pause := func(d time.Duration) { <-clock.Pause(d) }
		if verbs, err = broken.Handler(x.Broken, service, now, pause); err != nil {
			return err
		}
	}
	if _, there := service.Account("member-2"); !there {
		for range 2 {
			if _, err := service.Open(sample.Amount{Currency: "PT", Value: sampleFunds}); err != nil {
				return err
			}
		}
	}
	return x.serve(ctx, c, service, verbs)
}

// sampleFunds is what each of the sample's two accounts begins with, in points.
const sampleFunds = 1_000_000

func (x *tccSampleCmd) serve(ctx context.Context, c *console, service *sample.Service, verbs http.Handler) error {
	mux := http.NewServeMux()
	mux.Handle("/", verbs)
	mux.Handle("/setup/", http.StripPrefix("/setup", service.Setup()))
	mux.Handle(wire.ServicePath, wire.Bridge(verbs))
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, IdleTimeout: time.Minute,
		Protocols: new(http.Protocols),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	listener, err := listen(ctx, x.Listen)
	if err != nil {
		return err
	}
	url := "http://" + listener.Addr().String()
	fmt.Fprintf(c.out, "%s\n  %s --setup %s/setup --add\n", url, c.out.Mark("koban tcc test "+url), url)
	if a, _ := service.Account("member-1"); a.Available >= conform.MinAmount {
		fmt.Fprintf(c.out, "  %s --account member-1 --account member-2 --amount %d\n", c.out.Mark("koban tcc test "+url), a.Available)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return server.Close()
	}
}

// listen takes an address, and waits a little for one who was killed to leave it.
func listen(ctx context.Context, address string) (net.Listener, error) {
	for try := 0; ; try++ {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if !errors.Is(err, syscall.EADDRINUSE) || try == 50 {
			return l, err
		}
		<-clock.Pause(100 * time.Millisecond)
	}
}
