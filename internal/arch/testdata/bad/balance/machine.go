package balance

import (
	"os" // want pure
	"strings"

	"github.com/koban-pay/koban/book/journal" // want pure
	"github.com/koban-pay/koban/ledger"
)

func decide() {
	go os.Exit(1)            // want decide
	done := make(chan int)   // want decide
	strings.ToUpper("plain") // nothing wrong here
	_, _, _ = done, journal.X, ledger.Post
}
