package payment

import (
	"context"

	"github.com/koban-pay/koban/book/journal"
	codev1 "github.com/koban-pay/koban/gen/koban/code/v1"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

// Sessions is the part of the code service that a payment by code needs: who scanned what.
type Sessions interface {
	GetSession(context.Context, *codev1.GetSessionRequest) (*codev1.Session, error)
}

// Accounts tells which currency an account is in, money.None if there is no such account. A payment to nobody, or in a
// currency that an account does not take, would land in suspense or fail at its Try; it is refused at the door.
type Accounts interface {
	Currency(ctx context.Context, t id.Tenant, account id.ID) (money.Currency, error)
}

// Entries tells what a participant's journal says of one payment, in the blocks that its receipts name.
type Entries interface {
	Entries(ctx context.Context, t id.Tenant, payment id.ID, receipts []tcc.Receipt) ([]tcc.Entry, error)
}

// Blocks reads the journal.
type Blocks interface {
	Read(ctx context.Context, book string, from uint64, limit int) ([]*journal.Block, error)
}
