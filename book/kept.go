package book

import (
	"crypto/sha256"
	"fmt"

	"github.com/koban-pay/koban/book/store"
)

// KeptFilter is the filter of a month that is over, as the tables keep it beside the keys it was made from. It is derived
// data: whatever does not fit is made again from the keys.
type KeptFilter struct {
	Keys int64  // how many it was made from
	Sum  []byte // SHA-256 over what it is for, how many keys it holds, and its bytes
	Bits []byte // store.Filter.Bytes; nil: there is none
}

// maxKept is the largest filter that is kept, in bytes: of some 130 million keys. A larger one is made again at each start.
const maxKept = 256 << 20

// label says what a kept filter is for. The fold version is in it because another one may file other keys.
type label struct {
	table  string
	volume int
	fold   uint32
	month  Segment
}

func (b *Book) label(k *Keys, month Segment) label {
	return label{k.table, b.volume, b.core.machine.Version(), month}
}

func (l label) sum(keys int64, bits []byte) []byte {
	h := sha256.New()
	fmt.Fprintf(h, "%s volume %d fold %d tenant %d days %d-%d keys %d\n", l.table, l.volume, l.fold, l.month.Tenant, l.month.First,
		l.month.Last, keys)
	h.Write(bits)
	return h.Sum(nil)
}

// seal returns the filter as it is kept; false if it is too large for that.
func (l label) seal(f *store.Filter) (KeptFilter, bool) {
	x := KeptFilter{Keys: int64(f.Len()), Bits: f.Bytes()}
	x.Sum = l.sum(x.Keys, x.Bits)
	return x, len(x.Bits) <= maxKept
}

// open returns the filter; false if it is not what was sealed under this label, or is not understood by this version.
func (x KeptFilter) open(l label) (*store.Filter, bool) {
	if string(x.Sum) != string(l.sum(x.Keys, x.Bits)) {
		return nil, false
	}
	f, err := store.LoadFilter(x.Bits)
	return f, err == nil && int64(f.Len()) == x.Keys
}
