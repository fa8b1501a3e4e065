//! The clocks that a cell sees: both stand still at the start of its execution.
//!
//! So an attempt that is made again sees the same time, and no guest can measure the host. Sleeping works: a wait is
//! a length of time, not a look at the clock.

use std::time::Duration;

use stepcell_model::time::Timestamp;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// A clock that stands still.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrozenClock(Duration);

impl FrozenClock {
    pub(crate) fn at(time: Timestamp) -> Self {
        Self(Duration::from_millis(u64::try_from(time.unix_ms()).unwrap_or(0)))
    }
}

impl HostWallClock for FrozenClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

impl HostMonotonicClock for FrozenClock {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}
