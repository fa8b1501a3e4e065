//! Components that attack their host, and what must stop each.
//!
//! Every attack is a row of one table: what it tries, how it is made on the spot, and what must come of it. Nothing here
//! runs anything: `stepcell doctor --hostile` does, and so do the tests of the whole house, with the same table.
//!
//! Not here: attacks that need somebody on the outside, such as servers that answer strangely.

mod case;
mod cases;
mod compose;
mod guest;
mod imports;

pub use self::case::{AttackGroup, Expected, HostileCase, Role};
pub use self::cases::{hostile_cases, well_behaved_step};
