//! What time it is, and waiting for a time. Nothing else in the engine asks the machine.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stepcell_model::time::Timestamp;
use tokio::sync::oneshot;

/// A future that ends when a time has come.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What time it is.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits until `at` has come; returns at once if it has.
    fn sleep_until(&self, at: Timestamp) -> Sleep;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// The longest that the engine sleeps before it looks at the machine's clock again.
///
/// Protects against clocks that are set while it sleeps.
const SLEEP_MAX: Duration = Duration::from_secs(60);

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        chrono::Utc::now().into()
    }

    fn sleep_until(&self, at: Timestamp) -> Sleep {
        Box::pin(async move {
            loop {
                let now = Self.now();
                if now >= at {
                    return;
                }
                tokio::time::sleep(at.since(now).min(SLEEP_MAX)).await;
            }
        })
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct SimulatedClock(Mutex<Simulated>);

#[derive(Debug)]
struct Simulated {
    now: Timestamp,
    sleepers: BTreeMap<(Timestamp, u64), oneshot::Sender<()>>,
    count: u64,
}

impl SimulatedClock {
    /// A clock that shows `now`.
    #[must_use]
    pub const fn at(now: Timestamp) -> Self {
        Self(Mutex::new(Simulated { now, sleepers: BTreeMap::new(), count: 0 }))
    }

    /// Moves the clock on and wakes whoever slept until then.
    pub fn advance(&self, by: Duration) {
        let now = self.lock().now;
        self.set(now.after(by));
    }

    /// Sets the clock, on or back, as somebody may do with a machine's. Whoever sleeps wakes when it shows their time.
    pub fn set(&self, to: Timestamp) {
        let mut simulated = self.lock();
        simulated.now = to;
        let later = (Timestamp::from_unix_ms(to.unix_ms() + 1), 0);
        let still_asleep = simulated.sleepers.split_off(&later);
        for sleeper in std::mem::replace(&mut simulated.sleepers, still_asleep).into_values() {
            let _ = sleeper.send(());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Simulated> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        self.lock().now
    }

    fn sleep_until(&self, at: Timestamp) -> Sleep {
        let mut simulated = self.lock();
        if simulated.now >= at {
            return Box::pin(std::future::ready(()));
        }
        let (wake, woken) = oneshot::channel();
        simulated.count += 1;
        let key = (at, simulated.count);
        simulated.sleepers.insert(key, wake);
        Box::pin(async move {
            let _ = woken.await;
        })
    }
}
