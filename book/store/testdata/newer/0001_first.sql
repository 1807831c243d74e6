-- +goose Up
CREATE TABLE things (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL CHECK (value BETWEEN 0 AND 1000)
);
