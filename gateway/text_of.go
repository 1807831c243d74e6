package gateway

import "google.golang.org/protobuf/proto"

// TextOf returns a message as an answer of the API shows it, for whoever has no platform to ask. It fails where the message
// is none of the contracts'.
func TextOf(m proto.Message) ([]byte, error) {
	s, err := (schemas{}).of(m.ProtoReflect().Descriptor())
	if err != nil {
		return nil, err
	}
	return append(appendMessage(nil, s, m.ProtoReflect()), '\n'), nil
}
