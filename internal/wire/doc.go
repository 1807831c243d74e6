// Package wire writes protobuf messages without building them first, for what every payment encodes, and reads them
// without passing anything over.
package wire
