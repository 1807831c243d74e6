-- +goose Up

-- The block that a note was written with. A note without it was written before notes had one.
ALTER TABLE notes ADD COLUMN book TEXT NOT NULL DEFAULT '';
ALTER TABLE notes ADD COLUMN seq BIGINT NOT NULL DEFAULT 0;
