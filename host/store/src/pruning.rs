//! Prunes whatever matches, a little at a time, so that whoever serves the store is not held up.

use std::time::{Duration, Instant};

use crate::error::StoreError;
use crate::upkeep::{Prunable, PruneFilter, Pruned, UpkeepStore};

/// The shortest rest between two batches. Lets other processes come to write: they ask for the lock from time to time.
const REST_MIN: Duration = Duration::from_millis(20);

/// How much is deleted at once, and how long the store is left alone then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrunePace {
    /// How many instances go in one transaction; at most [`LIST_LEN_MAX`](crate::LIST_LEN_MAX).
    pub batch: u32,
    /// How many times as long as a batch took the rest after it is.
    pub rest_factor: u32,
}

impl PrunePace {
    /// Half of the time at most: for somebody who waits for it.
    pub const BRISK: Self = Self { batch: 100, rest_factor: 1 };

    /// A twentieth of the time at most: in the background of a process that serves.
    pub const LOW: Self = Self { batch: 50, rest_factor: 19 };
}

/// Deletes every instance that matches, batch by batch, and tells of each: what was found and what went.
///
/// One pass over all instances by id, on a connection that reads; only deleting is the writer's work. There is no index by
/// time of end, which every instance would pay for when it ends.
///
/// # Errors
/// What the store says; what was told of before has gone.
pub async fn prune_all(
    store: &(impl UpkeepStore + ?Sized),
    filter: &PruneFilter,
    pace: PrunePace,
    mut on_batch: impl FnMut(&[Prunable], &Pruned),
) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let found = store.list_prunable(filter, after, pace.batch.max(1)).await?;
        let Some(last) = found.last() else { return Ok(()) };
        after = Some(last.id);
        let ids: Vec<_> = found.iter().map(|found| found.id).collect();
        let began = Instant::now();
        let pruned = store.prune(filter, &ids).await?;
        on_batch(&found, &pruned);
        tokio::time::sleep((began.elapsed() * pace.rest_factor).max(REST_MIN)).await;
    }
}
