package attic

import (
	"bytes"
	"maps"
	"slices"
	"sort"
)

// Cursor goes over the records of a shelf in the order of their keys. Nothing may be put there meanwhile.
type Cursor struct {
	shelf   *Shelf
	sources []source // newest first
	key     []byte
	value   []byte
}

// source is records in the order of their keys.
type source interface {
	// next goes on to the next record, and reports whether there is one.
	next() (bool, error)
	// now returns the record, valid until the next call of next.
	now() (key, value []byte)
}

// Cursor returns a cursor that stands before the first record whose key is not below from.
func (s *Shelf) Cursor(from []byte) *Cursor {
	c := &Cursor{shelf: s}
	keys := slices.Sorted(maps.Keys(s.young))
	at := sort.SearchStrings(keys, string(from))
	c.add(&memory{keys: keys[at:], values: s.young})
	for _, r := range slices.Backward(s.runs) {
		c.add(&reader{run: r, from: from})
	}
	return c
}

// add joins a source to which all others are newer. It stands at its first record from then on.
func (c *Cursor) add(s source) {
	if c.advance(s) {
		c.sources = append(c.sources, s)
	}
}

func (c *Cursor) advance(s source) bool {
	ok, err := s.next()
	if err != nil {
		c.shelf.of.fail(err)
	}
	return ok
}

// Next goes on to the next record, and reports whether there is one. An error of a file ends it; see Attic.Err.
func (c *Cursor) Next() bool {
	if len(c.sources) == 0 || c.shelf.of.err != nil {
		return false
	}
	least := 0
	key, value := c.sources[0].now()
	for i, s := range c.sources[1:] {
		if k, v := s.now(); bytes.Compare(k, key) < 0 {
			least, key, value = i+1, k, v
		}
	}
	c.key, c.value = append(c.key[:0], key...), append(c.value[:0], value...)
	for i := len(c.sources) - 1; i >= least; i-- {
		k, _ := c.sources[i].now()
		if !bytes.Equal(k, c.key) {
			continue
		}
		if i > least && c.shelf.Clash != nil {
			c.shelf.Clash(c.key)
		}
		if !c.advance(c.sources[i]) {
			c.sources = slices.Delete(c.sources, i, i+1)
		}
	}
	return c.shelf.of.err == nil
}

// Key returns the key of the record. It is valid until Next.
func (c *Cursor) Key() []byte { return c.key }

// Value returns the record. It is valid until Next.
func (c *Cursor) Value() []byte { return c.value }

// memory is the records that are in memory.
type memory struct {
	keys   []string
	values map[string][]byte
	key    []byte
}

func (m *memory) next() (bool, error) {
	if len(m.keys) == 0 {
		return false, nil
	}
	m.key, m.keys = append(m.key[:0], m.keys[0]...), m.keys[1:]
	return true, nil
}

func (m *memory) now() (key, value []byte) { return m.key, m.values[string(m.key)] }

// reader reads a file, a block of its own at a time.
type reader struct {
	run        *run
	from       []byte // nil: the beginning
	begun      bool
	block      int
	rest, room []byte
	key, value []byte
}

func (r *reader) next() (bool, error) {
	if !r.begun {
		r.begun, r.block = true, max(r.run.block(r.from), 0)-1
	}
	for {
		for len(r.rest) > 0 {
			r.key, r.value, r.rest = record(r.rest)
			if bytes.Compare(r.key, r.from) >= 0 {
				return true, nil
			}
		}
		if r.block++; r.block >= len(r.run.ends) {
			return false, nil
		}
		held, err := r.run.read(r.block)
		if err != nil {
			return false, err
		}
		r.room = append(r.room[:0], held...)
		r.rest = r.room
	}
}

func (r *reader) now() (key, value []byte) { return r.key, r.value }
