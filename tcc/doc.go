// Package tcc is the Try–Confirm–Cancel contract between the coordinator of a payment and whoever holds value for it.
//
// A participant holds something that can be set aside: a balance, points, a code's session. Adding always succeeds;
// subtracting may be refused, so it has three verbs. Every verb is idempotent, and every outcome is one of three:
// done (nil), refused (a fault of a definite kind) or unknown (anything else: ask again with the same request).
//
// What each verb must survive stands on Participant; package tcc/kit proves it.
package tcc
