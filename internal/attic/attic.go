package attic

import (
	"errors"
	"maps"
	"slices"
)

// Attic is a set of shelves. It is for one goroutine.
type Attic struct {
	dir     string
	room    int // bytes that may be in memory
	used    int
	shelves map[string]*Shelf
	err     error
}

// New returns an empty attic that makes its files in dir and has about room bytes of records in memory. With dir "" it
// makes no files, and everything stays in memory.
func New(dir string, room int) *Attic {
	return &Attic{dir: dir, room: room, shelves: map[string]*Shelf{}}
}

// Err returns the first error of a file, nil if there was none. After it no more files are made: everything stays in memory, and
// what could not be read is missing.
func (a *Attic) Err() error { return a.err }

// fail keeps the first error.
func (a *Attic) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

// Close gives all memory and files back, and returns what Err does.
func (a *Attic) Close() error {
	errs := []error{a.err}
	for _, s := range a.shelves {
		errs = append(errs, s.empty())
	}
	clear(a.shelves)
	return errors.Join(errs...)
}

// Shelf returns the shelf of a name, made if it is new.
func (a *Attic) Shelf(name string) *Shelf {
	s := a.shelves[name]
	if s == nil {
		s = &Shelf{of: a, young: map[string][]byte{}}
		a.shelves[name] = s
	}
	return s
}

// Drop removes a shelf and all that is on it.
func (a *Attic) Drop(name string) {
	if s := a.shelves[name]; s != nil {
		if err := s.empty(); err != nil {
			a.fail(err)
		}
		delete(a.shelves, name)
	}
}

// Memory returns how many bytes of records are in memory, the places of those in files included.
func (a *Attic) Memory() int {
	n := a.used
	for _, s := range a.shelves {
		for _, r := range s.runs {
			n += r.memory()
		}
	}
	return n
}

// Shelf keeps records by key.
type Shelf struct {
	// Clash, if there is one, is told of every key that was put more than once, once for each time but the first; at the
	// latest when a Cursor goes over all records.
	Clash func(key []byte)

	of    *Attic
	young map[string][]byte
	bytes int    // of young
	runs  []*run // oldest first
}

// overhead is what a record in memory takes besides its key and value, about.
const overhead = 96

// Put keeps a record in the place of any other of its key. Key and value are copied.
func (s *Shelf) Put(key, value []byte) {
	grown := len(value)
	old, there := s.young[string(key)]
	switch {
	case !there:
		grown += len(key) + overhead
	case s.Clash != nil:
		s.Clash(key)
	}
	if cap(old) >= len(value) {
		s.young[string(key)] = append(old[:0], value...)
	} else {
		s.young[string(key)] = slices.Clone(value)
	}
	if there {
		grown -= len(old)
	}
	s.bytes, s.of.used = s.bytes+grown, s.of.used+grown
	if s.of.dir != "" && s.of.used > s.of.room && s.of.err == nil {
		s.of.shrink()
	}
}

// Get returns the record of a key, and false if there is none. It is valid until the next call.
func (s *Shelf) Get(key []byte) ([]byte, bool) {
	if v, ok := s.young[string(key)]; ok {
		return v, true
	}
	for _, r := range slices.Backward(s.runs) {
		v, ok, err := r.get(key)
		if err != nil {
			s.of.fail(err)
			return nil, false
		}
		if ok {
			return v, true
		}
	}
	return nil, false
}

// empty gives back what the shelf takes.
func (s *Shelf) empty() error {
	var errs []error
	for _, r := range s.runs {
		errs = append(errs, r.file.Close())
	}
	s.of.used -= s.bytes
	s.young, s.runs, s.bytes = map[string][]byte{}, nil, 0
	return errors.Join(errs...)
}

// Flush writes everything to files, where there are files, so that a Cursor has nothing to put in order.
func (a *Attic) Flush() {
	if a.dir == "" {
		return
	}
	for _, s := range a.shelves {
		if err := s.flush(); err != nil {
			a.fail(err)
		}
	}
}

// shrink writes the fullest shelves to files, until half of the room is free.
func (a *Attic) shrink() {
	list := slices.SortedFunc(maps.Values(a.shelves), func(x, y *Shelf) int { return y.bytes - x.bytes })
	for _, s := range list {
		if a.used <= a.room/2 || a.err != nil {
			return
		}
		if err := s.flush(); err != nil {
			a.fail(err)
		}
	}
}

// flush writes what is in memory to a file.
func (s *Shelf) flush() error {
	if len(s.young) == 0 {
		return nil
	}
	w, err := create(s.of.dir)
	if err != nil {
		return err
	}
	for _, k := range slices.Sorted(maps.Keys(s.young)) {
		if err := w.add([]byte(k), s.young[k]); err != nil {
			return errors.Join(err, w.file.Close())
		}
	}
	r, err := w.done(0)
	if err != nil {
		return err
	}
	s.runs = append(s.runs, r)
	s.of.used -= s.bytes
	s.young, s.bytes = map[string][]byte{}, 0
	return s.tidy()
}

// fanIn is how many files of one level become one of the next.
const fanIn = 8

// tidy merges the last files while there are enough of their level.
func (s *Shelf) tidy() error {
	for {
		level, n := s.runs[len(s.runs)-1].level, 0
		for n < len(s.runs) && s.runs[len(s.runs)-1-n].level == level {
			n++
		}
		if n < fanIn {
			return nil
		}
		from := len(s.runs) - n
		r, err := s.merge(s.runs[from:], level+1)
		if err != nil {
			return err
		}
		for _, old := range s.runs[from:] {
			if err := old.file.Close(); err != nil {
				return err
			}
		}
		s.runs = append(s.runs[:from], r)
	}
}

// merge makes one file of several.
func (s *Shelf) merge(runs []*run, level int) (*run, error) {
	w, err := create(s.of.dir)
	if err != nil {
		return nil, err
	}
	c := &Cursor{shelf: s}
	for _, r := range slices.Backward(runs) {
		c.add(&reader{run: r})
	}
	for c.Next() {
		if err := w.add(c.Key(), c.Value()); err != nil {
			return nil, errors.Join(err, w.file.Close())
		}
	}
	if s.of.err != nil {
		return nil, errors.Join(s.of.err, w.file.Close())
	}
	return w.done(level)
}
