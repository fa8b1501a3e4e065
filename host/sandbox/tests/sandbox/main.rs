//! The sandbox from outside, with real components in real cells.

mod attempts;
mod calls;
mod guests;
