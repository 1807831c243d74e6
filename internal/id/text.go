package id

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"strings"
)

// Prefix says what an id names. It stands before the underscore of the public text.
type Prefix string

// The prefixes.
const (
	Payment  Prefix = "pay"
	Account  Prefix = "acc"
	Customer Prefix = "cus"
	Merchant Prefix = "mer"
	Session  Prefix = "ses"
)

// alphabet is Crockford's base 32 in lower case: it sorts as the bytes do and has no letters that look like digits.
var alphabet = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

const textLen = 32 // 20 bytes: the id and 4 bytes of tag

// Codec turns ids into public text and back. The text ends in a keyed tag of 32 bits, so that an id that was not
// given out by this platform, or was given out for another kind of thing, is refused without looking anything up.
type Codec struct{ block cipher.Block }

// NewCodec returns a codec with the platform's 16-byte key.
func NewCodec(key []byte) (*Codec, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("id: key: %w", err)
	}
	return &Codec{block: b}, nil
}

func (c *Codec) tag(p Prefix, x ID) [4]byte {
	for i := 0; i < len(p) && i < len(x); i++ {
		x[i] ^= p[i]
	}
	var out ID
	c.block.Encrypt(out[:], x[:])
	return [4]byte(out[:4])
}

// Encode returns the public text of x, such as pay_… with 32 characters after the underscore. Text sorts as ids do.
func (c *Codec) Encode(p Prefix, x ID) string {
	var raw [20]byte
	copy(raw[:], x[:])
	t := c.tag(p, x)
	copy(raw[16:], t[:])
	out := make([]byte, len(p)+1+textLen)
	copy(out, p)
	out[len(p)] = '_'
	alphabet.Encode(out[len(p)+1:], raw[:])
	return string(out)
}

// Decode returns the id that text stands for. It fails if text is not an id of kind p made by this platform.
func (c *Codec) Decode(p Prefix, text string) (ID, error) {
	body, ok := strings.CutPrefix(text, string(p)+"_")
	if !ok || len(body) != textLen {
		return Nil, fmt.Errorf("expected %s_ and %d characters", p, textLen)
	}
	var raw [20]byte
	if _, err := alphabet.Decode(raw[:], []byte(body)); err != nil {
		return Nil, fmt.Errorf("expected %s_ and %d characters of 0-9 a-z without i l o u", p, textLen)
	}
	x := ID(raw[:16])
	if want := c.tag(p, x); subtle.ConstantTimeCompare(want[:], raw[16:]) != 1 {
		return Nil, fmt.Errorf("it was not given out by this platform")
	}
	return x, nil
}
