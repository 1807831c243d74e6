package judge

import (
	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/book/journal"
	feedv1 "github.com/koban-pay/koban/gen/koban/feed/journal/v1"
	"github.com/koban-pay/koban/internal/id"
)

// feedSuffix ends the name of the sequencing book of a service.
const feedSuffix = ".feed"

// following is how far a feed has followed one volume, and what it or the volume has shown of its hashes alone.
type following struct {
	seq    uint64
	hashes map[uint64]journal.Hash // of blocks that only one of both has shown
	last   map[id.Tenant]uint64    // of a feed's numbers, by tenant; in the following of volume -1
}

// maxHashes is how many blocks a feed may be behind and still have every hash compared.
const maxHashes = 1 << 16

func (j *Judge) following(name string) *following {
	f := j.feeds[name]
	if f == nil {
		f = &following{hashes: map[uint64]journal.Hash{}, last: map[id.Tenant]uint64{}}
		j.feeds[name] = f
	}
	return f
}

// numbered notes the hash of a block, for the feed that follows it.
func (j *Judge) numbered(at *ledgerBook, seq uint64, hash journal.Hash) {
	if at.base > 0 || j.witnesses[at.service] == nil {
		return
	}
	f := j.following(at.Book)
	if said, ok := f.hashes[seq]; ok {
		j.check(said == hash, "I25", at.Book, Name{}, "block %d is %x, and its feed has followed %x", seq, hash[:8], said[:8])
		delete(f.hashes, seq)
	} else if seq > f.seq && len(f.hashes) < maxHashes {
		f.hashes[seq] = hash
	}
}

// followed judges what a feed has followed: every volume forwards, blocks that exist, and numbers without gaps (I25).
func (j *Judge) followed(e *Event, b *journal.Block) {
	of := e.at.service[:len(e.at.service)-len(feedSuffix)]
	for _, ev := range b.Events {
		if ev.Type < book.FirstEventType {
			continue
		}
		var m feedv1.Sequenced
		err := read(ev.Body, &m)
		if ev.Type != book.FirstEventType {
			err = errType
		}
		if err != nil {
			e.Wrong("I24", Name{}, "event of type %d cannot be read: %v", ev.Type, err)
			continue
		}
		for _, s := range m.Steps {
			j.step(e, book.Name(of, int(s.Volume)), s)
			for _, r := range s.Runs {
				last := j.following(e.at.Book).last
				t := id.Tenant(r.Tenant)
				e.Check(r.First == last[t]+1 && r.Count > 0 || e.based() && last[t] == 0, "I25", Name{}, "tenant %d got the numbers from %d on, after %d", t, r.First, last[t])
				last[t] = r.First + uint64(r.Count) - 1
			}
		}
	}
}

// step judges one block that was followed. A feed goes over blocks in which it finds nothing.
func (j *Judge) step(e *Event, name string, s *feedv1.Step) {
	f := j.following(name)
	e.Check(s.Seq > f.seq, "I25", Name{}, "it followed block %d of %s, after block %d", s.Seq, name, f.seq)
	hash := journal.Hash(s.Hash)
	if has, ok := f.hashes[s.Seq]; ok {
		e.Check(has == hash, "I25", Name{}, "it followed block %d (%x) of %s, which is %x", s.Seq, hash[:8], name, has[:8])
	} else if !e.based() && j.open(name).base == 0 && s.Seq > j.open(name).Seq && len(f.hashes) < maxHashes {
		f.hashes[s.Seq] = hash
	}
	for n := range f.hashes {
		if n <= s.Seq && n <= j.open(name).Seq {
			delete(f.hashes, n)
		}
	}
	f.seq = s.Seq
}
