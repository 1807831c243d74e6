package feed

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/koban-pay/koban/gen/koban/feed/journal/v1"
	"github.com/koban-pay/koban/internal/book"
	"github.com/koban-pay/koban/internal/id"
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
	var p feedjournalv1.Sequenced
	if err := proto.Unmarshal(body, &p); err != nil {
		return nil, fmt.Errorf("feed: Sequenced: %w", err)
	}
	e := &Sequenced{Steps: make([]Step, 0, len(p.Steps))}
	for _, step := range p.Steps {
		s := Step{Volume: int(step.Volume), Seq: step.Seq}
		if copy(s.Hash[:], step.Hash) != len(s.Hash) {
			return nil, fmt.Errorf("feed: Sequenced: a hash of %d bytes", len(step.Hash))
		}
		for _, r := range step.Runs {
			s.Runs = append(s.Runs, Run{id.Tenant(r.Tenant), r.First, uint64(r.Count)})
		}
		e.Steps = append(e.Steps, s)
	}
	return e, nil
}

func encodePage(g *page) []byte {
	p := &feedjournalv1.Page{Skip: uint32(g.Skip), Volumes: make([]uint32, len(g.Places)), Seqs: make([]uint64, len(g.Places)),
		Counts: make([]uint32, len(g.Places))}
	for i, w := range g.Places {
		p.Volumes[i], p.Seqs[i], p.Counts[i] = w.Volume, w.Seq, w.Count
	}
	return marshal(p)
}

func decodePage(raw []byte) (page, error) {
	var p feedjournalv1.Page
	if err := proto.Unmarshal(raw, &p); err != nil {
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
