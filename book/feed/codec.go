package feed

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/gen/koban/feed/journal/v1"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/wire"
)

const sequencedType = book.FirstEventType

// Encode implements book.Machine.
func (m *Machine) Encode(ev any) (uint32, []byte) {
	e := ev.(*Sequenced)
	p := &feedjournalv1.Sequenced{Steps: make([]*feedjournalv1.Step, len(e.Steps))}
	for i := range e.Steps {
		s := &e.Steps[i]
		step := &feedjournalv1.Step{Volume: uint32(s.Volume), Seq: s.Seq, Hash: s.Hash[:]}
		for _, r := range s.Runs {
			step.Runs = append(step.Runs, &feedjournalv1.Run{Tenant: uint32(r.Tenant), First: r.First, Count: uint32(r.Count)})
		}
		p.Steps[i] = step
	}
	return sequencedType, marshal(p)
}

// Decode implements book.Machine.
func (m *Machine) Decode(typ uint32, body []byte) (any, error) {
	if typ != sequencedType {
		return nil, fmt.Errorf("feed: there is no event of type %d", typ)
	}
	var r wire.Reader
	p := wire.Read(&r, body, &feedjournalv1.Sequenced{})
	e := &Sequenced{Steps: make([]Step, 0, len(p.Steps))}
	for _, step := range p.Steps {
		s := Step{Volume: int(r.Number("a volume", int64(step.Volume), 0, id.Slots-1)), Seq: number(&r, step.Seq), Hash: r.Hash(step.Hash)}
		for _, run := range step.Runs {
			first, count := number(&r, run.First), uint64(r.Number("a run", int64(run.Count), 1, journal.MaxEvents))
			s.Runs = append(s.Runs, Run{id.Tenant(run.Tenant), first, count})
		}
		e.Steps = append(e.Steps, s)
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("feed: Sequenced: %w", err)
	}
	return e, nil
}

// number reads the number of a block or of an event. They count from 1, and the tables have them as 64 bits with a sign.
func number(r *wire.Reader, n uint64) uint64 {
	if n == 0 || n > math.MaxInt64 {
		r.Fail("a number of %d", n)
	}
	return n
}

func encodePage(g *page) []byte {
	p := &feedjournalv1.Page{
		Skip: uint32(g.Skip), Volumes: make([]uint32, len(g.Places)), Seqs: make([]uint64, len(g.Places)),
		Counts: make([]uint32, len(g.Places)),
	}
	for i, w := range g.Places {
		p.Volumes[i], p.Seqs[i], p.Counts[i] = w.Volume, w.Seq, w.Count
	}
	return marshal(p)
}

func decodePage(raw []byte) (page, error) {
	var r wire.Reader
	p := wire.Read(&r, raw, &feedjournalv1.Page{})
	if err := r.Err(); err != nil {
		return page{}, fmt.Errorf("feed: page: %w", err)
	}
	if len(p.Volumes) != len(p.Seqs) || len(p.Counts) != len(p.Seqs) {
		return page{}, fmt.Errorf("feed: page: lists of %d, %d and %d", len(p.Volumes), len(p.Seqs), len(p.Counts))
	}
	g := page{Skip: uint64(p.Skip), Places: make([]place, len(p.Seqs))}
	for i := range p.Seqs {
		g.Places[i] = place{Seq: p.Seqs[i], Volume: p.Volumes[i], Count: p.Counts[i]}
	}
	return g, nil
}

// marshal is deterministic: tables that are rebuilt have the same bytes (rule B10).
func marshal(p proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		panic("feed: " + err.Error()) // only text that is not UTF-8 can fail, and there is none
	}
	return b
}
