package payment

import (
	"context"
	"sort"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/tcc"
)

// Story is everything that is known about one payment.
type Story struct {
	Payment *Payment
	Steps   []StoryStep
	Owed    []Duty
	Entries []tcc.Entry
	Blocks  []StoryBlock
	Refunds []*Payment
}

// StoryStep is one event of the payment's own book, and where the payment stood after it.
type StoryStep struct {
	At       clock.Micros
	Event    string
	Standing Standing
	Attempts uint32
	Code     fault.Code
	Block    tcc.BlockRef
	Public   string // the type of the public event that it is, "" if it is none
}

// Duty is one thing that is owed, and when it is tried next.
type Duty struct {
	Verb     Verb
	Part     *Part
	DueAt    clock.Micros
	Attempts uint32
	Code     fault.Code
	Layer    string // worker, queue or sweep
}

// StoryBlock is one block that holds something of the payment.
type StoryBlock struct {
	tcc.BlockRef
	At     clock.Micros
	Hash   journal.Hash
	Prev   journal.Hash
	Events int // of the payment
}

// Explain tells everything about a payment. It only reads.
func (s *Service) Explain(ctx context.Context, t id.Tenant, x id.ID, blocks Blocks, entries map[Participant]Entries) (*Story, error) {
	p, err := s.Get(ctx, t, x)
	if err != nil {
		return nil, err
	}
	st := &Story{Payment: p, Owed: s.duties(p)}
	found := newShelf(blocks)
	if err := st.steps(ctx, found, s.book(x).Name()); err != nil {
		return nil, err
	}
	for who, e := range entries {
		list, err := e.Entries(ctx, t, x, receipts(p, who))
		if err != nil {
			return nil, err
		}
		st.Entries = append(st.Entries, list...)
		for _, en := range list {
			if err := found.count(ctx, tcc.BlockRef{Book: en.Book, Seq: en.Seq}); err != nil {
				return nil, err
			}
		}
	}
	sort.SliceStable(st.Entries, func(i, j int) bool { return st.Entries[i].At < st.Entries[j].At })
	st.Blocks = found.list()
	if p.Kind == Charge && s.tables.db != nil { // without tables nobody knows of them
		st.Refunds, _, err = s.List(ctx, Filter{Tenant: t, Parent: x, Limit: 100})
	}
	return st, err
}

// receipts returns what a participant answered that it wrote.
func receipts(p *Payment, who Participant) (out []tcc.Receipt) {
	for _, x := range p.Parts {
		for _, a := range x.Answers {
			if x.Participant == who && a.Seq > 0 {
				out = append(out, tcc.Receipt{Book: a.Book, Seq: a.Seq, At: a.At})
			}
		}
	}
	return out
}

// steps walks the payment's own blocks.
func (st *Story) steps(ctx context.Context, found *shelf, name string) error {
	p := st.Payment
	var at Standing
	for _, seq := range p.Blocks {
		ref := tcc.BlockRef{Book: name, Seq: seq}
		b, err := found.get(ctx, ref)
		if err != nil {
			return err
		}
		for _, raw := range b.Events {
			if raw.Type < book.FirstEventType {
				continue
			}
			ev, err := decode(raw.Type, raw.Body)
			if err != nil {
				return fault.DataDamaged.New("book %s: block %d is not understood", name, seq).Because(err)
			}
			step, ok := tell(ev, p, &at)
			if !ok {
				continue
			}
			step.At, step.Block = b.At, ref
			st.Steps = append(st.Steps, step)
			if err := found.count(ctx, ref); err != nil {
				return err
			}
		}
	}
	return nil
}

// tell turns an event into a step, if it is one of the payment's; at is where the payment stood and stands.
func tell(ev any, p *Payment, at *Standing) (StoryStep, bool) {
	var s StoryStep
	switch e := ev.(type) {
	case Started:
		if e.Payment.ID != p.ID {
			return s, false
		}
		s.Event, *at = "started", e.Payment.Standing
		s.Public = publicType(p.Kind, at.Status)
	case Advanced:
		if e.Parent == p.ID && e.Standing.Status == Succeeded {
			s.Event, at.Status = "refunded", p.Status
			break
		}
		if e.ID != p.ID {
			return s, false
		}
		s.Event, s.Attempts = "answered", tries(e.Answers)
		s.Code = firstCode(e.Answers)
		if *at = e.Standing; at.Resource != WorkInProgress {
			s.Public = publicType(p.Kind, at.Status)
		}
	case Deferred:
		if e.ID != p.ID {
			return s, false
		}
		s.Event, s.Attempts, s.Code = "deferred", e.Attempts, e.Code
	case Decided:
		if e.ID != p.ID {
			return s, false
		}
		s.Event, *at = e.Cause.String(), e.Standing
	default:
		return s, false
	}
	s.Standing = *at
	return s, true
}

func tries(list []Answer) (n uint32) {
	for _, a := range list {
		n = max(n, a.Attempts)
	}
	return n
}

func firstCode(list []Answer) fault.Code {
	for _, a := range list {
		if a.Code != "" {
			return a.Code
		}
	}
	return ""
}

// duties returns what is owed next and when.
func (s *Service) duties(p *Payment) []Duty {
	var out []Duty
	running := s.running(book.Key{Tenant: p.Tenant, ID: p.ID})
	for _, st := range Owed(p) {
		d := Duty{Verb: st.Verb, Part: st.Part, Code: st.Part.Code, Attempts: p.Attempts, DueAt: s.Clock.Now(), Layer: "worker"}
		switch {
		case running:
		case dueAt(p) > 0 && !s.Layers.NoQueue:
			d.DueAt, d.Layer = dueAt(p), "queue"
		default:
			d.DueAt, d.Layer = s.Clock.Now().Add(s.Timing.Sweep), "sweep"
		}
		out = append(out, d)
	}
	return out
}

// shelf reads each block once, and counts how many events of the payment it holds.
type shelf struct {
	from   Blocks
	blocks map[tcc.BlockRef]*journal.Block
	events map[tcc.BlockRef]int
}

func newShelf(from Blocks) *shelf {
	return &shelf{from: from, blocks: make(map[tcc.BlockRef]*journal.Block), events: make(map[tcc.BlockRef]int)}
}

func (s *shelf) get(ctx context.Context, r tcc.BlockRef) (*journal.Block, error) {
	if b := s.blocks[r]; b != nil {
		return b, nil
	}
	list, err := s.from.Read(ctx, r.Book, r.Seq, 1)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fault.DataDamaged.New("book %s: block %d is missing", r.Book, r.Seq)
	}
	s.blocks[r] = list[0]
	return list[0], nil
}

func (s *shelf) count(ctx context.Context, r tcc.BlockRef) error {
	if _, err := s.get(ctx, r); err != nil {
		return err
	}
	s.events[r]++
	return nil
}

func (s *shelf) list() []StoryBlock {
	out := make([]StoryBlock, 0, len(s.blocks))
	for r, b := range s.blocks {
		out = append(out, StoryBlock{BlockRef: r, At: b.At, Hash: b.Hash, Prev: b.Prev, Events: s.events[r]})
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		if a.At != b.At {
			return a.At < b.At
		}
		if a.Book != b.Book {
			return a.Book < b.Book
		}
		return a.Seq < b.Seq
	})
	return out
}

// sentence tells a person what a step was.
func sentence(s StoryStep) string {
	st := s.Standing
	switch {
	case s.Event == "started":
		return "accepted: durable before anybody was called"
	case s.Event == "deferred":
		return "no certain answer; back in the queue"
	case s.Event == "refunded":
		return "a refund of it succeeded"
	case s.Event == "give_up":
		return "undecided for too long: decided to cancel"
	case s.Event == "expiry":
		return "the authorization lapsed: decided to cancel"
	case s.Event == "capture":
		return "captured by request: decided to confirm"
	case s.Event == "void":
		return "voided by request: decided to cancel"
	case st.Resource != WorkInProgress:
		return "everything is done; announced as " + st.Status.String()
	case st.Decision == Confirm && st.Phase == ConfirmPhase:
		return "decided to confirm: nothing turns it round"
	case st.Decision == Authorize:
		return "everything is held: the authorization stands"
	case st.Decision == Cancel:
		return "decided to cancel: everything held is let go"
	default:
		return "participants answered"
	}
}
