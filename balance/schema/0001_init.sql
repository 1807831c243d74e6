-- +goose Up

-- Accounts, of owners and of the volumes themselves. balance = credits_posted - debits_posted;
-- available = balance - debits_pending.
CREATE TABLE balance_accounts (
	tenant          BIGINT NOT NULL,
	volume          BIGINT NOT NULL,
	id              BYTEA  NOT NULL,
	kind            TEXT   NOT NULL, -- balance, payable, payment_clearing, points_funding, suspense or fees
	currency        BIGINT NOT NULL, -- ISO 4217, numeric
	status          TEXT   NOT NULL, -- open, no_out, no_in, suspended or closed
	debits_posted   BIGINT NOT NULL CHECK (debits_posted BETWEEN 0 AND 4611686018427387903),
	credits_posted  BIGINT NOT NULL CHECK (credits_posted BETWEEN 0 AND 4611686018427387903),
	debits_pending  BIGINT NOT NULL CHECK (debits_pending BETWEEN 0 AND 4611686018427387903),
	credits_pending BIGINT NOT NULL CHECK (credits_pending BETWEEN 0 AND 4611686018427387903),
	cap             BIGINT NOT NULL,
	limit_day_in    BIGINT NOT NULL,
	limit_day_out   BIGINT NOT NULL,
	limit_month_in  BIGINT NOT NULL,
	limit_month_out BIGINT NOT NULL,
	version         BIGINT NOT NULL,
	rest            BYTEA  NOT NULL, -- what was used of the limits, and when it was opened (book.Pack)
	PRIMARY KEY (tenant, volume, id)
);

-- This service's part in each payment, and how each verb was answered. An ADDED branch with a code stands in suspense.
CREATE TABLE balance_branches (
	tenant   BIGINT NOT NULL,
	volume   BIGINT NOT NULL,
	id       BYTEA  NOT NULL,
	status   TEXT   NOT NULL, -- HELD, CONFIRMED, CANCELLED, REFUSED or ADDED
	account  BYTEA  NOT NULL,
	currency BIGINT NOT NULL,
	amount   BIGINT NOT NULL,
	posted   BIGINT NOT NULL,
	released BIGINT NOT NULL,
	code     TEXT   NOT NULL,
	rest     BYTEA  NOT NULL, -- the answer to each verb, for a duplicate (book.Pack)
	PRIMARY KEY (tenant, volume, id)
);

-- What operators added, or were refused.
CREATE TABLE balance_credits (
	tenant         BIGINT NOT NULL,
	volume         BIGINT NOT NULL,
	id             BYTEA  NOT NULL,
	account        BYTEA  NOT NULL,
	currency       BIGINT NOT NULL,
	amount         BIGINT NOT NULL,
	effective_at   BIGINT NOT NULL,
	seq            BIGINT NOT NULL,
	at             BIGINT NOT NULL,
	account_status TEXT   NOT NULL,
	posted         BIGINT NOT NULL,
	available      BIGINT NOT NULL,
	code           TEXT   NOT NULL,
	message        TEXT   NOT NULL,
	PRIMARY KEY (tenant, volume, id)
);

-- Callers' idempotency keys, hashed, by day.
CREATE TABLE balance_keys (
	tenant      BIGINT NOT NULL,
	volume      BIGINT NOT NULL,
	day         BIGINT NOT NULL,
	id          BYTEA  NOT NULL,
	target      BYTEA  NOT NULL,
	fingerprint BYTEA  NOT NULL,
	at          BIGINT NOT NULL,
	PRIMARY KEY (tenant, volume, day, id)
);
