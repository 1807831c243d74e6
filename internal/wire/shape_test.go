package wire_test

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	balancejournalv1 "github.com/koban-pay/koban/gen/koban/balance/journal/v1"
	feedjournalv1 "github.com/koban-pay/koban/gen/koban/feed/journal/v1"
	paymentjournalv1 "github.com/koban-pay/koban/gen/koban/payment/journal/v1"
	pointsjournalv1 "github.com/koban-pay/koban/gen/koban/points/journal/v1"
	"github.com/koban-pay/koban/internal/wire"
)

// TestReadRefusesExactlyWhatReflectionFinds: for messages with any fields of any kind at any depth, known or not, Read refuses
// those of which protobuf's own reflection says that they have unknown fields, and no other.
func TestReadRefusesExactlyWhatReflectionFinds(t *testing.T) {
	refused, taken := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		body := fields(t, 3)
		for _, m := range []proto.Message{&paymentjournalv1.Started{}, &pointsjournalv1.Tried{}, &balancejournalv1.Held{}, &feedjournalv1.Page{}} {
			again := m.ProtoReflect().New().Interface()
			if proto.Unmarshal(body, again) != nil {
				continue
			}
			var r wire.Reader
			wire.Read(&r, body, m)
			want := wire.Unknown(again.ProtoReflect())
			if got := r.Err() != nil; got != want {
				t.Fatalf("%T: refused %v, and reflection finds unknown fields: %v\n%x", m, got, want, body)
			}
			if want {
				refused++
			} else if len(body) > 0 {
				taken++
			}
		}
	})
	if refused == 0 || taken == 0 {
		t.Fatalf("%d messages with unknown fields, %d without: both must occur", refused, taken)
	}
}

// fields draws a message of any fields, with messages within.
func fields(t *rapid.T, depth int) (b []byte) {
	for range rapid.IntRange(0, 3).Draw(t, "fields") {
		n := protowire.Number(rapid.IntRange(1, 30).Draw(t, "number"))
		switch kind := rapid.IntRange(0, 3).Draw(t, "kind"); {
		case kind == 0:
			b = protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), 1)
		case kind == 1:
			b = protowire.AppendFixed64(protowire.AppendTag(b, n, protowire.Fixed64Type), 1)
		case kind == 2 && depth > 0:
			b = protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), fields(t, depth-1))
		default:
			b = protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), nil)
		}
	}
	return b
}

// TestUnknownLooksIntoMaps: maps of words and of messages are looked through, too.
func TestUnknownLooksIntoMaps(t *testing.T) {
	m, err := structpb.NewStruct(map[string]any{"a": 1, "b": map[string]any{"c": "d"}})
	if err != nil {
		t.Fatal(err)
	}
	if wire.Unknown(m.ProtoReflect()) {
		t.Fatal("fields are unknown, and there are none")
	}
	m.Fields["b"].GetStructValue().Fields["c"].ProtoReflect().SetUnknown([]byte{0xf8, 0x06, 1})
	if !wire.Unknown(m.ProtoReflect()) {
		t.Fatal("the unknown field within maps was not found")
	}
}
