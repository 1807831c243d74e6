package kit

// The groups of checks, in the order in which a reader meets them.
const (
	wayThrough  = "the way through"
	duplicates  = "duplicates"
	order       = "wrong order"
	amounts     = "amounts"
	deadlines   = "deadlines"
	concurrency = "concurrency"
	crashes     = "crash"
	lost        = "unknown answers"
	input       = "bad input"
	speed       = "timing"
	adding      = "adding"
)

// Groups returns the groups of checks in order.
func Groups() []string {
	return []string{wayThrough, duplicates, order, amounts, deadlines, concurrency, crashes, lost, input, speed, adding}
}

// advice is what a person needs who fails a check: what money goes wrong, and what to change.
type advice struct{ group, why, fix string }

const (
	onceByBranch  = "Keep every branch with its first request and answer under a unique key, and give that answer when it comes again."
	oneTransition = "Do the look-up and the change in one transaction, under a lock on the account or the branch, or with a compare-and-set."
	sameCommit    = "Write the branch in the same transaction as the amounts, and answer only after the commit is durable."
	checkFirst    = "Check the whole request before anything else, and answer 400 with a code."
)

// advices has a row for each check.
var advices = map[string]advice{
	"try-sets-aside": {wayThrough, "What a payment counts on can be spent by another one.", "Move the amount from available to held when a Try is done."},
	"confirm-takes":  {wayThrough, "The shop is paid, and the customer keeps the points.", "Take the amount off what is held when a Confirm comes."},
	"cancel-lets-go": {wayThrough, "Points of a payment that failed stay locked for ever.", "Give what is held back to available when a Cancel comes."},

	"try-duplicate":                {duplicates, "The platform repeats a Try whenever it heard no answer: each copy would lock the amount again.", onceByBranch},
	"try-refused-duplicate":        {duplicates, "The platform has cancelled the payment on your refusal. A copy that is done locks points that nobody comes back for.", "Store refusals with their branch, like successes, and give the same one again."},
	"try-other-body":               {duplicates, "Two different requests under one id mean a bug on either side. To answer done hides that the amounts differ.", "Compare the whole request with the first one of its branch; if it differs, answer 409 with id_reused."},
	"try-other-account":            {duplicates, "Two different requests under one id mean a bug on either side. To answer done charges the wrong customer.", "Make the branch unique over all accounts, and compare the account too."},
	"confirm-duplicate":            {duplicates, "The platform repeats a Confirm until it hears done: each copy would take the amount again.", "Keep the captures of a branch by number, and give the first answer when one comes again."},
	"confirm-other-body":           {duplicates, "Another amount under the same capture number would be lost, or taken beside the first.", "Compare amount and final with the first capture of that number; if they differ, answer 409 with id_reused."},
	"try-after-confirm":            {duplicates, "A Try that was delayed on its way arrives after the end of the payment, and locks the amount again.", "Keep branches after they have ended. Once looked up, a known branch sets nothing aside."},
	"try-after-try-and-cancel":     {duplicates, "A Try that was delayed on its way locks points of a payment that has ended.", "Keep cancelled branches. A known branch sets nothing aside again."},
	"cancel-duplicate":             {duplicates, "The platform repeats a Cancel until it hears done: each copy would give back what belongs to other payments, or out of nothing.", "Note on the branch that it is cancelled, and do nothing when a Cancel comes again."},
	"cancel-empty":                 {order, "The platform cancels where a Try was lost on its way. If you refuse, the payment is stuck until a person looks.", "Answer a Cancel of an unknown branch with done, and remember it."},
	"try-after-cancel":             {order, "The Try that was thought lost arrives after its Cancel. If it is done, points stay locked and nobody comes back for them.", "Store a tombstone when a Cancel comes for an unknown branch, and refuse its Try with try_after_cancel."},
	"cancel-refused-try":           {order, "The platform cancels every branch of a payment that failed, refused ones too. If you refuse, it is stuck.", "Answer a Cancel of a refused Try with done."},
	"cancel-refused-try-elsewhere": {order, "A conflict is asked again and again, and nothing stands behind it: nothing was ever set aside.", "Answer a Cancel of a refused Try with done before you compare the account."},
	"confirm-tombstone-elsewhere":  {order, "A conflict is asked again and again. What was let go is let go, whoever asks.", "Look whether the branch is cancelled before you compare the account."},
	"confirm-capture-zero":         {order, "A capture without a number cannot be told from the next one: its duplicate is taken again.", checkFirst + " Captures are numbered from 1."},
	"confirm-without-try":          {order, "What was never set aside cannot be taken safely: the account may not have it.", "Answer a Confirm of an unknown branch 422 with not_tried. Not 404: that says nothing about the payment."},
	"confirm-after-refused-try":    {order, "What was refused would be taken after all: the account goes below zero.", "Look at how the Try ended before a Confirm takes anything; if it was refused, answer not_tried."},
	"confirm-after-cancel":         {order, "What was let go may be spent already: the same points pay twice.", "Note on the branch that it is cancelled, and refuse a Confirm with already_cancelled."},
	"cancel-after-confirm":         {order, "The shop has been paid. What is given back now is money out of nothing.", "Note on the branch that it is confirmed, and refuse a Cancel with already_confirmed."},

	"cancel-after-part": {order, "The shop was paid a part. If the rest goes now, a capture of what was sent in a second parcel fails; if all of it goes, money is made.", "A branch with a capture refuses every Cancel with already_confirmed. Only a final capture ends its hold."},
	"two-parts":         {duplicates, "A payment from points and from a coupon of yours has two branches. Taken for one, half of it is never set aside.", "The whole text of branch is the key, with what stands behind the dot."},
	"other-tenant":      {duplicates, "One company's message ends another company's payment.", "The key of a branch is tenant and branch together; look accounts up under their tenant too."},

	"try-exact":                 {amounts, "A customer who has just enough cannot pay.", "Compare with less than, not with less than or equal."},
	"try-one-too-many":          {amounts, "A customer spends points that do not exist, and you pay for them.", "Refuse with insufficient_funds if the amount is more than what is available."},
	"try-counts-holds":          {amounts, "The same points are promised to two payments, and one of the shops is not paid.", "Count what is on hold as not available."},
	"try-unknown-account":       {amounts, "A payment without an account cannot end if the answer is not definite; if it is done, somebody pays from nowhere.", "Answer 404 with account_not_found in the body."},
	"try-other-currency":        {amounts, "1,000 points and 1,000 dollars are the same number. Taken for each other, somebody loses most of it.", "Compare the currency with the account's, and answer 400 with currency_mismatch."},
	"confirm-in-part":           {amounts, "The rest of a payment that was captured in part stays locked.", "A capture that is final gives back what is left of the hold, in the same transaction."},
	"confirm-in-parts":          {amounts, "A shop that sends goods in two parcels is paid once, twice, or after the end.", "Keep what is left of a hold. Each capture takes from it once; after the final one refuse with hold_ended."},
	"confirm-too-much":          {amounts, "More is taken than the customer agreed to.", "Compare a capture with what is left of the hold, and refuse more with exceeds_hold."},
	"confirm-too-much-in-parts": {amounts, "Several captures together take more than the customer agreed to.", "Compare a capture with what earlier ones have left of the hold, not with the whole."},

	"try-too-late":             {deadlines, "The platform has given the payment up by then: what is set aside now, nobody comes back for.", "Compare not_after with your clock before anything is set aside, and refuse with try_too_late."},
	"try-long-after-cancel":    {deadlines, "A Try that was stuck for days locks points of a payment that ended long ago.", "Refuse every Try after its not_after, whether or not you still know its branch."},
	"confirm-after-deadline":   {deadlines, "not_after limits the Try alone. Once you said done, the shop may have been paid: a hold that lapses loses that money.", "Never release a hold by yourself. Only a Cancel or a final Confirm ends it."},
	"confirm-after-suspension": {deadlines, "Once you said done, the shop may have been paid. What the account may do since decides about the next payment only.", "Check suspension, limits and expiry in the Try, never in the Confirm."},
	"cancel-after-deadline":    {deadlines, "The platform may need hours to find out that a payment failed. If you refuse its Cancel, the points stay locked.", "Do not look at not_after when a Cancel comes for a branch that is held."},
	"tombstone-lasts":          {deadlines, "A Try may arrive until its not_after. If the tombstone is gone before, it is done, and nobody comes back for it.", "Keep a tombstone until not_after and a day, in the store and not in a cache."},
	"clock-agrees":             {speed, "Clocks that differ refuse payments in time, or do those that are too late.", "Run NTP, compare times in UTC, and read not_after with its zone."},

	"try-duplicate-at-once":     {concurrency, "Two copies of a Try arrive in the same millisecond, and both are done: twice the amount is locked.", oneTransition + " A unique index on the branch is the last line."},
	"try-last-units":            {concurrency, "Two customers of a family account pay with the same points, or neither can.", oneTransition + " Refuse definitely who comes too late: a conflict is asked again."},
	"try-no-overdraw":           {concurrency, "More is promised than there is. You pay the difference.", oneTransition},
	"confirm-duplicate-at-once": {concurrency, "Two copies of a Confirm arrive in the same millisecond, and the customer pays twice.", oneTransition},
	"cancel-duplicate-at-once":  {concurrency, "Two copies of a Cancel arrive in the same millisecond, and points are made out of nothing.", oneTransition},
	"confirm-or-cancel":         {concurrency, "Points are taken and given back: out of nothing, or the shop is not paid.", oneTransition},
	"try-and-cancel":            {concurrency, "A Try passes its Cancel by, and points stay locked for ever.", oneTransition + " The tombstone and the hold contend for the same row."},

	"restart-confirm":    {crashes, "What you acknowledged is forgotten in a crash: the shop is paid, and the customer keeps the points, or pays twice.", sameCommit},
	"restart-cancel":     {crashes, "What you let go is on hold again after a crash, or can be taken still.", sameCommit},
	"restart-refused":    {crashes, "A refusal that a crash turns into a success locks points of a payment that was cancelled on it.", "Store refusals durably with their branch before you answer."},
	"restart-tombstone":  {crashes, "After a crash the Try of a cancelled payment is done, and nobody comes back for it.", "Store tombstones durably before you answer."},
	"restart-under-load": {crashes, "Payments that were under way when you crashed are lost or done twice.", sameCommit + " Do not answer from memory what is not yet in the store."},

	"lost-try":      {lost, "An answer that got lost is asked for again: if the second answer differs, the platform believes the wrong one.", onceByBranch},
	"lost-confirm":  {lost, "An answer that got lost is asked for again: a refusal now leaves a payment that was taken without an end.", onceByBranch + " Work that began goes on when its caller hangs up."},
	"lost-cancel":   {lost, "An answer that got lost is asked for again: a refusal now leaves a payment that was let go without an end.", onceByBranch},
	"lost-refusal":  {lost, "A refusal that got lost is asked for again: if it is done now, points are locked that nobody comes back for.", "Store refusals with their branch, like successes."},
	"ended-context": {lost, "A caller who hangs up must not turn a payment into a refusal.", "Answer nothing definite because a caller is gone. What is not done yet, leave undone or finish; never refuse."},

	"bad-amount":   {input, "A negative amount gives instead of taking. A fraction is rounded, and the books do not add up.", checkFirst + " Amounts are integers from 1 to 2^53−1."},
	"bad-currency": {input, "An amount of an unknown unit is worth anything.", checkFirst},
	"bad-id":       {input, "Ids that are cut off or changed on their way into the store make two payments one.", checkFirst + " Ids have 1 to 64 printable characters."},
	"long-ids":     {input, "A column that is too short cuts ids off, and two payments become one.", "Give ids room for 64 characters, or refuse longer ones with invalid_id. Never cut."},
	"bad-member":   {input, "A member that you do not know may change what is asked: a limit, a condition. To leave it out is to do something else.", checkFirst + " Reject members that you do not know."},
	"bad-json":     {input, "A server error is no definite no: the platform asks again and again, and the customer waits.", checkFirst},

	"answers-in-time":         {speed, "The platform stops waiting and asks again, so a slow service does everything twice, and customers at the till wait.", "Answer well below the time that the platform waits (2 s). Do slow work after the answer, or before the Try."},
	"answers-in-time-at-once": {speed, "On a busy day every payment waits for every other one, until the platform stops waiting.", "Hold locks for the change alone, let many changes share one commit, and size the pool of connections."},

	"add-adds":              {adding, "A refund is lost.", "Add the amount to what is available."},
	"add-duplicate":         {adding, "The platform repeats an Add until it hears done: each copy would be a gift.", onceByBranch},
	"add-duplicate-at-once": {adding, "Two copies of an Add arrive in the same millisecond, and one is a gift.", oneTransition},
	"add-other-body":        {adding, "Two different Adds under one id mean a bug on either side. To answer done loses one of them.", "Compare the whole request with the first one of its branch; if it differs, answer 409 with id_reused."},
	"add-unknown-account":   {adding, "The payment is decided, and the money has left its payer: an Add that is refused hangs for ever, and nobody has the money.", "Keep what cannot be placed in an account of your own, answer done with \"suspense\": true, and tell a person."},
	"restart-add":           {adding, "A refund that you acknowledged is forgotten in a crash, or given twice.", sameCommit},
}
