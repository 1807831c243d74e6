package balance

import (
	"context"

	"github.com/koban-pay/koban/internal/planted"
)

// Drive may end its patience.
func Drive(ctx context.Context) { context.WithTimeout(ctx, 1) }

// Planted asks for a bug, as it may, and in other ways.
func Planted() bool {
	bug := planted.Bug                                                      // want planted
	return planted.Bug == planted.NoTombstone || bug != planted.NoTombstone // want planted
}
