// Package store opens databases: SQLite in a file or PostgreSQL by URL, behind three methods, Write, Read and Migrate.
//
// One SQL text serves both engines; what differs between them (settings, retries, errors, locks) is in this package and
// nowhere else. A database is opened for full durability (the journal) or relaxed (tables that can be rebuilt), and is
// refused if it would lose what it acknowledged.
package store
