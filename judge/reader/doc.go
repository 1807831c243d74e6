// Package reader reads the blocks and the state tables of a platform for a judge: blocks side by side in the order of their
// times, and rows together with the block that their tables stand for. It changes nothing.
package reader
