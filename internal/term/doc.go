// Package term prints for people: colour where there is a terminal, plain text elsewhere, tables that line up also where
// names are Japanese.
package term
