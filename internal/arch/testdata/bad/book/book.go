package book

import (
	"context"

	"github.com/koban-pay/koban/internal/rpc" // want import
	"github.com/koban-pay/koban/ledger"       // want import
)

var _, _ = ledger.Post, rpc.X

func wait(ctx context.Context) {
	context.WithTimeout(ctx, 1) // want clock
}

func update() string { return "UPDATE saved SET seq = $1" } // want sqltext
