// Package balance keeps value that a person or a shop owns: accounts in one currency each, by double entry with holds.
//
// It takes part in payments as a tcc.Participant, which value is taken from, and as a tcc.Receiver, which value is
// added to. One book per volume; the machine embeds the rules of package ledger.
//
// Vocabulary
//
//   - An account has the id of its owner with the account's kind as facet: Balance of a customer, Payable of a
//     merchant. So nobody looks up who owns what.
//   - A volume has accounts of its own, one per kind and currency: payment_clearing, points_funding, suspense, fees.
//     Their ids follow from volume, kind and currency (OwnAccount), and the first entry that needs one makes it. A
//     volume sees only its part of what passes through them, so each may be negative within a volume.
//   - A branch is this service's part in one payment, and keeps for good what a duplicate has to be answered with. A
//     tombstone is the branch of a Cancel whose Try never came.
//   - A credit is what an operator adds to an account, out of suspense.
//   - An Add that its account cannot receive stands in suspense, with the reason: a case for an operator.
//
// Legs (A → B debits A and credits B)
//
//	Try       hold on the account
//	Confirm   account → payment_clearing, or the accounts that the request names
//	Add       the accounts that the request names → account, or suspense
//	credit    suspense → account
//
// Invariants, beside those of package ledger:
//
//   - BL1 Every entry balances within the book and stands in one event.
//   - BL2 An account's currency, cap and limits never change. A closed account stays closed and empty.
//   - BL3 A branch only goes along an edge of its transition table; the first answer of each verb stays as it was.
//   - BL4 A hold exists exactly while its branch is HELD. Nothing here ends it: that is the coordinator's, so the
//     service has no timers.
//   - BL5 Neither a suspension nor a limit since the Try stops a Confirm or a Cancel, and none stops an Add.
//   - BL6 One caller's key stands for one owner, or for one credit, a refused one too.
//   - BL7 A suspended account gives nothing out but what it held before: no Try is let in.
//   - BL8 What credits brought into a volume and is not back in its suspense is at most ledger.Supply, and no owner's
//     account holds more than money.MaxWire. So an Add of a payment that was decided can always be placed.
//
// Public events are those about accounts: opened, credited, and the changes of status. What payments do to an account
// is told by the payments' own events.
package balance
