-- +goose Up

-- The last block of each book. Appending is a compare-and-set of this row.
CREATE TABLE journal_heads (
    book  TEXT   NOT NULL PRIMARY KEY,
    seq   BIGINT NOT NULL,
    hash  BYTEA  NOT NULL,
    epoch BIGINT NOT NULL
);

-- The record. Rows are only ever inserted. The hash covers every other column.
CREATE TABLE journal_blocks (
    book TEXT   NOT NULL,
    seq  BIGINT NOT NULL CHECK (seq > 0),
    at   BIGINT NOT NULL,
    hash BYTEA  NOT NULL,
    body BYTEA  NOT NULL,
    PRIMARY KEY (book, seq)
);

-- Personal data, which the record only refers to. Rows can be erased.
CREATE TABLE notes (
    tenant  BIGINT NOT NULL,
    service TEXT   NOT NULL,
    id      BYTEA  NOT NULL,
    body    BYTEA  NOT NULL,
    PRIMARY KEY (tenant, service, id)
);

-- Constants that were chosen when the platform was created.
CREATE TABLE platform (
    name  TEXT  NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);
