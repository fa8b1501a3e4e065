//! The cases of retry delays, as arithmetic.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use stepcell_model::definition::{Jitter, RetryPolicy};
use stepcell_model::time::{Span, Timestamp};

const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

fn wait_ms(policy: &RetryPolicy, attempt: u32, spread: f64, at_least_ms: u64) -> u128 {
    policy.retry_at(NOW, attempt, spread, Duration::from_millis(at_least_ms)).since(NOW).as_millis()
}

fn policy(jitter: Jitter) -> RetryPolicy {
    RetryPolicy {
        max_attempts: 10,
        initial_delay: Span::new(Duration::from_secs(1)),
        backoff: 2.0,
        max_delay: Span::new(Duration::from_secs(30)),
        jitter,
    }
}

#[test]
fn delays_grow_by_the_backoff_up_to_the_longest() {
    let waits: Vec<_> = (1..=7).map(|attempt| wait_ms(&policy(Jitter::None), attempt, 0.5, 0)).collect();

    assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
}

#[test]
fn full_jitter_takes_a_part_of_the_delay_and_never_more_than_the_whole() {
    for (spread, wait) in [(0.0, 0), (0.25, 1_000), (1.0, 4_000), (-1.0, 0), (7.0, 4_000), (f64::NAN, 30_000)] {
        let waited = wait_ms(&policy(Jitter::Full), 3, spread, 0);
        assert!(waited == wait || spread.is_nan() && waited <= wait, "{spread}: {waited}");
    }
}

#[test]
fn what_the_step_asked_for_is_the_least_wait_and_may_pass_the_longest() {
    assert_eq!(wait_ms(&policy(Jitter::Full), 1, 0.0, 45_000), 45_000);
    assert_eq!(wait_ms(&policy(Jitter::None), 3, 0.0, 100), 4_000);
}

#[test]
fn the_largest_policies_stay_in_bounds() {
    let steep = RetryPolicy { backoff: 1_000.0, ..policy(Jitter::None) };

    assert_eq!(wait_ms(&steep, u32::MAX, 1.0, 0), 30_000);
}
