//! Admission from outside: components of all kinds, and what is said of each.

#![expect(clippy::unwrap_used, reason = "a test that can not go on panics, in its fixtures too")]

mod assembly;
mod bombs;
mod contract;
mod guests;
mod structure;
