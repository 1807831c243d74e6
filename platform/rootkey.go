package platform

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/book/store"
)

// The root key is what every other key of a platform is derived from: those that callers authenticate with,
// the tags of public ids, the fingerprints of callers' keys. It stands apart from the books, so that a copy
// of the books, a replica or a dump gives nobody the right to move money. The books hold only what tells the
// right key from a wrong one.
//
// It is a file of 64 hexadecimal digits. Whatever can put a file where only this process reads it can keep
// the key: a mounted secret, a systemd credential, an agent of a key management service. A port for such
// services would have one implementation, and so there is none.

// RootKeyFile is where the root key stands in the data folder, unless Config.KeyFile names another place.
const RootKeyFile = "root.key"

// keyPath says where the root key is.
func (p place) keyPath() string {
	if p.key != "" {
		return p.key
	}
	return filepath.Join(p.data, RootKeyFile)
}

// rootKey reads the root key.
//
// Errors: fs.ErrNotExist; why it cannot be used, and what to do.
func (p place) rootKey() ([]byte, error) {
	read := store.ReadPrivate
	if p.key != "" {
		read = store.ReadSecret
	}
	text, err := read(p.keyPath())
	if err != nil {
		return nil, fmt.Errorf("platform: the root key: %w", err)
	}
	return hexKey(text, p.keyPath())
}

// hexKey reads the 32 bytes of a key. What the file holds is never repeated.
func hexKey(text []byte, path string) ([]byte, error) {
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != secretBytes {
		return nil, fmt.Errorf("platform: %s holds no key: expected 64 hexadecimal digits, such as openssl rand -hex "+
			"32 prints",
			path)
	}
	return key, nil
}

// makeRootKey makes the root key of a new platform. It is on the disk before anything is derived from it.
func (p place) makeRootKey() ([]byte, error) {
	key := make([]byte, secretBytes)
	rand.Read(key) // never fails: it ends the process instead
	if err := store.WriteFileAtomic(p.keyPath(), []byte(hex.EncodeToString(key)+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("platform: keep the root key: %w", err)
	}
	return key, nil
}

// missingKey says what a missing root key means, and what to do.
func (p place) missingKey(err error) error {
	return fmt.Errorf("%w: it is the root key of these books, and without it nobody's key or id can be known "+
		"again. Put it "+
		"back from where you keep it, or name it with --key-file; on another machine, it is the file %s of the "+
		"data folder in which the platform was created", err, RootKeyFile)
}

// keyFor returns the root key of the platform in j, and makes it where there is no platform yet.
func (p place) keyFor(ctx context.Context, j *journal.Journal) ([]byte, error) {
	key, err := p.rootKey()
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	_, created, known := j.Constant(ctx, volumesName)
	switch {
	case known != nil:
		return nil, known
	case created:
		return p.otherKey(ctx, j, err)
	case p.key != "":
		return nil, fmt.Errorf("%w: to make one: openssl rand -hex 32 > %s, and chmod 600 it", err, p.key)
	}
	return p.makeRootKey()
}

// otherKey returns the root key from where it stood when the platform was created, for another process of this user on
// the same machine: a standby has a data folder of its own. The books on PostgreSQL name the place; whoever may write there
// gains nothing by naming another one, for only the right key is taken.
//
// Errors: missing, and what to do.
func (p place) otherKey(ctx context.Context, j *journal.Journal, missing error) ([]byte, error) {
	path, named, err := j.Constant(ctx, pathName)
	if err != nil {
		return nil, err
	}
	if p.key != "" || p.url == "" || !named || !filepath.IsAbs(string(path)) {
		return nil, p.missingKey(missing)
	}
	text, err := store.ReadSecret(string(path))
	if err != nil {
		return nil, p.missingKey(missing)
	}
	return hexKey(text, string(path))
}

// checkSuccessor refuses a standby that could not take over, because it has not the root key, or was asked for
// what the books are not: nobody would notice before it has to. Where there is no platform yet, nothing can be said.
func (a *App) checkSuccessor(ctx context.Context) error {
	p := a.place
	p.readOnly, p.fatal = true, nil
	created, _, err := p.record(ctx)
	if err != nil || !created {
		return nil //nolint:nilerr // what is wrong with the store now may be right when it takes over
	}
	j, db, err := openJournal(ctx, p)
	if err != nil {
		return nil //nolint:nilerr // the same
	}
	key, err := p.keyFor(ctx, j)
	if err == nil {
		err = a.succeeds(ctx, j, key)
	}
	return errors.Join(err, db.Close())
}

// succeeds reports why the books would refuse this process, nil if they would not.
func (a *App) succeeds(ctx context.Context, j *journal.Journal, key []byte) error {
	c, err := known(ctx, j, a.place, key)
	if err == nil && a.Volumes != 0 && a.Volumes != c.volumes {
		err = fmt.Errorf("platform: the platform was created with %d volumes, which is for good; %d were asked for", c.volumes, a.Volumes)
	}
	is := ""
	if err == nil {
		is, err = modeOf(ctx, j)
	}
	if err == nil && is != "" {
		_, err = agree(is, modeAsked(a.Rehearsal, a.Tenant == "demo"))
	}
	return err
}
