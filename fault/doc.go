// Package fault names every way an operation can fail and carries that name across processes.
//
// A fault has a kind, which says what a caller may conclude, and a code, which says what happened. Three kinds must
// never be confused: refused is a definite no, conflict is a clash with another request, and unknown means that
// nobody can say yet, so the same request has to be asked again under the same id. Codes are a closed list, kept in
// codes.go and printed into docs/reference/errors.md.
package fault
