package judge

import (
	"encoding/binary"

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/internal/attic"
	"github.com/koban-pay/koban/internal/id"
)

// records are digests of rows that are not kept in full, or of what callers' keys stand for.
type records interface {
	// bind keeps a digest, and reports whether the row was known before. What is in files tells only later; see Judge.Bound.
	bind(table string, k book.Key, v digest) (known bool)
	put(table string, k book.Key, v digest)
	get(table string, k book.Key) (digest, bool)
	drop(table string, k book.Key)
	size() int
	clear()
}

// inMemory keeps digests by the digests of their keys: all of them in memory, and no more of each than 16 bytes.
type inMemory struct {
	j *Judge
	m map[digest]digest
}

func (r *inMemory) bind(table string, k book.Key, v digest) bool {
	at := r.j.digest(table, k)
	_, known := r.m[at]
	r.m[at] = v
	return known
}

func (r *inMemory) put(table string, k book.Key, v digest) { r.m[r.j.digest(table, k)] = v }

func (r *inMemory) get(table string, k book.Key) (digest, bool) {
	v, ok := r.m[r.j.digest(table, k)]
	return v, ok
}

func (r *inMemory) drop(table string, k book.Key) { delete(r.m, r.j.digest(table, k)) }
func (r *inMemory) size() int                     { return len(r.m) }
func (r *inMemory) clear()                        { clear(r.m) }

// inAttic keeps digests by their keys, in the order of the tables: a sweep finds one beside the other.
type inAttic struct {
	attic  *attic.Attic
	prefix string // of the shelves' names
	tables map[string]*attic.Shelf
	n      int
	clash  func(table string, k book.Key) // may be nil
}

func (r *inAttic) shelf(table string) *attic.Shelf {
	s := r.tables[table]
	if s == nil {
		s = r.attic.Shelf(r.prefix + table)
		if r.clash != nil {
			s.Clash = func(key []byte) { r.clash(table, keyAt(key)) }
		}
		r.tables[table] = s
	}
	return s
}

func (r *inAttic) bind(table string, k book.Key, v digest) bool {
	r.put(table, k, v)
	return false
}

func (r *inAttic) put(table string, k book.Key, v digest) {
	var key [placeBytes]byte
	var value [8]byte
	binary.LittleEndian.PutUint64(value[:], uint64(v))
	r.shelf(table).Put(place(&key, k), value[:])
	r.n++
}

func (r *inAttic) get(table string, k book.Key) (digest, bool) {
	var key [placeBytes]byte
	v, ok := r.shelf(table).Get(place(&key, k))
	if !ok || len(v) < 8 {
		return 0, false
	}
	return digest(binary.LittleEndian.Uint64(v)), true
}

func (r *inAttic) drop(table string, k book.Key) {
	var key [placeBytes]byte
	if at := place(&key, k); r.n > 0 {
		r.shelf(table).Put(at, nil)
	}
}

func (r *inAttic) size() int { return r.n }

func (r *inAttic) clear() {
	for table := range r.tables {
		r.attic.Drop(r.prefix + table)
	}
	clear(r.tables)
	r.n = 0
}

// placeBytes is the size of a key in the attic.
const placeBytes = 4 + len(id.ID{})

// place writes the key of a row as the attic orders it.
func place(to *[placeBytes]byte, k book.Key) []byte {
	binary.BigEndian.PutUint32(to[:], uint32(k.Tenant))
	copy(to[4:], k.ID[:])
	return to[:]
}

// keyAt is the inverse of place.
func keyAt(b []byte) book.Key {
	k := book.Key{Tenant: id.Tenant(binary.BigEndian.Uint32(b))}
	copy(k.ID[:], b[4:])
	return k
}

// Bound says which callers' keys were bound to two things (I21), as far as that was not known at once. It is called once,
// after the last block.
func (j *Judge) Bound() {
	r, ok := j.keys.(*inAttic)
	if !ok {
		return
	}
	for _, t := range j.tables {
		if !t.keys {
			continue
		}
		for c := r.shelf(t.Name).Cursor(nil); c.Next(); {
			continue // the cursor tells
		}
	}
}

// over reports whether a payment ended and is not kept in memory any more.
func (j *Judge) over(root book.Key) bool {
	if j.past != nil {
		var key [placeBytes]byte
		_, ok := j.past.Get(place(&key, root))
		return ok
	}
	_, ok := j.ended[j.digest("", root)]
	return ok
}

// put gives a payment that ended, and its branches, to the attic.
func (j *Judge) put(k book.Key, p *pay) {
	out := pen(nil).payment(p)
	for i := range p.parts {
		x := book.Key{Tenant: k.Tenant, ID: k.ID.Facet(uint8(i + 1))}
		b := j.branches[x]
		if b == nil {
			out = out.num(0)
			continue
		}
		out = out.num(1).branch(b)
		delete(j.branches, x)
	}
	var key [placeBytes]byte
	j.past.Put(place(&key, k), out)
}

// revive brings a payment that ended back from the attic, because something happens to it again.
func (j *Judge) revive(root book.Key) {
	if j.past == nil || j.payments[root] != nil {
		return
	}
	var key [placeBytes]byte
	text, ok := j.past.Get(place(&key, root))
	if !ok {
		return
	}
	e := &eye{rest: text}
	p := e.payment()
	for i := range p.parts {
		if e.num() == 0 {
			continue
		}
		j.branches[book.Key{Tenant: root.Tenant, ID: root.ID.Facet(uint8(i + 1))}] = e.branch()
	}
	j.payments[root], p.moved = p, j.now
	j.age(root, p)
	if e.bad {
		panic("judge: what came from the attic is not what was put there")
	}
}
