// Package inject lets calls to participants go wrong on purpose: slow, refused, lost, doubled, late, or the death of the
// platform in the middle of one.
//
// It stands between the coordinator and its participants, and only where a platform was created to rehearse on. Vocabulary:
// a fault is what somebody asked for; it sees the calls that fit it, chooses some of them, and hits those.
//
//	J1  A fault chooses by seed, branch, verb and try alone, so that the same seed chooses the same calls again however
//	    many payments run at the same time.
//	J2  Faults that fit the same call lie around it like skins, the oldest outermost: what does not get through the
//	    outer one is not seen by the inner one.
//	J3  No call is altered: one that reaches the participant is the call that was made, and an answer that the
//	    participant gave is never changed into another answer, only held back.
package inject
