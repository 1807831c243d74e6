package book

import (
	"fmt"

	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/id"
)

// KeyEntry is what a caller's idempotency key stands for.
type KeyEntry struct {
	Target      id.ID        // what the key made
	Fingerprint [16]byte     // HMAC of the canonical body: another body under the same key is a conflict
	At          clock.Micros // when; names the day's segment of the index
}

// Keys is the index of callers' keys. They are random, so the table is cut into segments by day, and a filter per
// segment in memory tells without a read that a key is new (rule B12; docs/decisions/0001). Days that are over are joined
// into months, which have one filter each (warm.go; docs/decisions/0012), so that a question stays cheap as years go by.
//
// The SQL table has the columns tenant, volume, day, id (its primary key, in this order), target, fingerprint and at.
// Entries are written once and never change.
type Keys struct {
	tableBase
	m        map[Key]*keyRow
	dirty    []*keyRow
	saving   []*keyRow
	order    queue[*keyRow]
	segments map[id.Tenant]*segments
	over     int64 // the last day that was joined into a month: no key is filed under it or before any more
	cold     bool  // the segments of the store have not been listed yet
	known    int64 // keys that were asked for and stand for something already: requests that came again
}

type keyRow struct {
	key    Key
	e      KeyEntry
	seq    uint64 // the block that put it; 0 if that was saved when it came into memory
	absent bool
	hot    bool
	pinned bool // not saved yet
}

// NewKeys returns an empty index kept in the named table.
func NewKeys(table string) *Keys {
	k := &Keys{m: make(map[Key]*keyRow), segments: make(map[id.Tenant]*segments)}
	k.table, k.columns, k.segmented, k.passing = table, []string{"day", "target", "fingerprint", "at"}, true, true
	return k
}

func (k *Keys) base() *tableBase { return &k.tableBase }

func (k *Keys) count() int { return len(k.m) }

func (k *Keys) settle() {}

func (k *Keys) expect(Key) bool { return true }

func (k *Keys) expectUnsaved() {}

func (k *Keys) dueNow(*dueAt, clock.Micros) bool { return false }

func (k *Keys) resident(key Key) bool {
	if _, ok := k.m[key]; ok {
		return true
	}
	return !k.cold && len(k.candidates(key)) == 0
}

// Touch declares that the key is going to be read or written.
func (k *Keys) Touch(t *Touch, key Key) {
	if t.event {
		panic("book: " + k.table + " was declared in TouchEvent")
	}
	if w, ok := k.m[key]; ok {
		w.hot = true // as in Rows
		return
	}
	if days := k.candidates(key); k.cold || len(days) > 0 {
		t.missing = append(t.missing, Want{Table: k, Key: key, Days: days})
	}
}

// Get returns what the key stands for, nil if it is new.
func (k *Keys) Get(key Key) *KeyEntry {
	w, ok := k.m[key]
	if !ok {
		if !k.resident(key) {
			panic(fmt.Sprintf("book: %s %v was read without being declared in Touch", k.table, key))
		}
		return nil
	}
	w.hot = true
	k.seen = max(k.seen, w.seq)
	if w.absent {
		return nil
	}
	k.known++
	return &w.e
}

// Peek returns what the key stands for if that is in memory; a Touch uses it to declare what the key leads to.
func (k *Keys) Peek(key Key) *KeyEntry {
	if w, ok := k.m[key]; ok && !w.absent {
		return &w.e
	}
	return nil
}

// Put says what a new key stands for; e.At is the time of the block. Only Apply may call it.
func (k *Keys) Put(key Key, e KeyEntry) {
	w := &keyRow{key: key, e: e, seq: k.at, hot: true, pinned: true}
	if old, ok := k.m[key]; ok { // known not to exist
		*old = *w
		w = old
	} else {
		k.add(w)
	}
	k.dirty = append(k.dirty, w)
	k.file(key, Day(e.At))
}

func (k *Keys) add(w *keyRow) {
	k.m[w.key] = w
	k.order.push(w)
	k.added++
}

func (k *Keys) scan(scan func(dest ...any) error) (any, error) {
	w := &keyRow{}
	var day int64
	var target, print []byte
	if err := scan(&day, &target, &print, &w.e.At); err != nil {
		return nil, err
	}
	copy(w.e.Target[:], target)
	copy(w.e.Fingerprint[:], print)
	return w, nil
}

func (k *Keys) install(key Key, raw any) {
	if _, ok := k.m[key]; ok {
		return
	}
	w, ok := raw.(*keyRow)
	if !ok {
		w = &keyRow{absent: true}
	}
	w.key, w.hot = key, true
	k.add(w)
}

func (k *Keys) snapshot(dst *TableSave) {
	dst.table = &k.tableBase
	dst.Keys, dst.Args = make([]Key, 0, len(k.dirty)), make([]any, 0, 4*len(k.dirty))
	for _, w := range k.dirty {
		dst.Keys = append(dst.Keys, w.key)
		dst.Args = append(dst.Args, Day(w.e.At), w.e.Target[:], w.e.Fingerprint[:], int64(w.e.At))
	}
	dst.Fresh = len(dst.Keys) // a key is written once
	k.dirty, k.saving = k.saving[:0], k.dirty
}

func (k *Keys) saved() {
	for _, w := range k.saving {
		w.pinned = false
	}
	k.saving = k.saving[:0]
}

func (k *Keys) unsaved() int { return len(k.dirty) + len(k.saving) }

// evict drops keys that are saved and were not asked for since it last met them, until limit are left.
func (k *Keys) evict(limit int, _ clock.Micros) {
	budget := sweepBudget(k.added)
	k.added = 0
	k.order.sweep(len(k.m)-limit, budget, func(w *keyRow) bool {
		if w.pinned || k.isAwaited(w.key) {
			return false
		}
		if w.hot {
			w.hot = false
			return false
		}
		k.drop(w)
		return true
	})
}

func (k *Keys) forget() {
	k.order.sweep(len(k.m), len(k.m), func(w *keyRow) bool {
		if w.pinned || k.isAwaited(w.key) {
			return false
		}
		k.drop(w)
		return true
	})
}

func (k *Keys) drop(w *keyRow) { delete(k.m, w.key) }

// restore empties memory; stored says that the table may have rows.
func (k *Keys) restore(stored bool) {
	clear(k.m)
	clear(k.segments)
	k.dirty, k.saving, k.order, k.over, k.cold = nil, nil, queue[*keyRow]{}, 0, mayHold(stored)
}
