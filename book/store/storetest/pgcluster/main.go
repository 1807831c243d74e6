package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/koban-pay/koban/book/store/storetest"
)

func main() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "usage: pgcluster -- command arguments…")
		os.Exit(2)
	}
	os.Exit(run(args))
}

func run(args []string) int {
	cluster, err := storetest.Start("")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	defer cluster.Stop()
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT) // the command gets it too, and ends; we stay to clean up
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), storetest.Variable+"="+cluster.URL)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1)
	default:
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
}
