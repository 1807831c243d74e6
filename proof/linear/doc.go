// Package linear records what concurrent clients do and see while the platform is killed, and checks that every account
// could have been one ledger card behind one counter: its history is linearizable. It also holds the bank to its sum.
//
// # What is recorded
//
// The platform is the real binary, spoken to over REST. An operation is a request under one key, however often it is sent:
// it begins before it is sent first and ends when its final answer has come. Times are numbers drawn from one counter, so
// what ended before another began has the smaller ones. Where no answer came the client asks again under the same key, as
// callers have to, or forgets about it: then it is unknown, and may have happened at any time until the harness has asked
// for it at the end of the epoch. A read that got no answer is dropped, for it changes nothing.
//
// # The model
//
// An account is (posted, held) and the holds that are open. GET /v1/accounts/{id} answers from one book, and so is atomic:
// posted, held and available are of one moment. A payment is not: it crosses books, and what the API promises is that each
// of its steps happens on its account once, in order, within the operation that it belongs to. So the steps are what is
// checked, each as an operation of its own on its account, with the interval of the request that caused it:
//
//	charge       hold on each source, then its post; add on the merchant
//	authorize    hold on each source
//	capture      post of those holds; add on the merchant
//	void         release of those holds
//	refund       hold and post on the merchant; add on each source
//	credit       add, and its reply is the account as it was left: one atomic step
//	failed       what GET /v1/payments/{id}/explain says of it: nothing, or a hold and its release; and where the source
//	             refused for want of funds, there was a moment at which less was available than it asked for
//	read         posted, held and available are the account's
//
// A hold needs as much available as it takes. A post or a release needs that very hold to be open.
//
// Accounts are checked one by one (linearizability is local), by porcupine. Now and then all clients stop and every
// payment ends: there a history is cut, and its parts are checked by themselves, the last read of one being the first
// state of the next. That loses nothing, for no operation crosses the cut, and it bounds the work.
//
// What this does not claim: that two accounts read one after the other show one moment. The API promises no such read.
//
// # The bank
//
// For the same reason the sum of all accounts cannot be read while payments are under way: value that left its source and
// has not reached its destination yet stands in clearing, and a reader that goes from account to account sees it twice or
// not at all. So the bank test checks two things. While clients transfer, every account that is read by itself is right:
// available = posted - held, and none of the three is negative. When all clients have stopped and every payment has
// ended, the sum over all accounts, customers' and merchants', clearing and what pays for points, is exactly what it was
// at the beginning, clearing is exactly empty, nothing is held, and points redeemed are worth exactly what was paid for
// them.
package linear
