// Package rehearsal breaks participants of the real binary in every way that koban fault knows, at every verb, and requires
// each payment to end as it must, by the platform's own clock, with books that verify.
package rehearsal
