package planted

// The participants: Try, Confirm, Cancel, Add.
const (
	// NoTombstone forgets a Cancel whose Try never came, so that the Try may still come (catalogue D 53; seata's anti-hanging).
	NoTombstone = "no_tombstone"
	// TryAfterCancel answers a Try that comes after its Cancel with done (dtm #453).
	TryAfterCancel = "try_after_cancel"
	// TryTooLate lets a Try in after the time until which it may come (catalogue D 54).
	TryTooLate = "try_too_late"
	// TryHoldsTwice holds again what a Try that comes twice holds already (catalogue D 56; dtmcli-java #41).
	TryHoldsTwice = "try_holds_twice"
	// AddTwice adds again what an Add that comes twice has added (Blnk #315: a refund given twice).
	AddTwice = "add_twice"
	// ConfirmForgotten does not know a Confirm again that it has done, and refuses it (catalogue D 57).
	ConfirmForgotten = "confirm_forgotten"
	// CancelAfterConfirm says that it has let go what was taken (dtm #562: confirmed by hand, then cancelled by a timer).
	CancelAfterConfirm = "cancel_after_confirm"
	// ConfirmAfterCancel says that it has taken what was let go (dtm #562, the other way round).
	ConfirmAfterCancel = "confirm_after_cancel"
	// EmptyCancelFails refuses a Cancel whose Try never came, so that it never ends (seata-go #685, #684).
	EmptyCancelFails = "empty_cancel_fails"
	// ExpiryStopsConfirm refuses to take points that have expired since they were held (catalogue D 67).
	ExpiryStopsConfirm = "expiry_stops_confirm"
)

// The coordinator.
const (
	// DecisionFlips takes a refusal of what was decided for a reason to cancel (catalogue D 60; invariant I16).
	DecisionFlips = "decision_flips"
	// SecondPhaseEarly confirms and cancels before the decision is durable (catalogue D 59).
	SecondPhaseEarly = "second_phase_early"
	// UnknownIsRefused takes a timeout for a no (Kill Bill's UNKNOWN payments; invariant I17).
	UnknownIsRefused = "unknown_is_refused"
	// UnknownIsDone takes a timeout for a yes (Midaz #1271: answered, and without effect).
	UnknownIsDone = "unknown_is_done"
	// GiveUpDecided gives up after it was decided to confirm (catalogue D 60).
	GiveUpDecided = "give_up_decided"
	// HalfCancelled cancels the participant that does not answer, while the others confirm (Blnk #171: half a commit).
	HalfCancelled = "half_cancelled"
)

// Recovery.
const (
	// WakesIgnored never looks again at what a crash has left (Temporal #7101: stuck for ever).
	WakesIgnored = "wakes_ignored"
	// DeferredForgotten never comes back to what went into the queue (Temporal #7101).
	DeferredForgotten = "deferred_forgotten"
	// SweepSkips passes over what is in no queue (seata #6374: a rollback that nobody starts).
	SweepSkips = "sweep_skips"
	// CallerGone does not drive what a caller has left behind who hung up (rule B8).
	CallerGone = "caller_gone"
	// BreakerSticks never lets a call through again once a breaker has opened (catalogue C 51).
	BreakerSticks = "breaker_sticks"
)

// Refunds.
const (
	// RefundUncounted checks a refund against those that have ended, not against those under way (Hyperswitch #13182).
	RefundUncounted = "refund_uncounted"
	// RefundRoundedUp rounds what is left up, and gives back more than was captured (Kill Bill #334).
	RefundRoundedUp = "refund_rounded_up"
	// RefundOneLot gives points back to the first lot that they came from, whatever was taken of it (catalogue D 68).
	RefundOneLot = "refund_one_lot"
)

// The ledger.
const (
	// HoldNotCounted lets what is held be spent again (Blnk #181).
	HoldNotCounted = "hold_not_counted"
	// HoldLeaks takes the money and leaves the hold (Blnk #171).
	HoldLeaks = "hold_leaks"
	// AddOnRetry adds one unit more where the first answer was lost: clearing does not balance.
	AddOnRetry = "add_on_retry"
	// SuspendedPays lets a suspended account pay.
	SuspendedPays = "suspended_pays"
)

// Callers' keys.
const (
	// KeyOtherBody answers a key with another body as if it were the first (Stripe's rule; IETF draft-06, 422).
	KeyOtherBody = "key_other_body"
	// KeyOtherVolume sends a repeated request to another book, which does not know the key (Formance #379).
	KeyOtherVolume = "key_other_volume"
	// KeyForgotten knows no key from before a restart (Formance stack #1638: no unique index).
	KeyForgotten = "key_forgotten"
)

// The book.
const (
	// AnswerEarly answers before the block is durable (Midaz #2499: 201, and lost when the database restarts).
	AnswerEarly = "answer_early"
	// ReadEarly tells what a block will say that is not durable yet, to whoever only reads (rule B2).
	ReadEarly = "read_early"
	// CommitErrorIgnored goes on in memory after an append that failed (Midaz #1384).
	CommitErrorIgnored = "commit_error_ignored"
	// TwoWriters appends without comparing the head: who was overtaken goes on writing (nats-server #7549: split brain).
	TwoWriters = "two_writers"
	// SameEpoch takes a book over without raising the epoch (catalogue E 73).
	SameEpoch = "same_epoch"
	// TablesAhead saves what is not in the journal yet (Midaz #1271).
	TablesAhead = "tables_ahead"
	// RowNotSaved leaves the last of several changed rows out of a save (Temporal #706).
	RowNotSaved = "row_not_saved"
	// RowEvicted drops rows from memory that are not saved yet (Midaz #2499).
	RowEvicted = "row_evicted"
	// AwaitedEvicted drops rows from memory that somebody reads, so that what the read finds is older than what was there.
	AwaitedEvicted = "awaited_evicted"
	// StaleRead answers queries from the memory of a book that was taken over (Midaz #1609).
	StaleRead = "stale_read"
	// EventNotReplayed passes over an event where a block has several (Temporal #706: a history that does not replay).
	EventNotReplayed = "event_not_replayed"
	// BlocksSwapped reads the last two blocks in the wrong order (rows polled by a sequence on PostgreSQL).
	BlocksSwapped = "blocks_swapped"
	// ClockBack lets the time of a book go backwards with the clock of the machine (Jepsen: TigerBeetle's timestamps).
	ClockBack = "clock_back"
	// NoteLost leaves the notes of some blocks behind: what a caller said is gone with the answer that it was kept.
	NoteLost = "note_lost"
	// NoteOfRefused keeps the note of a refund that is declined: nobody would find it to erase it.
	NoteOfRefused = "note_of_refused"
	// TwoTimes decides each command of a block at a time of its own, which a replay does not know.
	TwoTimes = "two_times"
)

// The feed.
const (
	// FeedSkips passes over the last of several blocks (sequence order is not commit order: PostgreSQL outboxes).
	FeedSkips = "feed_skips"
	// FeedTwice follows a block again that comes again (NATS: at least once).
	FeedTwice = "feed_twice"
	// PositionBehind writes down the position before the block whose effects it writes down (invariant I25).
	PositionBehind = "position_behind"
)

// Points and sessions.
const (
	// ExpiredSpent takes points from lots that have expired.
	ExpiredSpent = "expired_spent"
	// ExpiryTakesHeld lets points expire that a payment holds.
	ExpiryTakesHeld = "expiry_takes_held"
	// SessionTwice lets a second payment have a session that one has reserved (Shopware #11245: single use).
	SessionTwice = "session_twice"
	// SessionForeign lets another customer pay with a session.
	SessionForeign = "session_foreign"
)
