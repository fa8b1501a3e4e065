//! Admission from outside: components of all kinds, and what is said of each.

#![expect(clippy::unwrap_used, reason = "a test that can not go on panics, in its fixtures too")]

#[allow(dead_code, reason = "shared with the tests of the sandbox, which need more of it")]
mod assembly;
mod contract;
mod guests;
