//! The sandbox from outside, with real components in real cells.

mod assembly;
mod attempts;
mod cache;
mod calls;
mod contract;
mod guests;
mod limits;
