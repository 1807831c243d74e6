package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A database that can be made again from elsewhere is never changed in place: the next one is built beside it, and then
// takes its place.
//
// On SQLite each has a file of its own: x.db, x.2.db, x.3.db, of which the highest is the current one; x.next.db is being
// built. Giving it its number is the swap: one rename, which happens or does not. No name is used twice, because the log of
// a database is found by the name of its file: under one name, a process that still has the old file open could read the
// new file's log, or the new file be opened with the old one's. On PostgreSQL they are schemas, and the swap is one
// transaction.

// nextWord stands in the name of a database that is being built.
const nextWord = "next"

// OpenCurrent opens the current database of those that were swapped at c. For writing, it first drops what other ones left
// behind; then no other process may write to the database.
//
// Errors: those of Open.
func OpenCurrent(ctx context.Context, c Config) (*DB, error) {
	if c.URL != "" {
		return Open(ctx, c)
	}
	for {
		f, err := familyOf(c)
		if err == nil && !c.ReadOnly {
			err = f.drop()
		}
		if err != nil {
			return nil, err
		}
		at := c
		at.Path = f.current()
		db, err := Open(ctx, at)
		if err == nil || !c.ReadOnly {
			return db, err
		}
		if now, _ := familyOf(c); now == nil || now.newest == f.newest { // else it was swapped under us
			return nil, err
		}
	}
}

// OpenNext opens an empty database beside the current one of c, to build what will take its place. What an earlier attempt
// left there is dropped.
//
// Errors: those of Open and DropNext.
func OpenNext(ctx context.Context, c Config) (*DB, error) {
	if err := DropNext(ctx, c); err != nil {
		return nil, err
	}
	if c.URL != "" {
		c.Schema += "_" + nextWord
		db, err := Open(ctx, c)
		if err != nil {
			err = fmt.Errorf("%w (this role has to be allowed to create schemas: GRANT CREATE ON DATABASE)", err)
		}
		return db, err
	}
	f, err := familyOf(c)
	if err != nil {
		return nil, err
	}
	c.Path = f.path(nextWord)
	return Open(ctx, c)
}

// DropNext drops what was built beside the current database of c. Nobody may have it open.
//
// Errors: the store's.
func DropNext(ctx context.Context, c Config) error {
	if c.URL == "" {
		f, err := familyOf(c)
		if err != nil {
			return err
		}
		return f.drop()
	}
	db, err := Open(ctx, c)
	if err != nil {
		return err
	}
	err = db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{c.Schema + "_" + nextWord}.Sanitize()+" CASCADE")
		return err
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("store: drop what is beside schema %s: %w", c.Schema, err)
	}
	return nil
}

// Swap puts the database that was built with OpenNext into the place of the current one, and drops that. Both have to be
// closed in this process. Others may be reading the current one: on SQLite they go on with the old content, as long as they
// have it open; on PostgreSQL the swap waits for the end of their transactions, and they then see the new content. guard is
// the table, if it is there, that every such transaction reads first.
//
// If it fails, or the process dies, either database stands in its place, whole; after Lost, nobody knows which.
func Swap(ctx context.Context, c Config, guard string) error {
	if c.URL == "" {
		f, err := familyOf(c)
		if err != nil {
			return err
		}
		return f.swap()
	}
	db, err := Open(ctx, c)
	if err != nil {
		return err
	}
	old, next := pgx.Identifier{c.Schema}.Sanitize(), pgx.Identifier{c.Schema + "_" + nextWord}.Sanitize()
	err = db.Write(ctx, func(tx *sql.Tx) error {
		steps := []string{"DROP SCHEMA " + old + " CASCADE", "ALTER SCHEMA " + next + " RENAME TO " + old}
		lock := old + "." + pgx.Identifier{guard}.Sanitize()
		var there bool
		if err := tx.QueryRowContext(ctx, "SELECT to_regclass($1) IS NOT NULL", lock).Scan(&there); err != nil {
			return err
		}
		if there { // readers hold the guard before any other table, so that they and we never wait for each other
			steps = append([]string{"LOCK TABLE " + lock + " IN ACCESS EXCLUSIVE MODE"}, steps...)
		}
		for _, text := range steps {
			if _, err := tx.ExecContext(ctx, text); err != nil {
				return err
			}
		}
		return nil
	})
	if Classify(err) == Busy {
		err = fmt.Errorf("%w: somebody reads it for long: end that, or try again", err)
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("store: swap schema %s: %w", c.Schema, err)
	}
	return nil
}

// family are the files of an SQLite database and of those before and after it.
type family struct {
	dir, stem, ext string
	newest         int // number of the current one
	there          bool
	others         []string // paths of files that are not the current one's; databases first, then their logs
	step           func(string) error
}

// familyOf lists the files. It opens none: see prepareFile.
func familyOf(c Config) (*family, error) {
	path, err := filepath.Abs(c.Path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	f := &family{dir: filepath.Dir(path), ext: filepath.Ext(path), newest: 1, step: c.Step}
	f.stem = strings.TrimSuffix(filepath.Base(path), f.ext)
	list, err := os.ReadDir(f.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("store: look for %s: %w", path, err)
	}
	for _, e := range list {
		if word, suffix, ok := f.parse(e.Name()); ok && suffix == "" && word != nextWord {
			n, _ := strconv.Atoi(word)
			f.newest, f.there = max(f.newest, n), true
		}
	}
	var logs []string
	for _, e := range list {
		word, suffix, ok := f.parse(e.Name())
		switch {
		case !ok || word == strconv.Itoa(f.newest):
		case suffix == "":
			f.others = append(f.others, filepath.Join(f.dir, e.Name()))
		default:
			logs = append(logs, filepath.Join(f.dir, e.Name()))
		}
	}
	f.others = append(f.others, logs...)
	return f, nil
}

// parse takes the name of a file apart: the number of its database, or nextWord, and what SQLite put behind it.
func (f *family) parse(name string) (word, suffix string, ok bool) {
	rest, ok := strings.CutPrefix(name, f.stem)
	for _, s := range []string{"-wal", "-shm", "-journal"} {
		if cut, is := strings.CutSuffix(rest, s); is {
			rest, suffix = cut, s
		}
	}
	rest, is := strings.CutSuffix(rest, f.ext)
	switch {
	case !ok || !is:
		return "", "", false
	case rest == "":
		return "1", suffix, true
	case rest == "."+nextWord:
		return nextWord, suffix, true
	}
	n, err := strconv.Atoi(strings.TrimPrefix(rest, "."))
	word = strconv.Itoa(n)
	return word, suffix, err == nil && n > 1 && rest == "."+word
}

// path returns where the database of a number is, or the next one.
func (f *family) path(word string) string {
	if word == "1" {
		return filepath.Join(f.dir, f.stem+f.ext)
	}
	return filepath.Join(f.dir, f.stem+"."+word+f.ext)
}

func (f *family) current() string { return f.path(strconv.Itoa(f.newest)) }

// drop removes all files but those of the current database. Who has one of them open keeps reading it: its log was emptied
// when it was last opened for writing, so that the file alone is all there is.
func (f *family) drop() error {
	for _, path := range f.others {
		if err := f.before("remove " + filepath.Base(path)); err != nil {
			return err
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("store: drop an old database: %w", err)
		}
	}
	return nil
}

func (f *family) swap() error {
	from, to := f.path(nextWord), f.path(strconv.Itoa(f.newest+1))
	if !f.there { // there is none that it could take the place of
		to = f.current()
	}
	log, err := os.Stat(from + "-wal")
	if err == nil && log.Size() > 0 {
		return fmt.Errorf("store: %s is in use or not finished: its log is not empty", from)
	}
	for _, s := range []struct {
		what string
		do   func() error
	}{
		{"sync " + filepath.Base(from), func() error { return syncFile(from) }},
		{"rename " + filepath.Base(from), func() error { return os.Rename(from, to) }},
		{"sync the names", func() error { return syncDir(f.dir) }},
	} {
		if err := f.before(s.what); err != nil {
			return err
		}
		if err := s.do(); err != nil {
			return fmt.Errorf("store: swap %s for %s: %w", filepath.Base(from), filepath.Base(to), err)
		}
	}
	after, err := familyOf(Config{Path: f.path("1"), Step: f.step})
	if err != nil {
		return err
	}
	return after.drop()
}

// before asks whether to go on.
func (f *family) before(what string) error {
	if f.step == nil {
		return nil
	}
	return f.step(what)
}

// syncFile makes the content of a file durable. This process must not have it open as a database.
func syncFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
