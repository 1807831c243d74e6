package ledger

import "github.com/koban-pay/koban/money"

// Supply returns how much of one currency, in minor units, may be brought in through one of so many volumes: the most
// that its suspense may be short of. It is an equal share of half of money.MaxWire. The other half is for points, which
// become money where they are spent.
//
// So all that owners have together is an integer that every JSON reader keeps exact, and so is what stands on each
// account, whatever is paid to whom. What stands on a volume's own accounts stays far below MaxNet: to move what was
// decided is never refused. What would be too much is refused where it is brought in, before anybody can pay with it.
func Supply(volumes int) int64 { return money.MaxWire / 2 / int64(volumes) }
