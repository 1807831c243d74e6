package store

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Filter remembers a set of keys in about two bytes each, and answers "certainly not in it" without a read. It is a
// blocked Bloom filter: a key sets one bit in each of the eight words of one block, so a question costs one cache line
// per chunk. Of keys that were not added it lets through less than one in a hundred. What it holds depends on the keys
// added and their order only. It is not safe for concurrent use.
type Filter struct {
	chunks []chunk
	count  int
}

// A block has 512 bits and is meant for 32 keys: 16 bits a key.
const (
	blockWords   = 8
	keysPerBlock = 32
	firstKeys    = 4096 // what the first chunk is for, at least
	growth       = 4    // how many times more keys there is room for after a chunk is added
	maxFilter    = 1 << 40
)

type chunk struct {
	words []uint64
	added int
}

func newChunk(keys int) chunk {
	blocks := (keys + keysPerBlock - 1) / keysPerBlock
	return chunk{words: make([]uint64, blocks*blockWords)}
}

func (c *chunk) capacity() int { return len(c.words) / blockWords * keysPerBlock }

// block returns the block that h falls into.
func (c *chunk) block(h uint64) []uint64 {
	blocks := uint64(len(c.words) / blockWords)
	at := (h >> 32) * blocks >> 32 * blockWords
	return c.words[at : at+blockWords : at+blockWords]
}

// bits returns eight numbers of six bits, one for each word of the block. The block was chosen by the upper half of h;
// the multiplication spreads the lower half over all.
func bits(h uint64) uint64 { return uint64(uint32(h)) * 0x9e3779b97f4a7c15 >> 16 }

// NewFilter returns an empty filter with room for as many keys as are expected. More keys than that are taken too, at the
// price of another look for each question.
func NewFilter(expect int) *Filter {
	return &Filter{chunks: []chunk{newChunk(max(expect, firstKeys))}}
}

// NewFullFilter returns an empty filter of the size that so many keys need, to be filled with them. More are taken too.
func NewFullFilter(keys int) *Filter {
	return &Filter{chunks: []chunk{newChunk(max(keys, 1))}}
}

// Clone returns a filter that holds the same, and shares nothing.
func (f *Filter) Clone() *Filter {
	out := &Filter{count: f.count, chunks: slices.Clone(f.chunks)}
	for i := range out.chunks {
		out.chunks[i].words = slices.Clone(f.chunks[i].words)
	}
	return out
}

// Add puts key in.
func (f *Filter) Add(key [16]byte) {
	last := &f.chunks[len(f.chunks)-1]
	if last.added == last.capacity() {
		f.chunks = append(f.chunks, newChunk((growth-1)*f.room()))
		last = &f.chunks[len(f.chunks)-1]
	}
	h := xxhash.Sum64(key[:])
	b, v := last.block(h), bits(h)
	for i := range b {
		b[i] |= 1 << (v & 63)
		v >>= 6
	}
	last.added++
	f.count++
}

// Has says whether key may have been added; false is certain.
func (f *Filter) Has(key [16]byte) bool {
	h := xxhash.Sum64(key[:])
	for i := len(f.chunks) - 1; i >= 0; i-- { // the largest first
		if f.chunks[i].has(h) {
			return true
		}
	}
	return false
}

func (c *chunk) has(h uint64) bool {
	b, v := c.block(h), bits(h)
	for i := range b {
		if b[i]&(1<<(v&63)) == 0 {
			return false
		}
		v >>= 6
	}
	return true
}

// Spare returns how many more keys there is room for before the filter grows.
func (f *Filter) Spare() int {
	last := &f.chunks[len(f.chunks)-1]
	return last.capacity() - last.added
}

func (f *Filter) room() int {
	n := 0
	for i := range f.chunks {
		n += f.chunks[i].capacity()
	}
	return n
}

// Len returns how many times Add was called.
func (f *Filter) Len() int { return f.count }

// filterFormat is the version of what Bytes returns.
const filterFormat = 1

// Bytes returns the filter's contents: format, number of chunks, and for each its blocks, keys added and words. Numbers
// are little-endian, 8 bytes.
func (f *Filter) Bytes() []byte {
	size := 16
	for i := range f.chunks {
		size += 16 + 8*len(f.chunks[i].words)
	}
	out := make([]byte, 0, size)
	out = binary.LittleEndian.AppendUint64(out, filterFormat)
	out = binary.LittleEndian.AppendUint64(out, uint64(len(f.chunks)))
	for i := range f.chunks {
		c := &f.chunks[i]
		out = binary.LittleEndian.AppendUint64(out, uint64(len(c.words)/blockWords))
		out = binary.LittleEndian.AppendUint64(out, uint64(c.added))
		for _, w := range c.words {
			out = binary.LittleEndian.AppendUint64(out, w)
		}
	}
	return out
}

// LoadFilter returns the filter that Bytes described. It fails if in is anything else.
func LoadFilter(in []byte) (*Filter, error) {
	bad := errors.New("store: these are not the bytes of a filter")
	next := func() uint64 {
		if len(in) < 8 {
			return maxFilter + 1
		}
		v := binary.LittleEndian.Uint64(in)
		in = in[8:]
		return v
	}
	if next() != filterFormat {
		return nil, bad
	}
	chunks := next()
	if chunks == 0 || chunks > 64 {
		return nil, bad
	}
	f := &Filter{}
	for range chunks {
		blocks, added := next(), next()
		if blocks == 0 || blocks > uint64(len(in))/(8*blockWords) || added > blocks*keysPerBlock {
			return nil, bad
		}
		c := chunk{words: make([]uint64, blocks*blockWords), added: int(added)}
		for i := range c.words {
			c.words[i] = next()
		}
		f.chunks = append(f.chunks, c)
		f.count += c.added
	}
	if len(in) != 0 {
		return nil, bad
	}
	return f, nil
}
