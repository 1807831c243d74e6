// Package journals reads what the platform has written: no caller's text may stand in a journal (rule B14), and the
// journals of every released version must replay to the tables that they made then (rule B15).
package journals
