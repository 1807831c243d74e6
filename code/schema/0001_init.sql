-- +goose Up

-- Shops, by merchant. The store id of the printed code follows from tenant, slot of the id, and number.
CREATE TABLE code_shops (
	tenant        BIGINT NOT NULL,
	volume        BIGINT NOT NULL,
	id            BYTEA  NOT NULL, -- the merchant
	number        BIGINT NOT NULL CHECK (number > 0),
	note          BYTEA  NOT NULL, -- id of the note that holds name and address
	registered_at BIGINT NOT NULL,
	PRIMARY KEY (tenant, volume, id)
);

-- From the store id to the merchant: the id is made of slot and number.
CREATE TABLE code_numbers (
	tenant   BIGINT NOT NULL,
	volume   BIGINT NOT NULL,
	id       BYTEA  NOT NULL,
	merchant BYTEA  NOT NULL,
	PRIMARY KEY (tenant, volume, id)
);

-- How many shops a tenant has in a volume.
CREATE TABLE code_counts (
	tenant BIGINT NOT NULL,
	volume BIGINT NOT NULL,
	id     BYTEA  NOT NULL,
	shops  BIGINT NOT NULL,
	PRIMARY KEY (tenant, volume, id)
);

-- Scans. A session that a branch has reserved is OPEN with that branch.
CREATE TABLE code_sessions (
	tenant     BIGINT NOT NULL,
	volume     BIGINT NOT NULL,
	id         BYTEA  NOT NULL,
	customer   BYTEA  NOT NULL,
	merchant   BYTEA  NOT NULL,
	currency   BIGINT NOT NULL, -- ISO 4217, numeric
	amount     BIGINT NOT NULL CHECK (amount BETWEEN 0 AND 4611686018427387903), -- what the code carries; 0 for nothing
	status     TEXT   NOT NULL CHECK (status IN ('OPEN', 'USED', 'EXPIRED')),
	opened_at  BIGINT NOT NULL,
	open_until BIGINT NOT NULL, -- expires_at as the first reply said
	expires_at BIGINT NOT NULL,
	branch     BYTEA  NOT NULL, -- that reserved or used it; zeros for none
	noted      BIGINT NOT NULL, -- 1: its note holds what the code says for the shop's books
	due        BIGINT NOT NULL, -- expires_at while idle; 0 for never
	PRIMARY KEY (tenant, volume, id)
);

-- Whose codes said something, so that it can be erased when the customer is.
CREATE INDEX code_sessions_noted ON code_sessions (tenant, customer, id) WHERE noted = 1;

CREATE INDEX code_sessions_due ON code_sessions (volume, due) WHERE due > 0;

-- This service's part in each payment, and how each verb was answered.
CREATE TABLE code_branches (
	tenant       BIGINT NOT NULL,
	volume       BIGINT NOT NULL,
	id           BYTEA  NOT NULL,
	session      BYTEA  NOT NULL,
	status       TEXT   NOT NULL CHECK (status IN ('HELD', 'REFUSED', 'CONFIRMED', 'CANCELLED')),
	amount       BIGINT NOT NULL,
	currency     BIGINT NOT NULL,
	refusal_code TEXT   NOT NULL,
	rest         BYTEA  NOT NULL, -- the answer to each verb, for a duplicate (book.Pack)
	PRIMARY KEY (tenant, volume, id)
);

-- Callers' idempotency keys, hashed, by day.
CREATE TABLE code_keys (
	tenant      BIGINT NOT NULL,
	volume      BIGINT NOT NULL,
	day         BIGINT NOT NULL,
	id          BYTEA  NOT NULL,
	target      BYTEA  NOT NULL,
	fingerprint BYTEA  NOT NULL,
	at          BIGINT NOT NULL,
	PRIMARY KEY (tenant, volume, day, id)
);
