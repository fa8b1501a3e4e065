//! What every benchmark is given.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

/// By how much less a quick run measures.
const QUICK_BY: u32 = 5;

/// What every benchmark is given.
pub(crate) struct Setup {
    pub(crate) guests: Guests,
    pub(crate) pace: Pace,
}

/// How long to measure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Long enough to quote.
    Full,
    /// Long enough to see that it works.
    Quick,
}

impl Pace {
    /// What a length is at this pace.
    pub(crate) fn of(self, full: Duration) -> Duration {
        match self {
            Self::Full => full,
            Self::Quick => full / QUICK_BY,
        }
    }

    /// What a number is at this pace.
    pub(crate) fn count(self, full: u64) -> u64 {
        match self {
            Self::Full => full,
            Self::Quick => full / u64::from(QUICK_BY),
        }
    }
}

/// The example steps as components.
pub(crate) struct Guests(PathBuf);

impl Guests {
    pub(crate) fn find() -> Self {
        Self(
            std::env::var_os("STEPCELL_GUESTS_DIR")
                .map_or_else(|| "target/wasm32-wasip2/release".into(), PathBuf::from),
        )
    }

    /// The file of a step.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.wasm"))
    }

    /// The component of a step.
    pub(crate) fn load(&self, name: &str) -> anyhow::Result<Vec<u8>> {
        let path = self.path(name);
        std::fs::read(&path).with_context(|| format!("can not read `{}`; run `cargo xtask bench`", path.display()))
    }
}
