// Package gateway is the front door: it says who is asking, what they may ask, under which idempotency key, and turns
// REST into calls of the platform's services and their answers back.
//
// Routes, members and limits come from the protobuf contracts. The gateway knows no service: platform registers a
// handler for every method. What the JSON codec does with a message:
//
//   - Members are the field names, in the order of the contract. An answer shows every field, but leaves out an optional
//     one that is not set, or shows null where the contract says so (rules.nullable).
//   - Integers are JSON integers. A request's number tokens are checked byte by byte: no fraction, no exponent, no text.
//   - An int64 named at or ending in _at is microseconds since 1970 inside, and RFC 3339 in UTC outside.
//   - Enum values are bare words without the type's prefix.
//   - A oneof is one member with its name, in answers only.
//   - A request with an unknown or repeated member, with null, invalid UTF-8, or text with control characters is refused.
package gateway
