package app

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"

	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/internal/journal"
)

// Names of the constants that are chosen when a platform is created.
const (
	volumesName = "platform.volumes"
	secretName  = "platform.secret"
	checkName   = "platform.check" // tells whether one of the others has changed
)

// secretBytes is the length of the platform's secret, and of every key derived from it unless it is used for AES-128.
const secretBytes = 32

// constants are what a platform was created with.
type constants struct {
	volumes int
	secret  []byte
}

// maxVolumes is the most volumes that the names of books have room for.
const maxVolumes = 64

// fix returns the platform's constants, and chooses them if the platform is new. volumes 0 takes them as they are.
func fix(ctx context.Context, j *journal.Journal, volumes int) (constants, error) {
	asked := volumes
	if volumes == 0 {
		volumes = Volumes
	}
	if volumes < 1 || volumes > maxVolumes {
		return constants{}, fmt.Errorf("app: %d volumes; expected 1 to %d", volumes, maxVolumes)
	}
	fresh := make([]byte, secretBytes)
	rand.Read(fresh) // never fails: it ends the process instead
	if _, err := j.Fix(ctx, volumesName, strconv.AppendInt(nil, int64(volumes), 10)); err != nil {
		return constants{}, err
	}
	if _, err := j.Fix(ctx, secretName, fresh); err != nil {
		return constants{}, err
	}
	c, err := chosen(ctx, j)
	if err != nil {
		return c, err
	}
	if _, err := j.Fix(ctx, checkName, c.check()); err != nil {
		return constants{}, err
	}
	c, err = known(ctx, j)
	if err == nil && asked != 0 && asked != c.volumes {
		err = fmt.Errorf("app: the platform was created with %d volumes, which is for good; %d were asked for", c.volumes, asked)
	}
	return c, err
}

// errNoPlatform says that the store holds no platform.
var errNoPlatform = errors.New("app: there is no platform here: start one with koban run")

// known returns the constants of a platform that exists, if they are as they were chosen: with another secret, no id and
// no caller's key would be known any more, and what was paid would be paid again.
func known(ctx context.Context, j *journal.Journal) (constants, error) {
	c, err := chosen(ctx, j)
	if err != nil {
		return c, err
	}
	sum, ok, err := j.Constant(ctx, checkName)
	if err != nil {
		return c, err
	}
	if ok && !bytes.Equal(sum, c.check()) {
		return c, fault.DataDamaged.New("the platform's secret or its number of volumes is not what it was created with: restore the store from a backup")
	}
	return c, nil
}

// check returns what has to stand beside the constants.
func (c constants) check() []byte { return c.derive("check/"+strconv.Itoa(c.volumes), sha256.Size) }

// chosen returns the constants as they stand.
func chosen(ctx context.Context, j *journal.Journal) (c constants, err error) {
	text, ok, err := j.Constant(ctx, volumesName)
	if err != nil {
		return c, err
	}
	if !ok {
		return c, errNoPlatform
	}
	if c.volumes, err = strconv.Atoi(string(text)); err != nil || c.volumes < 1 {
		return c, fmt.Errorf("app: the store says that the platform has %q volumes; expected a number", text)
	}
	if c.secret, ok, err = j.Constant(ctx, secretName); err != nil {
		return c, err
	}
	if !ok || len(c.secret) != secretBytes {
		return c, fmt.Errorf("app: the platform's secret has %d bytes; expected %d: restore the store from a backup", len(c.secret), secretBytes)
	}
	return c, nil
}

// derive returns a key for one purpose (HKDF, RFC 5869), so that no two purposes share one.
func (c constants) derive(purpose string, length int) []byte {
	key, err := hkdf.Expand(sha256.New, c.secret, "koban/"+purpose+"/1", length)
	if err != nil {
		panic("app: " + err.Error()) // only a length beyond 255 hashes can fail
	}
	return key
}

// codec returns what turns ids into public text.
func (c constants) codec() (*id.Codec, error) { return id.NewCodec(c.derive("ids", 16)) }

// signer returns the key that signs exported checkpoints.
func (c constants) signer() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(c.derive("checkpoint", ed25519.SeedSize))
}
