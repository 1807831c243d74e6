package gateway

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a text may hold, by field. Every text that a caller sends is kept as it was sent or refused: nothing is cut, folded
// or replaced, because a reference that was changed is found no more.
//
// No text holds what cannot be seen and changes what can: see runes.refuse. A text that people read as a name (label) also
// has something to see. Names and metadata hold nothing that pays. References are free, because one order number in ten
// passes for a card's by its check digit; logs never hold them.

// runes looks at the runes of one text, one after another.
type runes struct{ last rune }

// refuse says why r, which took n bytes, may not come next; "" if it may. Refused are invalid UTF-8 (RFC 3629), control
// characters (NUL and line ends too), noncharacters, private use, characters that reorder the text around them (UAX #9), and
// those that show nothing: with them, two names that look alike are two. Joiners stand where scripts and emoji need them.
func (t *runes) refuse(r rune, n int) string {
	last := t.last
	t.last = r
	switch {
	case r == utf8.RuneError && n <= 1:
		return "the text is not valid UTF-8 or has a broken escape"
	case r < 0x7f && r >= ' ':
		return ""
	case r < 0xa0, r == 0x2028, r == 0x2029:
		return "the text has a control character"
	case unicode.Is(reordering, r):
		return "the text has a character that reorders the text around it"
	case r == 0x200c || r == 0x200d:
		if !joins(last) {
			return "the text has a joiner that joins nothing"
		}
	case unicode.Is(invisible, r), r&0xfffe == 0xfffe, 0xfdd0 <= r && r <= 0xfdef:
		return "the text has a character that stands for nothing"
	case unicode.Is(unicode.Co, r):
		return "the text has a character of private use, which others see as something else"
	}
	return ""
}

// reordering are the marks, embeddings, overrides and isolates of UAX #9.
var reordering = &unicode.RangeTable{R16: []unicode.Range16{
	{Lo: 0x061c, Hi: 0x061c, Stride: 1},
	{Lo: 0x200e, Hi: 0x200f, Stride: 1},
	{Lo: 0x202a, Hi: 0x202e, Stride: 1},
	{Lo: 0x2066, Hi: 0x2069, Stride: 1},
}}

// invisible are characters with no width of their own, fillers, and the tags that spell a hidden text. Variation selectors
// are none: the names of people (U+E0100 and on, after a kanji) and emoji need them.
var invisible = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x00ad, Hi: 0x00ad, Stride: 1},
		{Lo: 0x034f, Hi: 0x034f, Stride: 1},
		{Lo: 0x115f, Hi: 0x1160, Stride: 1},
		{Lo: 0x17b4, Hi: 0x17b5, Stride: 1},
		{Lo: 0x180b, Hi: 0x180f, Stride: 1},
		{Lo: 0x200b, Hi: 0x200b, Stride: 1},
		{Lo: 0x2060, Hi: 0x2065, Stride: 1},
		{Lo: 0x206a, Hi: 0x206f, Stride: 1},
		{Lo: 0x3164, Hi: 0x3164, Stride: 1},
		{Lo: 0xfeff, Hi: 0xfeff, Stride: 1},
		{Lo: 0xffa0, Hi: 0xffa0, Stride: 1},
		{Lo: 0xfff0, Hi: 0xfffb, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1d173, Hi: 0x1d17a, Stride: 1}, {Lo: 0xe0000, Hi: 0xe00ff, Stride: 1}, {Lo: 0xe01f0, Hi: 0xe0fff, Stride: 1},
	},
	LatinOffset: 1,
}

// joins reports whether a joiner may follow r: an emoji, or a letter or mark of a script that is written with joiners.
func joins(r rune) bool {
	return unicode.In(r, unicode.So, unicode.Sk, unicode.Variation_Selector) || r >= 0x1f3fb && r <= 0x1f3ff ||
		unicode.In(r, unicode.Arabic, unicode.Syriac, unicode.Mongolian, unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi,
			unicode.Gujarati, unicode.Oriya, unicode.Tamil, unicode.Telugu, unicode.Kannada, unicode.Malayalam, unicode.Sinhala,
			unicode.Khmer, unicode.Myanmar)
}

// refuseText is refuse for a whole text.
func refuseText(t string) string {
	var seen runes
	for i := 0; i < len(t); {
		r, n := utf8.DecodeRuneInString(t[i:])
		if problem := seen.refuse(r, n); problem != "" {
			return problem
		}
		i += n
	}
	return ""
}

// refuseLabel says why a text cannot be a name that people read; "" if it can.
func refuseLabel(t string) string {
	if t == "" {
		return "" // missing_field
	}
	first, _ := utf8.DecodeRuneInString(t)
	last, _ := utf8.DecodeLastRuneInString(t)
	switch {
	case unicode.IsSpace(first) || unicode.IsSpace(last):
		return "a name begins and ends with something to see, not with a space"
	case unicode.IsMark(first):
		return "a name does not begin with a mark that belongs to the letter before it"
	case !strings.ContainsFunc(t, func(r rune) bool { return unicode.In(r, unicode.L, unicode.N, unicode.S) }):
		return "a name has a letter, a digit or a symbol"
	case holdsCard(t):
		return "the name holds a card's number; no name has one"
	}
	return ""
}

const cardInEntry = "the entry holds a card's number; send none, and keep none here"

// refuseCard says why an entry of metadata cannot be kept; "" if it can. A card's security code may be stored by nobody,
// and its number only where it is protected (PCI DSS 4.0, requirement 3).
func refuseCard(key, value string) string {
	if holdsCard(value) {
		return cardInEntry
	}
	switch strings.NewReplacer("_", "", "-", "", ".", "").Replace(strings.ToLower(key)) {
	case "cvv", "cvv2", "cvc", "cvc2", "cid", "cav2", "securitycode", "cardsecuritycode", "cardcvc", "cardcvv":
		if n := len(value); n >= 3 && n <= 4 && strings.Trim(value, "0123456789") == "" {
			return "the entry holds a card's security code, which nobody may store"
		}
	}
	return ""
}
