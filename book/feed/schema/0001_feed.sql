-- +goose Up

-- How far each volume was followed. The tenant is 0; the last 8 bytes of the id are the volume followed, big-endian.
CREATE TABLE feed_positions (
    tenant BIGINT NOT NULL,
    volume BIGINT NOT NULL,
    id     BYTEA  NOT NULL,
    seq    BIGINT NOT NULL,
    hash   BYTEA  NOT NULL,
    PRIMARY KEY (tenant, volume, id)
);

-- The last number of each tenant. The id is zero.
CREATE TABLE feed_counters (
    tenant BIGINT NOT NULL,
    volume BIGINT NOT NULL,
    id     BYTEA  NOT NULL,
    last   BIGINT NOT NULL,
    PRIMARY KEY (tenant, volume, id)
);

-- Which blocks hold a tenant's numbers, 256 to a row: the row whose id ends in p holds p*256+1 to p*256+256. places is
-- the message koban.feed.journal.v1.Page.
CREATE TABLE feed_pages (
    tenant BIGINT NOT NULL,
    volume BIGINT NOT NULL,
    id     BYTEA  NOT NULL,
    places BYTEA  NOT NULL,
    PRIMARY KEY (tenant, volume, id)
);
