package attic

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sort"
)

// blockBytes is about how many bytes of records are read at once, and have one entry in the index.
const blockBytes = 8 << 10

// run is a file of records in the order of their keys: of each, the lengths of key and value, then both. The index has
// the first key and the place of each block.
type run struct {
	file   *os.File
	level  int
	keys   []byte   // the blocks' first keys, one after the other
	ends   []uint32 // where each of them ends in keys
	starts []int64  // where each block starts in the file, and where the last one ends
	last   []byte   // the highest key
	at     int      // the block in held; -1: none
	held   []byte
}

func (r *run) memory() int { return len(r.keys) + 4*len(r.ends) + 8*len(r.starts) + cap(r.held) }

// first returns the first key of a block.
func (r *run) first(block int) []byte {
	from := uint32(0)
	if block > 0 {
		from = r.ends[block-1]
	}
	return r.keys[from:r.ends[block]]
}

// block returns the block that may hold a key: the last one that does not begin behind it; -1 if there is none.
func (r *run) block(key []byte) int {
	return sort.Search(len(r.ends), func(i int) bool { return bytes.Compare(r.first(i), key) > 0 }) - 1
}

// read returns the bytes of a block. They are valid until the next one is read.
func (r *run) read(block int) ([]byte, error) {
	if r.at == block {
		return r.held, nil
	}
	n := int(r.starts[block+1] - r.starts[block])
	if cap(r.held) < n {
		r.held = make([]byte, n)
	}
	r.held, r.at = r.held[:n], -1
	if _, err := r.file.ReadAt(r.held, r.starts[block]); err != nil {
		return nil, fmt.Errorf("attic: read a temporary file: %w", err)
	}
	r.at = block
	return r.held, nil
}

// get returns the record of a key.
func (r *run) get(key []byte) ([]byte, bool, error) {
	block := r.block(key)
	if block < 0 || bytes.Compare(key, r.last) > 0 {
		return nil, false, nil
	}
	rest, err := r.read(block)
	for err == nil && len(rest) > 0 {
		var k, v []byte
		k, v, rest = record(rest)
		if n := bytes.Compare(k, key); n >= 0 {
			return v, n == 0, nil
		}
	}
	return nil, false, err
}

// record cuts the first record off.
func record(b []byte) (key, value, rest []byte) {
	k, n := binary.Uvarint(b)
	v, m := binary.Uvarint(b[n:])
	b = b[n+m:]
	return b[:k:k], b[k : k+v : k+v], b[k+v:]
}

// writer writes a run.
type writer struct {
	run
	out  *bufio.Writer
	size int64
	head [2 * binary.MaxVarintLen64]byte
}

func create(dir string) (*writer, error) {
	f, err := os.CreateTemp(dir, "attic-")
	if err != nil {
		return nil, fmt.Errorf("attic: make a temporary file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil { // it lives as long as it is open
		return nil, errors.Join(err, f.Close())
	}
	return &writer{run: run{file: f, at: -1}, out: bufio.NewWriterSize(f, 256<<10)}, nil
}

// add writes a record behind all others.
func (w *writer) add(key, value []byte) error {
	if n := len(w.starts); n == 0 || w.size-w.starts[n-1] >= blockBytes {
		w.starts = append(w.starts, w.size)
		w.keys = append(w.keys, key...)
		w.ends = append(w.ends, uint32(len(w.keys)))
	}
	w.last = append(w.last[:0], key...)
	n := binary.PutUvarint(w.head[:], uint64(len(key)))
	n += binary.PutUvarint(w.head[n:], uint64(len(value)))
	for _, part := range [][]byte{w.head[:n], key, value} {
		if _, err := w.out.Write(part); err != nil {
			return fmt.Errorf("attic: write a temporary file: %w", err)
		}
		w.size += int64(len(part))
	}
	return nil
}

// done ends the file.
func (w *writer) done(level int) (*run, error) {
	if err := w.out.Flush(); err != nil {
		return nil, errors.Join(fmt.Errorf("attic: write a temporary file: %w", err), w.file.Close())
	}
	w.starts, w.level = append(w.starts, w.size), level
	r := w.run // the writer, with its buffer, goes
	return &r, nil
}
