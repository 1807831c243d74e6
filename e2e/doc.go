// Package e2e kills the real binary at every durable step of a payment, and requires each of them to heal. What scripts
// rely on is held to in package contract, many callers at once in storm, load and random kills in chaos.
package e2e
