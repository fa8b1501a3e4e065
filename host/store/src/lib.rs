//! Durable state: the store trait, in memory and on SQLite, with one conformance suite for both.
