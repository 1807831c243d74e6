package balance

import (
	"math/rand/v2" // want pure
	"time"
)

const patience = time.Second // nothing wrong here

func try() {
	go rand.Int() // want decide
}
