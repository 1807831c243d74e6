-- +goose Up
CREATE TABLE more_things (
    name TEXT NOT NULL PRIMARY KEY
);
CREATE INDEX more_things_by_name ON more_things (name);
