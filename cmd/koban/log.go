package main

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/koban-pay/koban/book/store"
)

// logFile is a file that is appended to, and can be opened anew after somebody has moved it away.
type logFile struct {
	path string

	mu   sync.Mutex
	file *os.File
}

func openLogFile(path string) (*logFile, error) {
	f, err := store.OpenLog(path)
	if err != nil {
		return nil, fmt.Errorf("the log: %w", err)
	}
	return &logFile{path: path, file: f}, nil
}

// Write implements io.Writer.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Write(p)
}

// reopen opens the path again. If that fails, the log goes on where it is.
func (l *logFile) reopen() error {
	f, err := store.OpenLog(l.path)
	if err != nil {
		return fmt.Errorf("the log goes on where it was: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.file
	l.file = f
	return old.Close()
}

// logTo returns the log of a platform: everything in a file or on the console if path says so, else what
// needs attention, on the console. rotate opens the file anew; it is nil if there is none.
func logTo(path string, console io.Writer) (log *slog.Logger, rotate func() error, err error) {
	level := slog.LevelInfo
	switch path {
	case "":
		level = slog.LevelWarn
	case "-":
	default:
		if err := onlyLog(path); err != nil {
			return nil, nil, err
		}
		f, err := openLogFile(path)
		if err != nil {
			return nil, nil, err
		}
		console, rotate = f, f.reopen // open until the process ends
	}
	return slog.New(slog.NewJSONHandler(console, &slog.HandlerOptions{Level: level})), rotate, nil
}

// logLine is how every line of a log begins.
const logLine = `{"time":`

// onlyLog refuses a file that holds something that is no log: a key or a database would be of no use with
// lines behind it.
func onlyLog(path string) error {
	if head := headOf(path); head != "" && head != logLine {
		return fmt.Errorf("--log %s holds something that is no log, and nothing was written to it: name another file", path)
	}
	return nil
}

// writesOver refuses to write over a file that begins in none of the ways in which what is written there
// does: a flag that names a key or a database must not cost it.
func writesOver(flag, path string, begins ...string) error {
	head := headOf(path)
	for _, b := range begins {
		if strings.HasPrefix(head, b) {
			return nil
		}
	}
	if head == "" || path == "" || path == "-" {
		return nil
	}
	return fmt.Errorf("%s=%s: that file is there and holds something else; nothing was written to it: name another", flag, path)
}

// headOf returns how a file begins; nothing if it cannot be read, for whoever opens it to write says why.
func headOf(path string) string {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	head := make([]byte, len(logLine))
	n, err := io.ReadFull(f, head)
	if cmp.Or(err, f.Close()) != nil && n == 0 {
		return ""
	}
	return string(head[:n])
}

// onHangup does what SIGHUP asks for, until the process ends: a log file is opened anew, as those who rotate
// logs expect, and a certificate is read again. Where there is neither, the terminal has gone, and stop is
// called.
func onHangup(log *slog.Logger, reload func() error, stop func()) {
	hung := make(chan os.Signal, 1)
	signal.Notify(hung, syscall.SIGHUP)
	go func() {
		for range hung {
			if reload == nil {
				stop()
				return
			}
			if err := reload(); err != nil {
				log.Error("what SIGHUP asked for failed in part", "error", err)
			} else {
				log.Info("files were opened and read anew, as SIGHUP asked")
			}
		}
	}()
}
