package fault

import (
	"fmt"
	"strings"
)

// kinds lists the kinds in the order of the page, with what a caller may conclude from each.
var kinds = []struct {
	Kind  Kind
	Means string
}{
	{Invalid, "The request can never succeed as it stands. Nothing was done."},
	{Unauthenticated, "The caller did not say who it is. Nothing was done."},
	{Denied, "The caller may not do this. Nothing was done."},
	{NotFound, "What the request names does not exist for this caller. Nothing was done."},
	{Refused, "A definite no, decided on state. Nothing was done or will be."},
	{Conflict, "The request clashes with another one, which stands."},
	{Busy, "Not now. Nothing was done, and the same request may be sent again."},
	{Unknown, "Nobody can say yet whether it was done. Send the same request again with the same key until the answer is another."},
	{Internal, "A bug or damaged data. A person has to look."},
}

// Markdown returns the page docs/reference/errors.md: the closed list, by kind and then by code.
func Markdown() string {
	var b strings.Builder
	b.WriteString(`# Errors

<!-- Generated from fault/codes.go by: go test ./fault -run TestErrorsPage -update -->

Every error has a code, which says what happened, and a kind, which says what you may conclude from it. Both are closed
lists: new ones may be added, none changes its meaning. Where the table says *yes* under "again", sending the same
request again with the same Idempotency-Key can end differently.

`)
	for _, k := range kinds {
		fmt.Fprintf(&b, "- [`%s`](#%s): %s\n", k.Kind, k.Kind, k.Means)
	}
	for _, k := range kinds {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| code | HTTP | again | what happened | what to do now |\n|---|---|---|---|---|\n", k.Kind, k.Means)
		for _, r := range All() {
			if r.Kind != k.Kind {
				continue
			}
			again := "no"
			if r.Code.New("").Retryable() {
				again = "yes"
			}
			fmt.Fprintf(&b, "| `%s` | %d | %s | %s | %s |\n", r.Code, r.HTTP, again, r.Summary, r.Next)
		}
	}
	return b.String()
}
