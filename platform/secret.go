package platform

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/fault"
	"github.com/koban-pay/koban/internal/id"
)

// Names of the constants that are chosen when a platform is created.
const (
	volumesName = "platform.volumes"
	rootName    = "platform.root"  // what only the right root key gives
	checkName   = "platform.check" // tells whether one of the others has changed
	pathName    = "platform.key"   // where the root key stood on the machine that created the platform
)

// secretBytes is the length of the root key, and of every key derived from it unless it is used for AES-128.
const secretBytes = 32

// constants are what a platform was created with.
type constants struct {
	volumes int
	secret  []byte // the root key; nil where the books are read without it
}

// maxVolumes is the most volumes that the names of books have room for.
const maxVolumes = 64

// fix returns the platform's constants, and chooses them if the platform is new. volumes 0 takes them as they are.
func fix(ctx context.Context, j *journal.Journal, p place, volumes int) (constants, error) {
	asked := volumes
	if volumes == 0 {
		volumes = Volumes
	}
	if volumes < 1 || volumes > maxVolumes {
		return constants{}, fmt.Errorf("platform: %d volumes; expected 1 to %d", volumes, maxVolumes)
	}
	key, err := p.keyFor(ctx, j)
	if err != nil {
		return constants{}, err
	}
	if _, complete, err := j.Constant(ctx, checkName); err != nil {
		return constants{}, err
	} else if !complete { // it is new, or died while it was created
		if err := choose(ctx, j, p, constants{volumes, key}); err != nil {
			return constants{}, err
		}
	}
	c, err := known(ctx, j, p, key)
	if err == nil && asked != 0 && asked != c.volumes {
		err = fmt.Errorf("platform: the platform was created with %d volumes, which is for good; %d were asked for", c.volumes, asked)
	}
	return c, err
}

// choose writes the constants down, unless others stand there.
func choose(ctx context.Context, j *journal.Journal, p place, c constants) error {
	stands, err := j.Fix(ctx, volumesName, strconv.AppendInt(nil, int64(c.volumes), 10))
	if err != nil {
		return err
	}
	if c.volumes, err = volumesOf(stands); err != nil {
		return err
	}
	if _, err := j.Fix(ctx, rootName, c.root()); err != nil {
		return err
	}
	if p.url != "" {
		if _, err := j.Fix(ctx, pathName, []byte(p.keyPath())); err != nil {
			return err
		}
	}
	_, err = j.Fix(ctx, checkName, c.check())
	return err
}

// errNoPlatform says that the store holds no platform.
var errNoPlatform = errors.New("platform: there is no platform here: start one with koban run")

// known returns the constants of a platform that exists, if they are as they were chosen: with another root
// key, no id and no caller's key would be known any more, and what was paid would be paid again. Without a
// key, only what can be said without one is.
func known(ctx context.Context, j *journal.Journal, p place, key []byte) (c constants, err error) {
	text, ok, err := j.Constant(ctx, volumesName)
	if err != nil {
		return c, err
	}
	if !ok {
		return c, errNoPlatform
	}
	if c.volumes, err = volumesOf(text); err != nil || key == nil {
		return c, err
	}
	c.secret = key
	root, _, err := j.Constant(ctx, rootName)
	if err != nil {
		return c, err
	}
	sum, _, err := j.Constant(ctx, checkName)
	switch {
	case err != nil:
		return c, err
	case len(root) == 0:
		return c, fault.DataDamaged.New("the platform does not say which root key it was created with: restore " +
			"the store from a backup; " +
			"or it was created by a version from before the root key stood apart: create it anew")
	case !bytes.Equal(root, c.root()):
		return c, fmt.Errorf("platform: %s is not the root key that these books were created with: put the right one "+
			"there, or name it "+
			"with --key-file. If it is the right one, the platform's constants are damaged: restore the store from a "+
			"backup", p.keyPath())
	case !bytes.Equal(sum, c.check()):
		return c, fault.DataDamaged.New("the platform's number of volumes is not what it was created with: " +
			"restore the store from a backup")
	}
	return c, nil
}

// root returns what tells the root key, and says nothing of it.
func (c constants) root() []byte { return c.derive("root", sha256.Size) }

// check returns what has to stand beside the constants.
func (c constants) check() []byte { return c.derive("check/"+strconv.Itoa(c.volumes), sha256.Size) }

func volumesOf(text []byte) (int, error) {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 || n > maxVolumes {
		return 0, fault.DataDamaged.New("the store says that the platform has %q volumes; expected 1 to %d: "+
			"restore it from a backup", text,
			maxVolumes)
	}
	return n, nil
}

// derive returns a key for one purpose (HKDF, RFC 5869), so that no two purposes share one.
func (c constants) derive(purpose string, length int) []byte {
	key, err := hkdf.Expand(sha256.New, c.secret, "koban/"+purpose+"/1", length)
	if err != nil {
		panic("platform: " + err.Error()) // only a length beyond 255 hashes can fail
	}
	return key
}

// codec returns what turns ids into public text; nil without a root key.
func (c constants) codec() (*id.Codec, error) {
	if c.secret == nil {
		return nil, nil
	}
	return id.NewCodec(c.derive("ids", 16))
}
