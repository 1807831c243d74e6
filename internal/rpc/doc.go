// Package rpc carries what every call needs beside its message: who asks, under which key, until when, and how to
// answer. It travels in the context in every mode, in one process as over the wire, because a call inside a process
// passes no interceptor.
package rpc
