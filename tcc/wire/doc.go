// Package wire carries the Try–Confirm–Cancel contract over a wire: a Client is a participant that stands elsewhere,
// a Handler or Service offers a participant to whoever calls it, each over HTTP with JSON and over gRPC.
//
// Three outcomes travel, never two. Done is an answer that says so, with a receipt. Refused and conflict are answers
// that say so, with a code. Everything else is unknown: a timeout, a reset, a redirect, an answer that cannot be read,
// an answer that contradicts itself. Whoever hears unknown asks again with the same request.
package wire
