//! Versions of the runtime that no host may run tenants' code on.

use semver::{Version, VersionReq};

use crate::error::SandboxError;

/// The version of wasmtime that this host is built with. A test holds it against `Cargo.lock`.
const WASMTIME_VERSION: &str = "48.0.8";

/// Versions that are known to be bad: which, and why.
const KNOWN_BAD: &[(&str, &str)] = &[
    (">=48.0.0, <48.0.8", "guests can end the host's process or grow its memory without bound; 48.0.8 mends that"),
    ("<48.0.0", "it is older than the line that this host was checked with"),
];

/// Refuses to go on with a runtime that is known to be bad.
///
/// # Errors
/// [`SandboxError::KnownBadRuntime`].
pub(crate) fn check() -> Result<(), SandboxError> {
    check_against(WASMTIME_VERSION, KNOWN_BAD)
}

fn check_against(version: &str, known_bad: &[(&str, &str)]) -> Result<(), SandboxError> {
    let unreadable = |error: semver::Error| SandboxError::Runtime { reason: format!("its version: {error}") };
    let parsed = Version::parse(version).map_err(unreadable)?;
    for (range, why) in known_bad {
        if VersionReq::parse(range).map_err(unreadable)?.matches(&parsed) {
            return Err(SandboxError::KnownBadRuntime { version: version.to_owned(), why: (*why).to_owned() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_that_is_checked_is_the_one_that_is_built_in() {
        let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock")).unwrap();

        assert!(lock.contains(&format!("name = \"wasmtime\"\nversion = \"{WASMTIME_VERSION}\"\n")));
        check().unwrap();
    }

    #[test]
    fn a_host_with_a_runtime_on_the_list_refuses_to_start_and_says_what_to_do() {
        let made_up = [(">=1.2.0, <1.2.5", "it lets guests fly")];

        for (version, is_bad) in [("1.1.9", false), ("1.2.0", true), ("1.2.4", true), ("1.2.5", false)] {
            assert_eq!(check_against(version, &made_up).is_err(), is_bad, "{version}");
        }
        assert_eq!(
            check_against("1.2.3", &made_up).unwrap_err().to_string(),
            "this host is built with wasmtime 1.2.3, which is known to be bad: it lets guests fly; \
             build or install a host with a newer one"
        );
    }

    #[test]
    fn every_version_before_the_least_good_one_is_on_the_list() {
        for (version, is_bad) in [("36.0.1", true), ("48.0.0", true), ("48.0.7", true), ("48.0.8", false)] {
            assert_eq!(check_against(version, KNOWN_BAD).is_err(), is_bad, "{version}");
        }
    }
}
