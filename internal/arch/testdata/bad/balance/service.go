package balance

import "context"

// Drive may end its patience.
func Drive(ctx context.Context) { context.WithTimeout(ctx, 1) }
