// Package verbs takes the verbs of the Try–Confirm–Cancel contract to the books of a service's volumes,
// waiting or not, and reads back what the blocks that they were answered with did. What is decided there is
// of package tcc/branch and of the service.
package verbs
