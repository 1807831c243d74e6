package platform

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/judge/verify"
)

// VerifyConfig says what Verify judges.
type VerifyConfig struct {
	Data       string              // the data folder
	StoreURL   string              // of PostgreSQL; "" if the books are in the data folder
	KeyFile    string              // of the root key; "": root.key in Data; where it is not, ids are hexadecimal
	Checkpoint *journal.Checkpoint // exported earlier; may be nil
	Pinned     ed25519.PublicKey   // who has to have signed Checkpoint, as known from elsewhere
	Export     ed25519.PrivateKey  // signs a checkpoint, which is put into the report; nil: there is none
	Rebuild    bool                // let a copy of the saved tables recover, too, and compare
	Light      bool                // judge only what takes seconds
	Temp       string              // where temporary files are made; "" means the system's place
	Resume     string              // a file with which a judgement that was stopped goes on; "" for none

	Progress func(verify.Progress) // is told how far it is, often; may be nil
}

// Verify judges the books of a platform, which may be running. It changes nothing.
//
// Errors: the reason why the books cannot be judged. What is wrong with them stands in the report.
func Verify(ctx context.Context, c VerifyConfig) (report *verify.Report, err error) {
	o, err := openObserver(ctx, c.Data, c.StoreURL, c.KeyFile)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	config := verify.Config{
		Journal: o.journal, Record: o.dbs[0], Rebuild: c.Rebuild, Checkpoint: c.Checkpoint,
		Signer: c.Pinned, Temp: c.Temp, Resume: c.Resume, Progress: c.Progress,
	}
	config.Tables = o.which()
	if config.IDs, err = o.constants.codec(); err != nil {
		return nil, err
	}
	mode, err := modeOf(ctx, o.journal)
	if err != nil {
		return nil, err
	}
	config.Rehearsal = mode == rehearsing
	if config.Services, err = o.services(ctx); err != nil {
		return nil, err
	}
	var made journal.Checkpoint
	if c.Export != nil { // before the books are read, so that what is exported has been judged
		if made, err = o.journal.Export(ctx, o.clock.Now(), c.Export); err != nil {
			return nil, err
		}
	}
	judge := verify.Run
	if c.Light {
		judge = verify.Light
	}
	if report, err = judge(ctx, config); err == nil && c.Export != nil {
		report.Checkpoint = &made
	}
	return report, err
}

// which names the tables of a platform so that a copy of them has another name: by their folder's place on the disk, or
// their database.
func (o *observer) which() string {
	if o.url != "" {
		return o.where()
	}
	state := filepath.Join(o.data, "state")
	var s unix.Stat_t
	if err := unix.Stat(state, &s); err != nil {
		return state
	}
	return fmt.Sprintf("%s, inode %d", state, s.Ino)
}

// observer reads the databases of a platform, running or not.
type observer struct {
	place
	journal   *journal.Journal
	constants constants
	dbs       []*store.DB
}

func openObserver(ctx context.Context, data, url, key string) (_ *observer, err error) {
	dir, err := filepath.Abs(data)
	if err != nil {
		return nil, fmt.Errorf("platform: the data folder: %w", err)
	}
	o := &observer{place: place{data: dir, url: url, key: key, readOnly: true, clock: clock.NewSystem()}}
	if err := o.one(); err != nil {
		return nil, err
	}
	if url == "" {
		if _, err := os.Stat(filepath.Join(dir, journalFile)); errors.Is(err, fs.ErrNotExist) {
			return nil, elsewhere(dir)
		}
	}
	j, db, err := openJournal(ctx, o.place)
	if err != nil {
		return nil, err
	}
	o.journal, o.dbs = j, append(o.dbs, db)
	root, err := o.rootKey()
	if key == "" && errors.Is(err, fs.ErrNotExist) {
		root, err = nil, nil // books can be judged by who must not have it
	}
	if err == nil {
		o.constants, err = known(ctx, j, o.place, root)
	}
	if err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

// elsewhere says why there are no books in a data folder.
func elsewhere(dir string) error {
	if card, err := ReadCard(dir); err == nil && card.Store == store.Postgres.String() {
		return fmt.Errorf("platform: the books of %s are on PostgreSQL: name it with --store", dir)
	}
	return fmt.Errorf("platform: there are no books in %s: name another folder with --data, or a PostgreSQL with --store", dir)
}

// Close closes the databases.
func (o *observer) Close() error {
	var errs []error
	for _, db := range o.dbs {
		errs = append(errs, db.Close())
	}
	return errors.Join(errs...)
}

// services returns every service and feed as the judge needs it, with the tables that the platform keeps. A backup may be of the
// journal alone: then there are none.
func (o *observer) services(ctx context.Context) (out []verify.Service, err error) {
	for _, k := range catalog() {
		own, news := k.tables(o.constants.volumes)
		for _, t := range []*tables{own, news} {
			there, err := o.there(ctx, t.Name)
			if err != nil {
				return nil, err
			}
			if !there {
				out = append(out, t.Service)
				continue
			}
			if t.Tables, err = o.state(ctx, t.Name); err != nil {
				return nil, fmt.Errorf("the tables of %s: %w", t.Name, err)
			}
			o.dbs = append(o.dbs, t.Tables)
			if err := t.readable(ctx, t.Tables); err != nil {
				return nil, err
			}
			out = append(out, t.Service)
		}
	}
	return out, nil
}

// there reports whether the tables of a service, or of a feed, are there at all.
func (o *observer) there(ctx context.Context, name string) (bool, error) {
	if o.url != "" {
		return hasTables(ctx, o.dbs[0], o.tables(name).Schema)
	}
	db, err := o.state(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("the tables of %s: %w", name, err)
	}
	return true, db.Close()
}
