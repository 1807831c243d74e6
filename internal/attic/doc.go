// Package attic keeps records by key in temporary files, so that what is not in use takes little memory: a log-structured
// merge tree (O'Neil and others 1996) without a log, because nothing in it outlives the process.
//
// What was put last stays in memory, up to an allowance that all shelves share; beyond it the fullest shelf is written to
// a file in the order of its keys. Files of one size are merged into a larger one, so that there are few to ask. A file is
// removed as soon as it is open: whatever becomes of the process, nothing is left behind.
package attic
