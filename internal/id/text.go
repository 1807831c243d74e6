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

// tag is a CBC-MAC (ISO/IEC 9797-1, algorithm 1) over two blocks, the prefix and the id. The length is fixed, which
// is what makes CBC-MAC safe. With the prefix in a block of its own, no tag of one kind fits an id of another.
func (c *Codec) tag(p Prefix, x ID) [4]byte {
	var block ID
	copy(block[:], p)
	c.block.Encrypt(block[:], block[:])
	subtle.XORBytes(block[:], block[:], x[:])
	c.block.Encrypt(block[:], block[:])
	return [4]byte(block[:4])
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
	// The decoder skips line breaks, so the count is checked too: an id has one text only.
	if n, err := alphabet.Decode(raw[:], []byte(body)); err != nil || n != len(raw) {
		return Nil, fmt.Errorf("expected %s_ and %d characters of 0-9 a-z without i l o u", p, textLen)
	}
	x := ID(raw[:16])
	if want := c.tag(p, x); subtle.ConstantTimeCompare(want[:], raw[16:]) != 1 {
		return Nil, fmt.Errorf("it was not given out by this platform")
	}
	return x, nil
}
