package journal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"

	"github.com/koban-pay/koban/fault"
)

// noteSum is how many bytes of a hash stand behind the body of a stored note. No block vouches for a note, for it can be
// erased: so it vouches for itself, and goes with it. It finds what a disk changes, not what a person does.
const noteSum = 8

func (n *Note) sum(body []byte) []byte {
	h := sha256.New()
	var head [8]byte
	binary.BigEndian.PutUint32(head[:], n.Tenant)
	binary.BigEndian.PutUint16(head[4:], uint16(len(n.Service)))
	binary.BigEndian.PutUint16(head[6:], uint16(len(n.ID)))
	for _, part := range [][]byte{head[:], []byte(n.Service), n.ID, body} {
		_, _ = h.Write(part) // never fails
	}
	return h.Sum(nil)[:noteSum]
}

// sealed returns what is stored of a note.
func (n *Note) sealed() []byte { return append(bytes.Clone(n.Body), n.sum(n.Body)...) }

// opened returns the body of a note that is stored as the given bytes.
//
// Errors: fault.DataDamaged if they are not what was written.
func (n *Note) opened(stored []byte) ([]byte, error) {
	if at := len(stored) - noteSum; at >= 0 && bytes.Equal(n.sum(stored[:at]), stored[at:]) {
		return stored[:at], nil
	}
	return nil, fault.DataDamaged.New("the note %x of %s is not what was written: restore it from a backup, or erase it", n.ID, n.Service)
}

// orphan says that a note was written with a block that does not stand.
func (n *Note) orphan(book string, seq int64) error {
	return fault.DataDamaged.New("the note %x of %s belongs to block %d of book %s, which does not stand: erase it", n.ID, n.Service, seq, book)
}

// CheckNotes reads every note, in short transactions, and returns how many there are and why some are not as they were
// written, or have no block.
func (j *Journal) CheckNotes(ctx context.Context) (count int64, damaged []error, err error) {
	last := Note{ID: []byte{}}
	for n := notesPage; n == notesPage; {
		var wrong []error
		err = j.db.Read(ctx, func(tx *sql.Tx) error {
			n, last, wrong, err = checkNotes(ctx, tx, last)
			return err
		})
		if err != nil {
			return count, damaged, err
		}
		count, damaged = count+int64(n), append(damaged, wrong...)
	}
	return count, damaged, nil
}
