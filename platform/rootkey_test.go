package platform

import (
	"bytes"
	"database/sql"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/koban-pay/koban/book/store"
)

func (r *rig) keyText() string {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.config.Data, RootKeyFile))
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// Nothing of the root key stands in the books: neither the key, nor what it gives to callers.
func TestBooksDoNotHoldTheRootKey(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.pay("one", 1200, 200)
		keys := []string{r.app.Card.Keys.Operator, r.app.Card.Keys.CustomerApp, r.app.Card.Keys.Merchant}
		r.stop()
		root := r.keyText()
		raw, err := hex.DecodeString(root)
		if err != nil || len(raw) != secretBytes {
			t.Fatalf("the root key: %v", err)
		}
		never := append([][]byte{raw, []byte(root), constants{secret: raw}.derive("door", secretBytes)},
			split(keys)...)
		for _, value := range r.platformValues() {
			for _, secret := range never {
				if bytes.Contains(value, secret) {
					t.Errorf("the journal's constants hold %x", secret)
				}
			}
		}
		if info, err := os.Stat(filepath.Join(r.config.Data,
			RootKeyFile)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the root key: %v %v", info.Mode(), err)
		}
		for path := range r.files() {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range never {
				if bytes.Contains(text, secret) && filepath.Base(path) != RootKeyFile {
					t.Errorf("%s holds %x", path, secret)
				}
			}
		}
	})
}

func split(keys []string) (out [][]byte) {
	for _, k := range keys {
		out = append(out, []byte(k))
	}
	return out
}

// platformValues returns the constants that stand in the journal.
func (r *rig) platformValues() (out [][]byte) {
	r.t.Helper()
	p := r.place()
	p.readOnly = true
	db, err := p.journal(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	err = db.Read(r.t.Context(), func(tx *sql.Tx) error {
		rows, err := tx.Query("SELECT value FROM platform")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var v []byte
			if err := rows.Scan(&v); err != nil {
				return err
			}
			out = append(out, v)
		}
		return rows.Err()
	})
	if err = errors.Join(err, db.Close()); err != nil || len(out) < 4 {
		r.t.Fatalf("%d constants, %v", len(out), err)
	}
	return out
}

// refused requires that the platform does not start, and that it says why.
func (r *rig) refused(what string, says ...string) {
	r.t.Helper()
	a, err := Start(r.t.Context(), r.config)
	if err == nil {
		_ = a.Close(r.t.Context())
		r.t.Errorf("%s: it starts", what)
		return
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			r.t.Errorf("%s: it says %v; expected %q", what, err, s)
		}
	}
}

// Without its root key, or with another, a platform does not start, and nothing is made in its place.
func TestStartNeedsItsRootKey(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		p := r.pay("one", 1200, 200)
		was := r.app.Card.Keys
		r.stop()
		path, kept := filepath.Join(r.config.Data, RootKeyFile), filepath.Join(t.TempDir(), "kept.key")
		text := []byte(r.keyText())
		put := func(path string, text []byte, mode os.FileMode) {
			if err := errors.Join(os.WriteFile(path, text, 0o600), os.Chmod(path, mode)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Rename(path, kept); err != nil {
			t.Fatal(err)
		}
		r.refused("no key", "--key-file", "root key", "no such file")
		r.config.KeyFile = filepath.Join(t.TempDir(), "none")
		r.refused("a key that is not there", "--key-file", "no such file")
		r.config.KeyFile = ""
		put(path, []byte(strings.Repeat("0", 64)), 0o600)
		r.refused("another key", "is not the root key", "--key-file")
		put(path, text[:63], 0o600)
		r.refused("a digit less", "64 hexadecimal digits")
		put(path, text, 0o640)
		r.refused("a key that the group reads", "chmod 600")
		if err := errors.Join(os.Remove(path), os.Symlink(kept, path)); err != nil {
			t.Fatal(err)
		}
		r.refused("a link", "symbolic link")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		r.right(nil) // an auditor needs no key

		link := filepath.Join(t.TempDir(), "mounted") // as secrets are mounted
		put(kept, text, 0o440)
		if err := os.Symlink(kept, link); err != nil {
			t.Fatal(err)
		}
		r.config.KeyFile = link
		r.start()
		if r.app.Card.Keys != was {
			t.Error("the same root key gives other keys")
		}
		if again := r.pay("one", 1200, 200); again.Id != p.Id {
			t.Errorf("the same key of the caller pays again: %s and %s", again.Id, p.Id)
		}
		if _, err := r.app.keys.Authenticate(was.Operator); err != nil {
			t.Errorf("the operator's key: %v", err)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Error("a key was made where one was named")
		}
	})
}

// A standby says at once that it could not take over.
func TestStandbyNeedsTheRootKey(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		if r.config.StoreURL == "" {
			return // it has the same data folder
		}
		second := &rig{t: t, config: r.config}
		second.config.Data, second.config.Standby = t.TempDir(), true
		here, away := filepath.Join(r.config.Data, RootKeyFile), filepath.Join(r.config.Data, "away.key")
		if err := os.Rename(here, away); err != nil { // as on another machine
			t.Fatal(err)
		}
		second.refused("a standby without the key", "--key-file", "root key")
		second.config.KeyFile = here
		second.refused("a standby with a wrong name", "--key-file", "no such file")
		wrong := filepath.Join(t.TempDir(), RootKeyFile)
		text, err := os.ReadFile(away)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range text { // another key of the same form
			if c == 'a' {
				text[i] = 'b'
			}
		}
		if err := os.WriteFile(wrong, text, 0o600); err != nil {
			t.Fatal(err)
		}
		second.config.KeyFile = wrong
		second.refused("a standby with another key", "key")
		if err := os.Rename(away, here); err != nil {
			t.Fatal(err)
		}
		second.config.KeyFile, second.config.Volumes = here, 4
		second.refused("a standby with another number of volumes", "2 volumes")
		second.config.Volumes, second.config.Rehearsal = r.config.Volumes, true
		second.refused("a standby to rehearse on", "without --rehearsal")
		second.config.Rehearsal = false
		second.config.KeyFile = "" // on the same machine the books say where it is
		stopped := make(chan error, 1)
		go func() { stopped <- r.app.Close(t.Context()) }()
		second.start()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		second.pay("two", 1200, 200)
		second.stop()
	})
}

// Whoever had a right in a platform that is lost has none in the one that is made in its place.
func TestStartOverTakesAnotherKey(t *testing.T) {
	r := newRig(t, "")
	old := r.app.Card.Keys
	r.stop()
	was := r.keyText()
	r.move(journalFile, "kept")
	r.config.StartOver = true
	r.start()
	if now := r.keyText(); now == was {
		t.Error("the new platform has the root key of the old")
	}
	if _, err := r.app.keys.Authenticate(old.Operator); err == nil {
		t.Error("the operator of the old platform is that of the new")
	}
	text, err := store.ReadPrivate(filepath.Join(r.config.Data, RootKeyFile+".lost-1"))
	if err != nil || strings.TrimSpace(string(text)) != was {
		t.Errorf("the old key is not kept: %v", err)
	}
}
