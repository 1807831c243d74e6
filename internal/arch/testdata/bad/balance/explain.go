package balance

import (
	"database/sql" // want sqlimport
	"math/rand"
	"time"

	_ "github.com/jackc/pgx/v5" // want sqlimport wiring

	"github.com/koban-pay/koban/book"
	"github.com/koban-pay/koban/gateway"                        // want import
	balancev1 "github.com/koban-pay/koban/gen/koban/balance/v1" // want gen
	"github.com/koban-pay/koban/internal/clock"
	"github.com/koban-pay/koban/internal/rpc" // want rpc
	"github.com/koban-pay/koban/payment"      // want import
)

// query stands in the wrong file.
const query = `SELECT id FROM accounts` // want sqltext

var _, _, _, _, _, _, _ = sql.ErrNoRows, balancev1.X, gateway.X, rpc.X, book.X, payment.X, rand.Int

// Try waits for the wall.
func Try() {
	started := time.Now() // want clock
	_ = started
	<-clock.Pause(time.Second) // want clock
}

func init() {} // want wiring
