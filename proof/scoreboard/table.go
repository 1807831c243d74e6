package main

import (
	"bytes"
	"fmt"
	"strings"
)

// table writes lines for a terminal, under their kinds: one for each.
func table(lines []line) string {
	var w strings.Builder
	kind := ""
	for _, l := range ordered(lines) {
		if l.Kind != kind {
			kind = l.Kind
			fmt.Fprintf(&w, "\n%s\n", strings.ToUpper(kind[:1])+kind[1:])
		}
		seeds := ""
		if l.Seeds != "" {
			seeds = " · seeds " + l.Seeds
		}
		fmt.Fprintf(&w, "  %-10s %s: %s · %s · target: %s%s · %s\n", l.verdict(), l.ID, l.Name, l.Figure, l.Target, seeds, l.Size)
	}
	fmt.Fprintf(&w, "\n%s\n", summary(lines))
	return w.String()
}

// summary says how many lines there are of which verdict.
func summary(lines []line) string {
	open := 0
	for _, l := range lines {
		if l.Open {
			open++
		}
	}
	bad := failures(lines)
	text := fmt.Sprintf("%d lines: %d pass, %d fail", len(lines), len(lines)-bad-open, bad)
	if open > 0 {
		text += fmt.Sprintf("; %d promised figures are not judged: that takes the full sizes (make scoreboard)", open)
	}
	return text
}

// page writes lines as Markdown.
func page(lines []line, from []record) []byte {
	var w bytes.Buffer
	fmt.Fprintf(&w, "# Scoreboard\n\nEvery proof of Koban, with its figure. `make scoreboard` runs them all and writes this page; "+
		"[testing](../internals/testing.md#the-scoreboard)\nsays how. %s.\n\n", summary(lines))
	for _, r := range from {
		fmt.Fprintf(&w, "- %s\n", r.source())
	}
	fmt.Fprintf(&w, "\nThe targets of Koban as a whole are judged at the size `full` only; `ci` is the size of `make test`.\n\n![Every figure over time](%s)\n", trendFile)
	kind := ""
	for _, l := range lines {
		if l.Kind != kind {
			kind = l.Kind
			fmt.Fprintf(&w, "\n## %s\n\n| | name | figure | target | seeds | size |\n|---|---|---|---|---|---|\n", strings.ToUpper(kind[:1])+kind[1:])
		}
		mark := l.verdict()
		if l.failed() {
			mark = "**FAIL**"
		}
		fmt.Fprintf(&w, "| %s | `%s` %s | %s | %s | %s | %s |\n", mark, l.ID, cell(l.Name), cell(l.Figure), cell(l.Target), cell(l.Seeds), l.Size)
	}
	return w.Bytes()
}

// cell is text that ends no cell of a table and is no markup.
func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "<", "&lt;", ">", "&gt;", "*", "\\*").Replace(s)
}
