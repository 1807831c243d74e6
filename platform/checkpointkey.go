package platform

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/koban-pay/koban/book/store"
)

// Checkpoints are signed by a key that has nothing to do with the root key: whoever could read everything
// that a platform runs on could otherwise change the books and sign that they were always so. Its public half
// is held by those who check, outside of the platform; a public key that comes with what it is to prove,
// proves nothing.

// Files of the key that signs checkpoints, in the data folder.
const (
	checkpointKeyFile = "checkpoint.key"
	checkpointPubFile = "checkpoint.pub"
)

// CheckpointKey reads the key that signs checkpoints: the file at path, 64 hexadecimal digits; or, if path is
// "", the one in the data folder, which is made, with its public half beside it, if there is none. made says
// that it was.
//
// Errors: why it cannot be read or kept, and what to do.
func CheckpointKey(data, path string) (key ed25519.PrivateKey, made bool, err error) {
	read := store.ReadSecret
	if path == "" {
		read, path = store.ReadPrivate, filepath.Join(data, checkpointKeyFile)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			made = true
			if err := makeCheckpointKey(data); err != nil {
				return nil, false, err
			}
		}
	}
	text, err := read(path)
	if err != nil {
		return nil, false, fmt.Errorf("platform: the key that signs checkpoints: %w", err)
	}
	seed, err := hexKey(text, path)
	if err != nil {
		return nil, false, err
	}
	return ed25519.NewKeyFromSeed(seed), made, nil
}

// makeCheckpointKey makes a key and its public half.
func makeCheckpointKey(data string) error {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed) // never fails: it ends the process instead
	public := PublicKeyText(ed25519.NewKeyFromSeed(seed))
	for _, one := range []struct{ name, text string }{
		{checkpointPubFile, public},
		{checkpointKeyFile, hex.EncodeToString(seed)},
	} {
		if err := store.WriteFileAtomic(filepath.Join(data, one.name), []byte(one.text+"\n"), 0o600); err != nil {
			return fmt.Errorf("platform: keep the key that signs checkpoints: %w", err)
		}
	}
	return nil
}

// PublicKeyText returns the public half of a key as people hand it on.
func PublicKeyText(key ed25519.PrivateKey) string {
	return hex.EncodeToString(key.Public().(ed25519.PublicKey))
}

// ParsePublicKey reads a public key from its 64 hexadecimal digits, or from a file that holds them.
//
// Errors: what was expected.
func ParsePublicKey(text string) (ed25519.PublicKey, error) {
	key, err := hex.DecodeString(text)
	if err != nil {
		file, missing := os.ReadFile(text)
		if missing != nil {
			return nil, fmt.Errorf("platform: the public key: expected 64 hexadecimal digits, or a file that holds them: "+
				"%w", missing)
		}
		key, err = hex.DecodeString(strings.TrimSpace(string(file)))
	}
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("platform: the public key: expected 64 hexadecimal digits, as %s holds them",
			checkpointPubFile)
	}
	return key, nil
}
