package journal

import "github.com/koban-pay/koban/internal/clock"

// Outcome is how an append or a check ended.
type Outcome uint8

// The outcomes.
const (
	Durable Outcome = iota + 1 // the block is on disk (of a check: the head is still ours)
	Fenced                     // another writer's block stands there: drop all memory of the book, answer nothing
	Failed                     // Err says why; nobody knows more. The book must stop; usually the process does
)

// Result is how an append or a check ended. Err is set for Failed only.
type Result struct {
	Outcome Outcome
	Err     error
}

// Config sets up an Appender.
type Config struct {
	Clock clock.Clock // paces what is offered again; nil means the system's
	// Fatal is called, once, when the process must end: an fsync failed or the database is damaged. It must not return to
	// business. Until it has ended the process, nothing is reported durable.
	Fatal func(error)
}

// Appender writes the blocks of many books, all that wait in one commit.
type Appender struct{}

// NewAppender starts an appender on j.
func NewAppender(j *Journal, c Config) *Appender { panic("skeleton") }

// Append offers a sealed block and returns at once. done is called exactly once, from another goroutine, as soon as the
// outcome is known; it must be quick, and may call Append. At most one block per book may be under way.
func (a *Appender) Append(b *Block, done func(Result)) { panic("skeleton") }

// Check asks whether h is still the head of its book: Durable or Fenced. For SQLite, where the directory's lock stands for
// the check, done is called before Check returns; else from another goroutine.
func (a *Appender) Check(h Head, done func(Result)) { panic("skeleton") }

// PutNotes writes notes in the next commit. A note that stands already is left as it is. done gets nil once they are
// durable.
func (a *Appender) PutNotes(notes []Note, done func(error)) { panic("skeleton") }

// Close stops the appender. What is under way is finished if the database answers, else reported as Failed.
func (a *Appender) Close() error { panic("skeleton") }
