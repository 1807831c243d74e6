package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/clock"
)

// BackupConfig says what BackUp copies.
type BackupConfig struct {
	Data        string // the data folder of a platform that keeps its books in files; it may be running
	To          string // a folder that is not there yet, or is empty
	JournalOnly bool   // leave the tables out: a start from the copy makes them anew, which takes longer

	Progress func(file string, bytes int64) // is told of each file that was copied; may be nil
}

// BackupFile is the page of a backup that says what it is. It is written last.
const BackupFile = "backup.json"

// Backup says what a backup holds.
type Backup struct {
	At     string       `json:"at"` // when the journal was copied, RFC 3339
	Blocks uint64       `json:"blocks"`
	Books  []BackupBook `json:"books"`
	Files  []CopiedFile `json:"files"`
}

// BackupBook is one book of a backup, and its last block.
type BackupBook struct {
	Name string `json:"name"`
	Head uint64 `json:"head"`
}

// CopiedFile is one database of a backup.
type CopiedFile struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// BackUp copies the books of a platform in files, so that the copy is a data folder but for the root key, which a backup never
// holds. It is safe beside the running platform: nobody waits for it. The tables are copied before the journal, so they stand
// where the journal was or behind, and a start replays what is missing. The copy appears under its name when it is whole.
//
// Errors: the books are on PostgreSQL or not there; To is taken; those of reading and of the disk; a copy that is broken, which
// means that what was copied is.
func BackUp(ctx context.Context, c BackupConfig) (made *Backup, err error) {
	c.To = filepath.Clean(c.To)
	if err := free(c.To); err != nil {
		return nil, err
	}
	o, err := openObserver(ctx, c.Data, "", "")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	part := c.To + ".unfinished"
	lock, err := begin(ctx, part)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	made = &Backup{}
	if !c.JournalOnly {
		if err := o.copyTables(ctx, c, part, made); err != nil {
			return nil, err
		}
	}
	if err := o.copyJournal(ctx, c, part, made); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(made, "", " ")
	if err == nil {
		err = store.WriteFileAtomic(filepath.Join(part, BackupFile), append(text, '\n'), 0o600)
	}
	if err == nil {
		err = os.Remove(filepath.Join(part, "lock"))
	}
	if err == nil {
		err = os.Rename(part, c.To)
	}
	if err != nil {
		return nil, fmt.Errorf("platform: finish the backup: %w", err)
	}
	return made, nil
}

// begin makes the folder of an unfinished backup, locks it, and empties it of what one before has left. Two backups at once
// would take each other's files away.
//
// Errors: a *store.HeldError if another backup is at work there; those of the disk.
func begin(ctx context.Context, part string) (*store.Lock, error) {
	if err := os.MkdirAll(part, 0o700); err != nil {
		return nil, fmt.Errorf("platform: make the backup's folder: %w", err)
	}
	lock, err := store.LockDir(ctx, part, false, nil)
	if err != nil {
		return nil, fmt.Errorf("platform: another backup is written there: %w", err)
	}
	left, err := os.ReadDir(part) // of a backup that was cut short: its copies may be torn, so it begins anew
	for _, f := range left {
		if f.Name() != "lock" {
			err = errors.Join(err, os.RemoveAll(filepath.Join(part, f.Name())))
		}
	}
	if err == nil {
		err = os.Mkdir(filepath.Join(part, "state"), 0o700)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("platform: make the backup's folder: %w", err), lock.Release())
	}
	return lock, nil
}

// free requires that nothing would be written over.
func free(to string) error {
	found, err := os.ReadDir(to)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("platform: the backup's folder: %w", err)
	case len(found) > 0:
		return fmt.Errorf("platform: %s is not empty: a backup is never written over; name a new folder with --to", to)
	}
	return nil
}

// copyTables copies the tables of every service and feed that has any.
func (o *observer) copyTables(ctx context.Context, c BackupConfig, part string, made *Backup) error {
	for _, k := range catalog() {
		own, news := k.tables(o.constants.volumes)
		for _, t := range []*tables{own, news} {
			there, err := o.there(ctx, t.Name)
			if err != nil {
				return err
			}
			if !there {
				continue
			}
			db, err := o.state(ctx, t.Name)
			if err != nil {
				return err
			}
			err = o.copyOne(ctx, c, db, part, filepath.Join("state", t.Name+".db"), made)
			if err = errors.Join(err, db.Close()); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyJournal copies the record, and reads off the copy where its books stand.
func (o *observer) copyJournal(ctx context.Context, c BackupConfig, part string, made *Backup) (err error) {
	made.At = o.clock.Now().String()
	if err := o.copyOne(ctx, c, o.dbs[0], part, journalFile, made); err != nil {
		return err
	}
	j, db, err := openJournal(ctx, place{data: part, readOnly: true, clock: o.clock})
	if err != nil {
		return err
	}
	heads, err := j.Heads(ctx)
	for _, h := range heads {
		made.Books = append(made.Books, BackupBook{Name: h.Book, Head: h.Seq})
		made.Blocks += h.Seq
	}
	return errors.Join(err, db.Close(), dropLog(filepath.Join(part, journalFile)))
}

// dropLog removes the empty files that reading an SQLite database leaves beside it.
func dropLog(path string) error {
	var errs []error
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (o *observer) copyOne(ctx context.Context, c BackupConfig, db *store.DB, part, name string, made *Backup) error {
	path := filepath.Join(part, name)
	if err := db.BackUp(ctx, path); err != nil {
		return err
	}
	check, err := store.Open(ctx, store.Config{Path: path, ReadOnly: true, Clock: clock.NewSystem()})
	if err != nil {
		return err
	}
	broken, err := check.QuickCheck(ctx)
	if err = errors.Join(err, check.Close(), dropLog(path)); err != nil {
		return err
	}
	if len(broken) > 0 {
		return fmt.Errorf("platform: the copy of %s is broken, and so is what was copied: %s; stop the platform and run koban verify", name, broken[0])
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("platform: the backup: %w", err)
	}
	made.Files = append(made.Files, CopiedFile{Name: name, Bytes: info.Size()})
	if c.Progress != nil {
		c.Progress(name, info.Size())
	}
	return nil
}
