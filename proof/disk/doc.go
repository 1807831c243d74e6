// Package disk breaks the disk under the real binary, and judges what is left by what the platform had acknowledged.
//
// The power fails, the disk is full, a sync returns an error, the file system turns read-only, single bits flip, the end
// of the log is torn off. Clients, acknowledgement log and judge are those of proof/chaos; the log is kept on another file
// system than the one that breaks. Each test has a control: a platform that is wrong on purpose, or a judge that was made
// blind, of which the same test must find that it loses.
package disk
