package term

import (
	"slices"
	"strings"
	"testing"
)

func plain(b *strings.Builder) *Writer { return New(b, func(string) string { return "" }) }

func TestWidthCountsColumns(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "abc": 3, "喫茶": 4, "ﾊﾟﾝ": 3, "ＡＢ": 4, "パン": 4, "が": 2, "\x1b[1;31mred\x1b[0m": 3, "e\u0301": 1, "¥1,200": 6,
	} {
		if got := Width(text); got != want {
			t.Errorf("%q takes %d columns, got %d", text, want, got)
		}
	}
}

func TestTableLinesUpJapaneseNames(t *testing.T) {
	var b strings.Builder
	table := plain(&b).Table("shop", ">amount", "")
	table.Row("喫茶こばん", "¥1,200", "x")
	table.Row("Bakery", "¥90", "y")
	table.Row("short")
	table.Print()
	want := "shop        amount\n" +
		"喫茶こばん  ¥1,200  x\n" +
		"Bakery         ¥90  y\n" +
		"short\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

// TestTableFitsTheTerminal: what has no room goes below its row, the widest text first, or what says that it is the first
// to go; numbers stay until nothing else is left.
func TestTableFitsTheTerminal(t *testing.T) {
	id := strings.Repeat("x", 40)
	for _, c := range []struct {
		heads, cells []string
		columns      string
		want         string
	}{
		{[]string{"time", "payment", ">amount", "status"}, []string{"  12:00", id, "¥1,200", "喫茶 CAPTURED"}, "", "" +
			"time     payment                                   amount  status\n" +
			"  12:00  " + id + "  ¥1,200  喫茶 CAPTURED\n"},
		{[]string{"time", "payment", ">amount", "status"}, []string{"  12:00", id, "¥1,200", strings.Repeat("y", 30)}, "", "" +
			"time     amount  status\n" +
			"  12:00  ¥1,200  " + strings.Repeat("y", 30) + "\n" +
			"      payment " + id + "\n"},
		{[]string{"time", "payment", ">amount", "~status"}, []string{"  12:00", id, "¥1,200", strings.Repeat("y", 30)}, "", "" +
			"time     payment                                   amount\n" +
			"  12:00  " + id + "  ¥1,200\n" +
			"      status " + strings.Repeat("y", 30) + "\n"},
		{[]string{"time", "payment", ">amount", "~status"}, []string{"  12:00", id, "¥1,200", strings.Repeat("y", 30)}, "120", "" +
			"time     payment                                   amount  status\n" +
			"  12:00  " + id + "  ¥1,200  " + strings.Repeat("y", 30) + "\n"},
		{[]string{">a", ">b", ">c"}, []string{id, id, "3"}, "", "" +
			strings.Repeat(" ", 39) + "a\n" + id + "\n    b " + id + "  c 3\n"},
		{[]string{"a", ""}, []string{"1", strings.Repeat("word ", 20)}, "", "" +
			"a\n1\n    " + strings.TrimSpace(strings.Repeat("word ", 15)) + "\n    word word word word word\n"},
	} {
		var b strings.Builder
		table := New(&b, func(name string) string { return map[string]string{"COLUMNS": c.columns}[name] }).Table(c.heads...)
		table.Row(c.cells...)
		table.Print()
		if b.String() != c.want {
			t.Errorf("%q of %q:\n%s\nexpected\n%s", c.cells, c.heads, b.String(), c.want)
		}
	}
}

func TestColoursOnlyWhereTheyAreSeen(t *testing.T) {
	var b strings.Builder
	if w := plain(&b); w.Bad("x") != "x" || w.Colour() {
		t.Error("a writer that is no terminal has colours")
	}
	forced := New(&b, func(name string) string { return map[string]string{"CLICOLOR_FORCE": "1"}[name] })
	if forced.Good("x") != "\x1b[32mx\x1b[0m" || forced.Bold("") != "" {
		t.Errorf("colours that were asked for: %q", forced.Good("x"))
	}
}

// TestCleanLetsNothingSteerTheTerminal: names and payloads of strangers are printed as text (catalogue 107).
func TestCleanLetsNothingSteerTheTerminal(t *testing.T) {
	for text, want := range map[string]string{
		"パン": "パン", "a\x1b[2Jb": "a�[2Jb", "a\nb\r": "a�b�", "\u202eabc": "�abc", "\x00": "�", "a\xffb": "a�b",
	} {
		if got := Clean(text); got != want {
			t.Errorf("%q became %q, expected %q", text, got, want)
		}
	}
}

func TestWrapFitsTheColumns(t *testing.T) {
	for text, want := range map[string][]string{
		"":                        {""},
		"ten columns":             {"ten", "columns"},
		"one two":                 {"one two"},
		"小判 と 交番 の":               {"小判 と", "交番 の"},
		"a 0123456789abcdef0 b":   {"a", "0123456789abcdef0"[:10], "abcdef0 b"},
		"0123456789abcdef0123 ok": {"0123456789", "abcdef0123", "ok"},
	} {
		if got := Wrap(text, 10); !slices.Equal(got, want) {
			t.Errorf("%q: %q, expected %q", text, got, want)
		}
	}
}
