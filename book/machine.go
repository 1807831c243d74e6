package book

import (
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// Machine is the deterministic half of a service: one per book, always called by one thread at a time (rule B1).
// None of its methods may read a clock, randomness, configuration that can change, or do I/O.
type Machine interface {
	// Touch declares every row that Decide(cmd) may read. The core fetches what is missing first.
	Touch(cmd any, t *Touch)
	// Decide reads state and writes into out: events, the reply, or a refusal (with or without events). It must not
	// change state. now is the time of the block that will hold the events.
	Decide(now clock.Micros, cmd any, out *Decision)
	// TouchEvent declares every row that Apply(ev) reads or writes; used when a journal is replayed. Keys it must not declare:
	// Apply reads none, and a book that recovers would search its whole index for each.
	TouchEvent(ev any, t *Touch)
	// Apply changes state by one event of block seq, whose time is at. It evaluates no rule: the event carries every
	// outcome. An impossible state is a panic.
	Apply(at clock.Micros, seq uint64, ev any)
	// Encode returns the event's type number (FirstEventType or above) and its protobuf bytes.
	Encode(ev any) (typ uint32, body []byte)
	// Decode is the inverse of Encode. An unknown type or broken body is an error: the book is then refused.
	Decode(typ uint32, body []byte) (any, error)
	// Public returns the tenant whose public feed announces ev, and whether it does (rule: one event, one number).
	Public(ev any) (id.Tenant, bool)
	// Tables lists the machine's state tables, always in the same order.
	Tables() []Table
	// Expire returns the command for the row of table t whose due time has come.
	Expire(t Table, k Key) any
	// Version is the fold version: it goes up when Apply changes its meaning. A book that was opened by a higher
	// version is refused (rule B4), and tables that a lower one has made are rebuilt from the journal.
	Version() uint32
}

// FirstEventType is the lowest type number of a machine's events; lower ones are the kernel's.
const FirstEventType = 16

// Decision collects what one command led to.
type Decision struct {
	Book string // the book that decides
	Seq  uint64 // number of the block that will hold the events

	events []any
	notes  []journal.Note
	reply  any
	after  func() any
	err    *fault.Error
}

// Emit adds an event. Events are encoded and applied in order, after Decide has returned; the book keeps none, so that the
// machine may use their memory again for the next command.
func (d *Decision) Emit(ev any) { d.events = append(d.events, ev) }

// Note is personal data beside the journal. A machine names it by this name: it decides without a store in reach.
type Note = journal.Note

// Note adds personal data that an event of this decision refers to. It becomes durable with the event, or not at all
// (rule B14).
func (d *Decision) Note(n Note) { d.notes = append(d.notes, n) }

// Reply sets the answer.
func (d *Decision) Reply(v any) { d.reply = v }

// ReplyAfter sets a function that makes the answer from the state after the events were applied. What it returns must not
// change with the state.
func (d *Decision) ReplyAfter(f func() any) { d.after = f }

// Refuse sets the fault that the caller is answered with. Events emitted beside it are kept: the refusal of an
// identified command is an event like any other (rule B2).
func (d *Decision) Refuse(err *fault.Error) { d.err = err }

func (d *Decision) reset(book string, seq uint64) {
	*d = Decision{Book: book, Seq: seq, events: d.events[:0]}
}

// Touch collects the rows that are not in memory.
type Touch struct {
	missing []Want
	event   bool // of an event that is replayed
}

// Want names one row to be fetched.
type Want struct {
	Table Table
	Key   Key
	Days  []int64 // of Keys: the segments that may hold it; nil means all
}
