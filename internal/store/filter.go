package store

// Filter remembers a set of keys and answers "never seen" without a read.
type Filter struct{}

// NewFilter returns an empty filter.
func NewFilter() *Filter { panic("skeleton") }

// LoadFilter returns the filter that Bytes described.
func LoadFilter(b []byte) (*Filter, error) { panic("skeleton") }

// Add puts key in.
func (f *Filter) Add(key [16]byte) { panic("skeleton") }

// Has says whether key may have been added; false is certain.
func (f *Filter) Has(key [16]byte) bool { panic("skeleton") }

// Len returns how many times Add was called.
func (f *Filter) Len() int { panic("skeleton") }

// Bytes returns the filter's contents.
func (f *Filter) Bytes() []byte { panic("skeleton") }
