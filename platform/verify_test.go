package platform

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/koban-pay/koban/book/journal"
	"github.com/koban-pay/koban/internal/id"
	"github.com/koban-pay/koban/judge/verify"
	"github.com/koban-pay/koban/money"
	"github.com/koban-pay/koban/tcc"
)

func TestVerifyFindsNothingWrong(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		p := r.pay("one", 1200, 200)
		r.refund("back", p.Id, 1100)
		r.right(nil)
		r.stop()
		r.right(func(c *VerifyConfig) { c.Rebuild = true })
		r.start()
		r.right(nil)
	})
}

func TestVerifyWorksBesideTraffic(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		var over atomic.Bool
		done := make(chan struct{})
		go func() {
			defer close(done)
			for n := range 5000 {
				if over.Load() && n >= 10 {
					return
				}
				if _, err := r.try(fmt.Sprint("busy-", n), n%demoCustomers, 100, 10); err != nil {
					t.Errorf("payment %d: %v", n, err)
					return
				}
			}
		}()
		for range 3 {
			r.right(func(c *VerifyConfig) { c.Rebuild = true })
		}
		over.Store(true)
		<-done
	})
}

// finds requires an invariant to be violated, with an example that says something.
func finds(t *testing.T, wrong map[string]verify.Invariant, invariant, says string) {
	t.Helper()
	i := wrong[invariant]
	if !slices.ContainsFunc(i.Examples, func(e string) bool { return strings.Contains(e, says) }) {
		t.Errorf("%s: expected %q, found %v", invariant, says, wrong)
	}
}

func TestVerifyFindsChangedBlock(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.pay("one", 1200, 200)
		r.stop()
		const change = `UPDATE journal_blocks SET at = at + 1 WHERE book = 'balance/00' AND seq = 2`
		r.tamper("", change)
		finds(t, r.verify(nil), "I7", "book balance/00, block 2")
	})
}

func TestVerifyFindsOneYen(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.pay("one", 1200, 200)
		r.stop()
		x := r.id(id.Account, r.app.Card.Customers[0].Balance.Account)
		r.tamper("balance", `UPDATE balance_accounts SET credits_posted = credits_posted + 1 WHERE id = $1`, x[:])
		wrong := r.verify(nil)
		finds(t, wrong, "I24", "credits_posted is 100001, and the journal gives 100000")
		if len(wrong) != 1 {
			t.Errorf("the books are right, only a table is not: %v", wrong)
		}
	})
}

func TestVerifyFindsMissingAndAddedRows(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.pay("one", 1200, 200)
		r.stop()
		x := r.id(id.Account, r.app.Card.Customers[3].Points.Account)
		r.tamper("points", `UPDATE points_accounts SET tenant = 2 WHERE id = $1`, x[:])
		wrong := r.verify(nil)
		finds(t, wrong, "I24", "points_accounts lacks a row that the journal gives: tenant 1")
		finds(t, wrong, "I24", "points_accounts has a row that the journal does not give: tenant 2")
	})
}

// TestVerifyFindsDamagedIndex flips a bit of what only the list of a merchant's payments is read by. The tables are as they
// should be.
func TestVerifyFindsDamagedIndex(t *testing.T) {
	r := newRig(t, "")
	p := r.pay("one", 1200, 200)
	shop, payment := r.id(id.Merchant, r.app.Card.Merchants[0].ID), r.id(id.Payment, p.Id)
	r.stop()
	path := filepath.Join(r.config.Data, "state", "payment.db")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(text, append(shop[:], payment[:]...)) // an entry of payments_by_merchant, and of nothing else
	if at < 0 {
		t.Fatal("the file has no such entry")
	}
	text[at+len(shop)-1] ^= 1
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := r.verify(nil)
	finds(t, wrong, "I24", "the file of payment is damaged: row 1 missing from index payments_by_merchant")
	if len(wrong) != 1 {
		t.Errorf("only an index is wrong: %v", wrong)
	}
}

func TestVerifySaysWhatBooksAreFor(t *testing.T) {
	for _, rehearsal := range []bool{false, true} {
		r := newRigOf(t, "", rehearsal)
		r.stop()
		report, err := Verify(t.Context(), VerifyConfig{Data: r.config.Data})
		if err != nil || !report.OK || report.Rehearsal != rehearsal {
			t.Errorf("books of which rehearsal is %t: %+v %v", rehearsal, report, err)
		}
	}
}

// cut removes the last block of a book, and lets the head name the block before.
func (r *rig) cut(book string) {
	r.t.Helper()
	const last = `(SELECT seq FROM journal_heads WHERE book = $1)`
	r.tamper("", `DELETE FROM journal_blocks WHERE book = $1 AND seq = `+last, book)
	r.tamper("", `UPDATE journal_heads SET seq = seq - 1, hash = (SELECT hash FROM journal_blocks b
		WHERE b.book = journal_heads.book AND b.seq = journal_heads.seq - 1) WHERE book = $1`, book)
}

func TestVerifyFindsCutTail(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.pay("one", 1200, 200)
		r.stop()
		var before *journal.Checkpoint
		key, made, err := CheckpointKey(r.config.Data, "")
		if err != nil || !made {
			t.Fatalf("the first key that signs: made %t, %v", made, err)
		}
		report, err := Verify(t.Context(), VerifyConfig{
			Data: r.config.Data, StoreURL: r.config.StoreURL,
			Export: key,
		})
		if err != nil || !report.OK {
			t.Fatalf("verify: %v %v", report, err)
		}
		before = report.Checkpoint
		pinned := func(c *VerifyConfig) { c.Checkpoint, c.Pinned = before, key.Public().(ed25519.PublicKey) }
		r.right(pinned)

		r.cut("balance/00")
		finds(t, r.verify(nil), "I24", "the tables of balance/00 stand for block") // they still know of what was cut off
		wrong := r.verify(pinned)
		finds(t, wrong, "I7", "its tail was cut off")
	})
}

// Who can read all of a platform's books, and its root key, cannot sign for it: the public key is held
// elsewhere.
func TestVerifyRefusesForeignCheckpoint(t *testing.T) {
	r := newRig(t, "")
	own, _, err := CheckpointKey(r.config.Data, "")
	if err != nil {
		t.Fatal(err)
	}
	root, err := r.place().rootKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]ed25519.PrivateKey{
		"another key":  ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize)),
		"the root key": ed25519.NewKeyFromSeed(root),
		"one that it gives": ed25519.NewKeyFromSeed(constants{secret: root}.derive("checkpoint",
			ed25519.SeedSize)),
		"the check of the key": ed25519.NewKeyFromSeed(constants{secret: root}.root()),
	} {
		report, err := Verify(t.Context(), VerifyConfig{Data: r.config.Data, Export: key})
		if err != nil {
			t.Fatal(err)
		}
		_, err = Verify(t.Context(), VerifyConfig{
			Data: r.config.Data, Checkpoint: report.Checkpoint,
			Pinned: own.Public().(ed25519.PublicKey),
		})
		if !errors.Is(err, journal.ErrSignature) {
			t.Errorf("a checkpoint signed by %s: %v", name, err)
		}
	}
}

func TestVerifyFindsOrphanHold(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		now := r.app.Clock.Now()
		account := r.id(id.Account, r.app.Card.Customers[0].Balance.Account)
		nobodys := tcc.Branch{Tenant: demoTenant, ID: r.app.Fresh.New(now, 7).Facet(1)}
		_, err := r.app.Balance.Try(t.Context(), tcc.TryRequest{
			Branch: nobodys, Account: account, Amount: money.Yen(500), Purpose: tcc.Charge,
			NotAfter: now.Add(1 << 40), EffectiveAt: now,
		})
		if err != nil {
			t.Fatal(err)
		}
		wrong := r.verify(nil)
		finds(t, wrong, "I5", "holds 500 for "+r.app.IDs.Encode(id.Payment, nobodys.Payment()))
		if len(wrong) != 1 {
			t.Errorf("only the hold is wrong: %v", wrong)
		}
	})
}

func TestVerifyFindsMoneyWithoutPayment(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		now := r.app.Clock.Now()
		nobodys := tcc.Branch{Tenant: demoTenant, ID: r.app.Fresh.New(now, 7).Facet(1)}
		_, err := r.app.Balance.Add(t.Context(), tcc.AddRequest{
			Branch: nobodys, Account: r.id(id.Account, r.app.Card.Merchants[0].Account),
			Amount: money.Yen(500), Purpose: tcc.Charge, Funding: []tcc.Funding{{From: "payment_clearing", Amount: money.Yen(500)}}, EffectiveAt: now,
		})
		if err != nil {
			t.Fatal(err)
		}
		wrong := r.verify(nil)
		finds(t, wrong, "I11", "there is no such payment")
		finds(t, wrong, "X1", "payment_clearing of tenant 1 has -500 JPY over all volumes, and the payments say 0")
	})
}

func TestVerifyNeedsBooks(t *testing.T) {
	_, err := Verify(t.Context(), VerifyConfig{Data: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "there are no books") {
		t.Errorf("an empty folder: %v", err)
	}
}
