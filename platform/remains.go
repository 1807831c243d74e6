package platform

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/koban-pay/koban/book/store"
)

// A journal that is gone leaves the tables behind, and then they are the last copy of what people own. A
// start that took the empty place of the journal for a new platform would make another company there, and
// tables of that. So before anything is written, a start looks at what stands: tables that stand for blocks
// need a journal that has some.

// remains is what stands before a process has written anything.
type remains struct {
	constants bool     // the journal says what the platform was created with
	blocks    bool     // the journal has some
	tables    []string // that stand for blocks
}

// survey looks at what stands, and changes nothing.
//
// Errors: the store's; fault.DataDamaged.
func (a *App) survey(ctx context.Context) (out remains, err error) {
	p := a.place
	p.readOnly, p.fatal = true, nil
	if out.constants, out.blocks, err = p.record(ctx); err != nil || out.constants && out.blocks {
		return out, err
	}
	for _, k := range catalog() {
		for _, t := range []string{k.name, k.name + feedSuffix} {
			stand, err := p.standing(ctx, t)
			if err != nil {
				return out, err
			}
			if stand {
				out.tables = append(out.tables, t)
			}
		}
	}
	return out, nil
}

// record says whether the journal has constants of a platform, and blocks.
func (p place) record(ctx context.Context) (constants, blocks bool, err error) {
	if p.url == "" {
		path := filepath.Join(p.data, journalFile)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return false, false, noLog(path)
		}
	}
	db, err := p.journal(ctx)
	if err != nil {
		return false, false, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if constants, err = hasRows(ctx, db, "platform", "name = '"+volumesName+"'"); err != nil {
		return false, false, err
	}
	blocks, err = hasRows(ctx, db, "journal_blocks", "seq > 0")
	return constants, blocks, err
}

// noLog refuses a database that is gone while its log is still there: SQLite would throw the log away.
func noLog(path string) error {
	log, err := os.Lstat(path + "-wal")
	if err != nil || log.Size() == 0 {
		return nil //nolint:nilerr // there is none
	}
	return fmt.Errorf("platform: %s is gone, and its log %s is still there. Nothing was changed. Keep a copy of "+
		"everything, and put the file back, or restore both from a backup", path, path+"-wal")
}

// standing says whether tables stand for blocks.
func (p place) standing(ctx context.Context, name string) (stand bool, err error) {
	if p.url == "" {
		if _, err := os.Lstat(filepath.Join(p.data, "state")); errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
	}
	db, err := p.state(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("the tables of %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	saved, err := positions(ctx, db)
	if store.Missing(err) {
		return false, nil
	}
	return len(saved) > 0, err
}

// checkRemains refuses to start where a platform has been and its journal is not, unless whoever starts it
// says that there is to be another one: then what is left of the old is set apart.
func (a *App) checkRemains(ctx context.Context) error {
	left, err := a.survey(ctx)
	if err != nil {
		return err
	}
	where := filepath.Join(a.Data, journalFile)
	if a.StoreURL != "" {
		where = "the schema " + journalName
	}
	switch {
	case left.blocks && !left.constants:
		return fmt.Errorf("platform: the journal (%s) has blocks, and does not say any more which platform they are "+
			"of: it is damaged. Nothing was changed. Keep a copy of everything, and restore the journal from a "+
			"backup", where)
	case len(left.tables) == 0:
		return nil
	case !a.StartOver:
		return fmt.Errorf("platform: the journal (%s) is gone or empty, but the tables of %s are those of a platform "+
			"that was here: they are the last copy of what its customers own. Nothing was changed. Keep a copy of "+
			"everything, then restore the journal from a backup, or mount the volume that it is on. Only if there is "+
			"to be a new platform, without those customers: start with --start-over, which sets the old tables apart",
			where, strings.Join(left.tables, ", "))
	}
	for _, name := range left.tables {
		if err := a.setApart(ctx, name); err != nil {
			return err
		}
	}
	if left.constants {
		return nil
	}
	return a.setKeyApart()
}

// setKeyApart takes the root key of a platform that was here out of use: whoever had a right there has none
// in a new one, and the old key is needed to read what is left. A key that was named is its owner's to
// replace.
func (a *App) setKeyApart() error {
	path := filepath.Join(a.Data, RootKeyFile)
	for n := 1; ; n++ {
		to := fmt.Sprintf("%s.lost-%d", path, n)
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		if err := os.Rename(path, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("platform: set the root key apart: %w", err)
		}
		return nil
	}
}

// setApart takes tables out of use, and says where they are.
func (a *App) setApart(ctx context.Context, name string) error {
	place, err := store.SetApart(ctx, a.place.tables(name))
	if err != nil {
		return fmt.Errorf("the tables of %s: %w", name, err)
	}
	a.Log.Warn("tables that the journal does not give are set apart, whole: keep them until you know why",
		"tables", name, "now", place)
	return nil
}
