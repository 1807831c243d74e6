// Package sample is a complete participant to copy from: a points service over HTTP that keeps the contract and survives
// a crash. It uses nothing but the standard library, so it reads the same in any language.
//
// rules.go decides, journal.go makes it durable, http.go speaks the wire, setup.go is for the conformance kit only.
package sample
