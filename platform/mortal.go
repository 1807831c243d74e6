package platform

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/payment"
)

// DieFile is the file in the data folder that says at which step to die.
const DieFile = "die-at-step"

// DieAtDecision is what DieFile says instead of a number for dying at the next decision to confirm.
const DieAtDecision = "decision"

// Mortal returns a watch that lets the process die in the middle of a payment, to show that this harms nothing. On
// SIGUSR1 it reads a number n from the file die-at-step in dir, removes the file, and waits for the next payment that
// starts. A step is one event of that payment, in whichever book; the process kills itself as soon as n of them are
// durable, and at the latest before the event that would complete the payment becomes so. It therefore always dies while
// the payment is WORK_IN_PROGRESS.
//
// If the file says DieAtDecision instead, the process kills itself as soon as any payment's decision to confirm is
// durable, before the first of its participants is asked to confirm.
func Mortal(ctx context.Context, dir string) func(book.Log) book.Log {
	return func(log book.Log) book.Log {
		m := &mortal{Log: log, kill: die}
		armed := make(chan os.Signal, 1)
		signal.Notify(armed, syscall.SIGUSR1)
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-armed:
					m.arm(filepath.Join(dir, DieFile))
				}
			}
		}()
		return m
	}
}

// mortal counts the steps of one payment as they are written.
type mortal struct {
	book.Log
	kill func()

	mu   sync.Mutex
	at   int   // the step to die at; 0: none
	next bool  // die at the next decision to confirm
	prey id.ID // the payment; nil until it starts
	done int   // its steps that are durable
}

func (m *mortal) arm(path string) {
	text, err := store.ReadPrivate(path)
	word := strings.TrimSpace(string(text))
	n, bad := strconv.Atoi(word)
	next := word == DieAtDecision
	if err != nil || !next && (bad != nil || n < 1) {
		fmt.Fprintf(os.Stderr, "koban: %s: expected the number of a step or the word %s, found %q\n", path, DieAtDecision, text)
		return
	}
	m.mu.Lock()
	m.at, m.next, m.prey, m.done = n, next, id.Nil, 0
	m.mu.Unlock()
	_ = os.Remove(path) // its going says that the process is armed
}

// Write writes what is to be written, and dies where it has to.
func (m *mortal) Write(ctx context.Context, w journal.Batch) (journal.Fate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	steps, last := m.look(w.Blocks)
	if last {
		m.kill()
	}
	decides := m.next && decides(w.Blocks)
	fate, err := m.Log.Write(ctx, w)
	if err == nil {
		if m.done += steps; decides || m.at > 0 && m.done >= m.at {
			m.kill()
		}
	}
	return fate, err
}

// decides reports whether a payment's decision to confirm stands in blocks.
func decides(blocks []*journal.Block) bool {
	machine := payment.NewMachine(0, 1)
	for _, b := range blocks {
		for _, e := range b.Events {
			var s payment.Standing
			switch ev := decided(machine, b, e).(type) {
			case payment.Advanced:
				s = ev.Standing
			case payment.Decided:
				s = ev.Standing
			}
			if s.Decision == payment.Confirm && s.Resource == payment.WorkInProgress {
				return true
			}
		}
	}
	return false
}

// look counts the payment's steps in blocks, and says whether one of them completes it.
func (m *mortal) look(blocks []*journal.Block) (steps int, last bool) {
	if m.at == 0 {
		return 0, false
	}
	machine := payment.NewMachine(0, 1)
	for _, b := range blocks {
		for _, e := range b.Events {
			ev := decided(machine, b, e)
			if started, ok := ev.(payment.Started); ok && m.prey.IsNil() {
				m.prey = started.Payment.ID
			}
			if m.prey.IsNil() || !bytes.Contains(e.Body, m.prey[:len(m.prey)-1]) { // all but the facet: a branch is of its payment
				continue
			}
			steps++
			if a, ok := ev.(payment.Advanced); ok && a.ID == m.prey && a.Standing.Resource != payment.WorkInProgress {
				last = true
			}
		}
	}
	return steps, last
}

// decided returns an event of a payment's book, nil for any other.
func decided(m *payment.Machine, b *journal.Block, e journal.Event) any {
	if !strings.HasPrefix(b.Book, "payment/") || e.Type < book.FirstEventType {
		return nil
	}
	ev, err := m.Decode(e.Type, e.Body)
	if err != nil {
		return nil
	}
	return ev
}
