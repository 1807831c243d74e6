-- +goose Up

-- Accounts, of customers and of the volumes themselves, in points. balance = credits_posted - debits_posted;
-- available = balance - debits_pending, less lots that have expired.
CREATE TABLE points_accounts (
	tenant          BIGINT NOT NULL,
	volume          BIGINT NOT NULL,
	id              BYTEA  NOT NULL,
	kind            TEXT   NOT NULL, -- points, points_redeemed, points_expired or suspense
	status          TEXT   NOT NULL, -- open, no_out, no_in, suspended or closed
	debits_posted   BIGINT NOT NULL CHECK (debits_posted BETWEEN 0 AND 4611686018427387903),
	credits_posted  BIGINT NOT NULL CHECK (credits_posted BETWEEN 0 AND 4611686018427387903),
	debits_pending  BIGINT NOT NULL CHECK (debits_pending BETWEEN 0 AND 4611686018427387903),
	credits_pending BIGINT NOT NULL CHECK (credits_pending BETWEEN 0 AND 4611686018427387903),
	version         BIGINT NOT NULL,
	next_lot        BIGINT NOT NULL,
	lots            TEXT   NOT NULL, -- JSON: lot, class, left, held, expires_at; in the order in which they are spent
	rest            BYTEA  NOT NULL, -- the owner, what moved this day and month, and when it was opened (book.Pack)
	due             BIGINT NOT NULL, -- when the next lot expires that is not held; 0 for never
	PRIMARY KEY (tenant, volume, id)
);

CREATE INDEX points_accounts_due ON points_accounts (volume, due) WHERE due > 0;

-- This service's part in each payment, and how each verb was answered.
CREATE TABLE points_branches (
	tenant       BIGINT NOT NULL,
	volume       BIGINT NOT NULL,
	id           BYTEA  NOT NULL,
	account      BYTEA  NOT NULL,
	status       TEXT   NOT NULL, -- HELD, REFUSED, CONFIRMED, CANCELLED or ADDED
	amount       BIGINT NOT NULL, -- of the hold
	posted       BIGINT NOT NULL,
	released     BIGINT NOT NULL,
	refusal_code TEXT   NOT NULL,
	lots         TEXT   NOT NULL, -- JSON: lot, class, expires_at, held, posted, released, returned
	rest         BYTEA  NOT NULL, -- the answer to each verb, for a duplicate (book.Pack)
	PRIMARY KEY (tenant, volume, id)
);

-- What callers' requests added, or were refused.
CREATE TABLE points_grants (
	tenant          BIGINT NOT NULL,
	volume          BIGINT NOT NULL,
	id              BYTEA  NOT NULL,
	account         BYTEA  NOT NULL,
	owner           BYTEA  NOT NULL,
	opened_at       BIGINT NOT NULL,
	lot             BIGINT NOT NULL,
	class           BIGINT NOT NULL, -- 1 free, 2 paid
	expires_at      BIGINT NOT NULL,
	amount          BIGINT NOT NULL,
	posted          BIGINT NOT NULL, -- of the account afterwards
	held            BIGINT NOT NULL,
	available       BIGINT NOT NULL,
	account_status  BIGINT NOT NULL,
	seq             BIGINT NOT NULL,
	at              BIGINT NOT NULL,
	refusal_code    TEXT   NOT NULL,
	refusal_message TEXT   NOT NULL,
	refusal_param   TEXT   NOT NULL,
	PRIMARY KEY (tenant, volume, id)
);

-- Callers' idempotency keys, hashed, by day.
CREATE TABLE points_keys (
	tenant      BIGINT NOT NULL,
	volume      BIGINT NOT NULL,
	day         BIGINT NOT NULL,
	id          BYTEA  NOT NULL,
	target      BYTEA  NOT NULL,
	fingerprint BYTEA  NOT NULL,
	at          BIGINT NOT NULL,
	PRIMARY KEY (tenant, volume, day, id)
);
