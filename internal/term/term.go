package term

import (
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"

	"github.com/mattn/go-isatty"
	"golang.org/x/sys/unix"
	"golang.org/x/text/width"
)

// Writer prints, and knows whether colours are seen, and how wide a line may be.
type Writer struct {
	io.Writer
	colour  bool
	columns int
}

// usual is how wide a line is where nobody knows the terminal's width: in files, mails and narrow windows.
const usual = 80

// New returns a writer on w. Colours are on if w is a terminal that knows them and nobody said no (https://no-color.org).
func New(w io.Writer, env func(string) string) *Writer {
	f, ok := w.(*os.File)
	colour := ok && isatty.IsTerminal(f.Fd()) && env("NO_COLOR") == "" && env("TERM") != "dumb"
	return &Writer{w, colour || env("CLICOLOR_FORCE") == "1", columnsOf(f, env)}
}

// columnsOf returns the width of the terminal that f is, or what COLUMNS says, at least 80.
func columnsOf(f *os.File, env func(string) string) int {
	n, err := strconv.Atoi(env("COLUMNS"))
	if err != nil && f != nil {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil {
			n = int(size.Col)
		}
	}
	return max(usual, n)
}

// Columns returns how wide a line may be.
func (w *Writer) Columns() int { return w.columns }

// Colour reports whether colours are on.
func (w *Writer) Colour() bool { return w.colour }

func (w *Writer) paint(code, s string) string {
	if !w.colour || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// Bold makes s stand out.
func (w *Writer) Bold(s string) string { return w.paint("1", s) }

// Dim makes s stand back.
func (w *Writer) Dim(s string) string { return w.paint("2", s) }

// Good marks what is as it should be.
func (w *Writer) Good(s string) string { return w.paint("32", s) }

// Bad marks what is not.
func (w *Writer) Bad(s string) string { return w.paint("1;31", s) }

// Warn marks what is under way.
func (w *Writer) Warn(s string) string { return w.paint("33", s) }

// Mark marks a name.
func (w *Writer) Mark(s string) string { return w.paint("36", s) }

// Clean returns s with every character that could steer a terminal replaced: text of strangers is printed through it.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == unicode.ReplacementChar, unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == '\u2028', r == '\u2029':
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// Width returns how many columns s takes, colours not counted (Unicode Standard Annex 11: wide characters take two).
func Width(s string) int {
	n, escape := 0, false
	for _, r := range s {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		case unicode.Is(unicode.Mn, r):
		default:
			n++
			if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
				n++
			}
		}
	}
	return n
}

// pad returns s in n columns; right puts it to the right.
func pad(s string, n int, right bool) string {
	blank := strings.Repeat(" ", max(0, n-Width(s)))
	if right {
		return blank + s
	}
	return s + blank
}

// Wrap cuts text into lines of at most n columns, between words where it can be; at least one line.
func Wrap(text string, n int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		for Width(word) > n { // longer than a line, such as a hash
			if line != "" {
				lines, line = append(lines, line), ""
			}
			at := 0
			for i := range word {
				if Width(word[:i]) <= n {
					at = i
				}
			}
			if at == 0 {
				break // one letter is too wide for it
			}
			lines, word = append(lines, word[:at]), word[at:]
		}
		switch {
		case line == "":
			line = word
		case Width(line)+1+Width(word) <= n:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	return append(lines, line)
}
