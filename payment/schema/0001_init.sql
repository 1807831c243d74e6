-- +goose Up
CREATE TABLE payments (
	tenant BIGINT NOT NULL,
	volume BIGINT NOT NULL,
	id BYTEA NOT NULL,
	kind BIGINT NOT NULL CHECK (kind BETWEEN 1 AND 2),
	status BIGINT NOT NULL CHECK (status BETWEEN 1 AND 9),
	resource BIGINT NOT NULL CHECK (resource BETWEEN 1 AND 4),
	currency BIGINT NOT NULL,
	amount BIGINT NOT NULL CHECK (amount BETWEEN 1 AND 4611686018427387903),
	captured BIGINT NOT NULL CHECK (captured BETWEEN 0 AND amount),
	refunded BIGINT NOT NULL CHECK (refunded BETWEEN 0 AND captured),
	customer BYTEA NOT NULL,
	merchant BYTEA NOT NULL,
	session BYTEA NOT NULL,
	parent BYTEA NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	reference BIGINT NOT NULL,
	bill_number BIGINT NOT NULL,
	reference_label BIGINT NOT NULL,
	terminal_label BIGINT NOT NULL,
	suspense BIGINT NOT NULL, -- how many of its adds stand in suspense: cases for a person
	state BYTEA NOT NULL,
	due BIGINT NOT NULL,
	PRIMARY KEY (tenant, volume, id)
);
CREATE INDEX payments_by_customer ON payments (tenant, customer, id);
CREATE INDEX payments_by_merchant ON payments (tenant, merchant, id);
CREATE INDEX payments_by_parent ON payments (tenant, parent, id) WHERE kind = 2;
CREATE INDEX payments_by_reference ON payments (tenant, reference, id) WHERE reference <> 0;
CREATE INDEX payments_by_bill_number ON payments (tenant, bill_number, id) WHERE bill_number <> 0;
CREATE INDEX payments_by_reference_label ON payments (tenant, reference_label, id) WHERE reference_label <> 0;
CREATE INDEX payments_in_suspense ON payments (tenant, id) WHERE suspense > 0;
CREATE INDEX payments_due ON payments (volume, due) WHERE due > 0;
CREATE INDEX payments_open ON payments (volume, tenant, id) WHERE resource = 1;

CREATE TABLE payment_operations (
	tenant BIGINT NOT NULL,
	volume BIGINT NOT NULL,
	id BYTEA NOT NULL,
	cause BIGINT NOT NULL,
	payment BYTEA NOT NULL,
	code TEXT NOT NULL,
	done_at BIGINT NOT NULL,
	status BIGINT NOT NULL,
	PRIMARY KEY (tenant, volume, id)
);

CREATE TABLE payment_keys (
	tenant BIGINT NOT NULL,
	volume BIGINT NOT NULL,
	day BIGINT NOT NULL,
	id BYTEA NOT NULL,
	target BYTEA NOT NULL,
	fingerprint BYTEA NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (tenant, volume, day, id)
);
