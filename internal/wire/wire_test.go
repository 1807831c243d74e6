package wire_test

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"github.com/koban-pay/koban/internal/wire"
)

// TestFieldsAreProtobuf: every length of a nested message, at every depth, is what protobuf's own writer makes of it.
func TestFieldsAreProtobuf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := bytes.Repeat([]byte{7}, rapid.SampledFrom([]int{0, 1, 100, 125, 126, 127, 128, 129, 16_380, 16_383, 16_384, 20_000}).Draw(t, "size"))
		n, yes := rapid.Uint64().Draw(t, "number"), rapid.Bool().Draw(t, "bool")
		list := rapid.SliceOfN(rapid.Uint64(), 0, 40).Draw(t, "list")

		got, outer := wire.Message{}.Uint(1, n).Int(2, -1).Bool(3, yes).Open(400)
		got, inner := got.Open(5)
		got = got.Bytes(6, body).Text(7, "é").Close(inner).Packed(8, list).Close(outer)

		in := field(nil, 6, body)
		in = field(in, 7, []byte("é"))
		mid := protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), in)
		var packed []byte
		for _, v := range list {
			packed = protowire.AppendVarint(packed, v)
		}
		mid = field(mid, 8, packed)
		var want []byte
		if n > 0 {
			want = protowire.AppendVarint(protowire.AppendTag(want, 1, protowire.VarintType), n)
		}
		want = protowire.AppendVarint(protowire.AppendTag(want, 2, protowire.VarintType), 1<<64-1)
		if yes {
			want = protowire.AppendVarint(protowire.AppendTag(want, 3, protowire.VarintType), 1)
		}
		want = protowire.AppendBytes(protowire.AppendTag(want, 400, protowire.BytesType), mid)
		if !bytes.Equal(got, want) {
			t.Fatalf("got  %x\nwant %x", got, want)
		}
	})
}

func field(b []byte, n protowire.Number, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
}
