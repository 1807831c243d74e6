package verify

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
)

// progressed is what a judgement that was stopped leaves behind, in a file that Config.Resume names: the cut, the books whose
// tables were compared, and what was found there. Whoever goes on judges the journal again up to that cut, and leaves those
// books out.
type progressed struct {
	Kind  string      `json:"kind"`   // progressKind
	Of    string      `json:"tables"` // which tables were compared: Config.Tables
	Cut   []Book      `json:"cut"`
	Epoch []uint64    `json:"epochs"` // of the books of Cut
	Done  []string    `json:"done"`
	Found []Invariant `json:"found"`
}

// progressKind tells the file from any other: it is written over and removed.
const progressKind = "koban verify --resume, 1"

// resume takes the cut and what was found from the file, if it is there.
func (r *run) resume(ctx context.Context) error {
	if r.Resume == "" {
		return nil
	}
	text, err := os.ReadFile(r.Resume)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var p progressed
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err == nil && p.Kind != progressKind {
		return fmt.Errorf("verify: %s is not what a judgement left behind, and would be written over: name another file, or one that is not "+
			"there", r.Resume)
	}
	if err == nil && p.Of != r.Tables {
		return fmt.Errorf("verify: %s is of a judgement of other tables (%s), of which nothing is known here (%s); remove it to begin anew",
			r.Resume, p.Of, r.Tables)
	}
	if err != nil || len(p.Epoch) != len(p.Cut) {
		return fmt.Errorf("verify: %s is not what a judgement left behind; remove it to begin anew: %w", r.Resume,
			errors.Join(err, errShort(len(p.Cut), len(p.Epoch))))
	}
	for i, b := range p.Cut {
		h := journal.Head{Book: b.Name, Seq: b.Blocks, Epoch: p.Epoch[i]}
		if n, err := hex.Decode(h.Hash[:], []byte(b.Head)); err != nil || n != len(h.Hash) {
			return fmt.Errorf("verify: %s names no block of %s; remove it to begin anew", r.Resume, b.Name)
		}
		blocks, err := r.Journal.Read(ctx, h.Book, h.Seq, 1)
		if err != nil && !isDamage(err) {
			return err
		}
		if err == nil && h.Seq > 0 && (len(blocks) == 0 || blocks[0].Hash != h.Hash) {
			return fmt.Errorf("verify: %s is of another journal, or of one that was longer: %s has no block %d (%s); remove it to begin anew",
				r.Resume, h.Book, h.Seq, b.Head[:16])
		}
		r.cut[h.Book] = h
	}
	r.done = p.Done
	r.compared.merge(p.Found)
	return nil
}

func errShort(cut, epochs int) error {
	if cut != epochs {
		return fmt.Errorf("it names %d books and %d epochs", cut, epochs)
	}
	return nil
}

// finished notes that the tables of a book were compared, and what was found there.
func (r *run) finished(v *volume) error {
	found, _ := v.found.list()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.compared.merge(found)
	r.done = append(r.done, v.name)
	if r.Resume == "" {
		return nil
	}
	p := progressed{Kind: progressKind, Of: r.Tables, Done: r.done}
	p.Found, _ = r.compared.list()
	for _, b := range r.books() {
		p.Cut, p.Epoch = append(p.Cut, b), append(p.Epoch, r.cut[b.Name].Epoch)
	}
	text, err := json.Marshal(p)
	if err == nil {
		err = store.WriteFileAtomic(r.Resume, text, 0o600)
	}
	return err
}

// over removes the file: nothing is left to go on with.
func (r *run) over() error {
	if err := os.Remove(r.Resume); r.Resume != "" && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// isDone reports whether the tables of a book were compared before.
func (r *run) isDone(v *volume) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.done, v.name)
}

// merge adds what was found elsewhere.
func (l *findings) merge(list []Invariant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range list {
		to := l.of(list[i].ID)
		to.Checked += list[i].Checked
		to.Violations += list[i].Violations
		room := max(0, min(maxExamples-len(to.Examples), len(list[i].Examples)))
		to.Examples = append(to.Examples, list[i].Examples[:room]...)
	}
}
