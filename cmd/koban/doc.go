// Command koban is the whole platform in one binary: it runs it, speaks to it, explains its payments and proves its
// books.
//
// Exit codes: 0 done, 1 refused or found wrong, 2 used wrongly or could not run, 3 the store is held by another process.
package main
