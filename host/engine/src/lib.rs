//! Moves instances: registry, scheduler, executor, retries, recovery and events.
