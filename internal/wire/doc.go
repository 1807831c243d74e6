// Package wire writes protobuf messages without building them first, for what every payment encodes.
package wire
