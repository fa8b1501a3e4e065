//! The sandbox from outside, with real components in real cells.

#![expect(clippy::unwrap_used, reason = "a test that can not go on panics, in its fixtures too")]

mod assembly;
mod attempts;
mod cache;
mod calls;
mod contract;
mod gateways;
mod guests;
mod limits;
