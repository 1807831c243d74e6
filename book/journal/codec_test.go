package journal

import (
	"bytes"
	"testing"
)

func FuzzDecode(f *testing.F) {
	for _, events := range [][]Event{
		{{Type: 1, Body: []byte("one")}},
		{{Type: 300, Body: nil}, {Type: 1<<32 - 1, Body: bytes.Repeat([]byte{7}, 300)}},
	} {
		b := &Block{Book: "a", Seq: 1, Epoch: 1 << 40, Salt: [16]byte{1}, Events: events}
		f.Add(encode(b))
		f.Add(encode(b)[:60])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var b Block
		if err := decode(&b, body); err != nil {
			return
		}
		if len(b.Events) == 0 {
			t.Fatal("a block without events was accepted")
		}
		if !bytes.Equal(encode(&b), body) {
			t.Fatal("what was accepted is not what is written")
		}
	})
}
