//! The table: every attack there is, one file a few groups.

mod calls;
mod compile;
mod context;
mod damaged;
mod failures;
mod handles;
mod lies;
mod logs;
mod loops;
mod memory;
mod output;
mod probes;
mod requests;
mod traps;
mod waits;

use crate::case::HostileCase;
use crate::guest::Guest;

/// The groups, in the order in which they attack: what costs most comes last.
const GROUPS: [&[HostileCase]; 15] = [
    loops::CASES,
    traps::CASES,
    lies::CASES,
    output::CASES,
    failures::CASES,
    context::CASES,
    probes::CASES,
    requests::CASES,
    handles::CASES,
    waits::CASES,
    calls::CASES,
    logs::CASES,
    memory::CASES,
    damaged::CASES,
    compile::CASES,
];

/// Every attack there is.
///
/// # Examples
/// ```
/// let loops = stepcell_hostile::hostile_cases().filter(|case| case.name.starts_with("loop-"));
/// assert!(loops.count() > 5);
/// ```
pub fn hostile_cases() -> impl Iterator<Item = &'static HostileCase> {
    GROUPS.into_iter().flatten()
}

/// A step that harms nobody and returns `1`, to show that whoever was attacked still works.
#[must_use]
pub fn well_behaved_step() -> Vec<u8> {
    Guest::step().build()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::BTreeSet;

    use wasmparser::{Validator, WasmFeatures};

    use super::*;
    use crate::case::Expected;

    /// The fewest attacks that the set may have.
    const CASES_MIN: usize = 100;

    #[test]
    fn there_are_many_attacks_and_each_has_a_name_of_its_own() {
        let names: Vec<_> = hostile_cases().map(|case| case.name).collect();
        let different: BTreeSet<_> = names.iter().collect();

        assert!(names.len() >= CASES_MIN, "{}", names.len());
        assert_eq!(different.len(), names.len());
    }

    #[test]
    fn every_attack_says_what_it_tries_in_one_sentence() {
        for case in hostile_cases() {
            let plain = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            assert!(plain(case.name), "{}", case.name);
            assert!(case.tries.ends_with('.') && case.tries.len() > 15, "{}: {}", case.name, case.tries);
        }
    }

    #[test]
    fn what_should_be_let_in_is_a_component_by_the_book() {
        for case in hostile_cases() {
            let valid = Validator::new_with_features(WasmFeatures::default()).validate_all(&(case.make)()).map(drop);

            match case.expects {
                Expected::Refused(_) | Expected::RefusedOrHarmless(_) => {}
                Expected::Failed(_)
                | Expected::HookFailed(_)
                | Expected::Harmless
                | Expected::Denied
                | Expected::LinesDropped(_) => {
                    assert!(valid.is_ok(), "{}: {valid:?}", case.name);
                }
            }
        }
    }

    #[test]
    fn an_attack_is_the_same_bytes_each_time() {
        for case in hostile_cases() {
            assert!((case.make)() == (case.make)(), "{}", case.name);
        }
    }

    #[test]
    fn the_step_that_harms_nobody_is_a_component() {
        Validator::new().validate_all(&well_behaved_step()).unwrap();
    }
}
