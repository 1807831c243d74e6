package sim

import "github.com/koban-pay/koban/fault"

// Anomalies are what a run of enough worlds has to reach (I33), or it has proved nothing. The numbers are those of
// docs/reference/catalogue.md.
var Anomalies = []string{
	// What the network does.
	"duplicated_request", "lost_reply", "lost_request", "late_by_hours", "overtaken_request", "stale_request", "unknown_answer",
	"wrong_answer",
	// What the store does.
	"adopted_tables", "failed_read", "failed_save", "failed_write", "lost_save", "lost_write", "read_slower_than_saves",
	// What processes do.
	"book_crash", "clock_ends_process", "clock_stepped", "crash_at_a_call", "crash_while_in_progress", "fenced_writer", "down_for_hours",
	"machine_slept", "participant_down",
	"participant_slow", "process_crash",
	// What callers do.
	"caller_hung_up", "caller_retried", "caller_vanished", "capture_meets_void", "key_replayed", "key_reused", "key_with_other_body", "refunds_at_once",
	"suspended_account",
	// What queries meet.
	"read_account", "read_feed", "read_list", "read_payment", "read_while_in_progress",
	// What a feed meets.
	"duplicate_block",
	// How payments go.
	"authorization_expired", "declined_operation", "failed_" + string(fault.AccountSuspended), "failed_" + string(fault.GaveUp),
	"failed_" + string(fault.InsufficientFunds), "failed_" + string(fault.SessionUsed), "gave_up", "landed_in_suspense", "voided",
	// The three layers of recovery.
	"breaker_opened", "deferred", "probed", "swept",
	// TCC: catalogue D.
	"empty_cancel",             // 53
	"late_try",                 // 54: after its Cancel
	"try_after_deadline",       // 54: after all that is remembered
	"cancel_of_unheard_try",    // 55
	"duplicate_try",            // 56
	"duplicate_confirm",        // 56, 57
	"duplicate_cancel",         // 56
	"duplicate_add",            // 56
	"confirm_of_stale_driver",  // 58
	"crash_before_a_decision",  // 59
	"crash_after_a_decision",   // 59
	"one_confirms_other_waits", // 60
	"two_cancels_at_once",      // 62
	"confirm_after_deadline",   // 67
	"last_part_refused",        // 68
	"two_drivers",              // 70
	"cancel_after_confirm",     // 65: by hand, or of a coordinator that is wrong
	"confirm_after_cancel",     // 65
}
