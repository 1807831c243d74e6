// Package contract holds the binary to the names and shapes that scripts rely on: files, environment, exit codes, every
// route of the REST API and the JSON of the command line.
//
// It is written from outside: it starts koban as a script would, and knows nothing but what it is told over HTTP, on
// the standard output and in platform.json.
package contract
