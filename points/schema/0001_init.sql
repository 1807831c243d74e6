-- +goose Up

-- Accounts, of customers and of the volumes themselves, in points. balance = credits_posted - debits_posted;
-- available = balance - debits_pending, less lots that have expired.
CREATE TABLE points_accounts (
	tenant          BIGINT NOT NULL,
	volume          BIGINT NOT NULL,
	id              BYTEA  NOT NULL,
	kind            TEXT   NOT NULL CHECK (kind IN ('points', 'points_redeemed', 'points_expired', 'suspense')),
	owner           BYTEA  NOT NULL,
	status          TEXT   NOT NULL CHECK (status IN ('open', 'no_out', 'no_in', 'suspended', 'closed')),
	debits_posted   BIGINT NOT NULL CHECK (debits_posted BETWEEN 0 AND 4611686018427387903),
	credits_posted  BIGINT NOT NULL CHECK (credits_posted BETWEEN 0 AND 4611686018427387903),
	debits_pending  BIGINT NOT NULL CHECK (debits_pending BETWEEN 0 AND 4611686018427387903),
	credits_pending BIGINT NOT NULL CHECK (credits_pending BETWEEN 0 AND 4611686018427387903),
	used_day        BIGINT NOT NULL,
	day_in          BIGINT NOT NULL,
	day_out         BIGINT NOT NULL,
	month_in        BIGINT NOT NULL,
	month_out       BIGINT NOT NULL,
	version         BIGINT NOT NULL,
	opened_at       BIGINT NOT NULL,
	next_lot        BIGINT NOT NULL,
	lots            TEXT   NOT NULL, -- JSON: lot, class, left, held, expires_at; in the order in which they are spent
	due             BIGINT NOT NULL, -- when the next lot expires that is not held; 0 for never
	PRIMARY KEY (tenant, volume, id)
);

CREATE INDEX points_accounts_due ON points_accounts (volume, due) WHERE due > 0;

-- This service's part in each payment, and how each verb was answered.
CREATE TABLE points_branches (
	tenant           BIGINT NOT NULL,
	volume           BIGINT NOT NULL,
	id               BYTEA  NOT NULL,
	account          BYTEA  NOT NULL,
	status           TEXT   NOT NULL CHECK (status IN ('held', 'refused', 'confirmed', 'cancelled', 'added')),
	print            BYTEA  NOT NULL, -- of the Try or the Add
	held_on          BIGINT NOT NULL,
	amount           BIGINT NOT NULL, -- of the hold
	posted           BIGINT NOT NULL,
	released         BIGINT NOT NULL,
	first_seq        BIGINT NOT NULL, -- the answer to the Try or the Add; 0 if neither came
	first_at         BIGINT NOT NULL,
	first_available  BIGINT NOT NULL,
	first_suspense   BIGINT NOT NULL,
	cancel_seq       BIGINT NOT NULL, -- the answer to the Cancel; 0 before it
	cancel_at        BIGINT NOT NULL,
	cancel_available BIGINT NOT NULL,
	refusal_code     TEXT   NOT NULL,
	refusal_message  TEXT   NOT NULL,
	refusal_param    TEXT   NOT NULL,
	captures         TEXT   NOT NULL, -- JSON: capture, print, answer
	lots             TEXT   NOT NULL, -- JSON: lot, class, expires_at, held, posted, released, returned
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
