// Package emv reads and writes EMV merchant-presented codes, with the JPQR profile on top.
//
// A code is a row of objects: two digits of identifier, two digits of length, and a value. The length counts characters
// (Unicode code points), not bytes. Some values are templates, which hold objects of their own. The rules are those of
// the EMV QR Code Specification for Payment Systems, Merchant-Presented Mode, v1.1 (November 2020); the JPQR rules are
// those of the JPQR MPM guideline.
//
// Decode takes only what the rules allow and says exactly what is wrong with the rest: a code of a closed list, the
// object ("62.07") and the character where it went wrong. It checks the framing of the root first, then the check sum,
// then the meaning, so that damage is reported as damage. What it does not know it keeps: encoding a decoded code gives
// the same bytes again. Encode refuses everything that Decode would refuse.
package emv
