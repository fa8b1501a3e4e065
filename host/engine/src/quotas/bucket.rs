//! How many starts there may be in a second: a bucket that fills up with time.

use std::time::Duration;

use stepcell_model::time::Timestamp;

/// What one start takes. Tokens are counted in thousandths, so that a millisecond fills in whole numbers.
const ONE: u64 = 1_000;

/// Holds as many tokens as a second gives, so that so many starts may come at once.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// Thousandths of a token, and when they were counted; none as long as nobody started.
    filled: Option<(u64, Timestamp)>,
}

impl Bucket {
    /// Takes a token, or says when there is one.
    pub(super) fn take(&mut self, per_second: u64, now: Timestamp) -> Result<(), Duration> {
        let full = per_second.saturating_mul(ONE);
        let tokens = match self.filled {
            None => full,
            Some((tokens, at)) => {
                let passed_ms = u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX);
                tokens.saturating_add(passed_ms.saturating_mul(per_second)).min(full)
            }
        };
        if tokens >= ONE {
            self.filled = Some((tokens - ONE, now));
            return Ok(());
        }
        self.filled = Some((tokens, now));
        // Where none may ever start, whoever waits for it waits long.
        let wait_ms = (ONE - tokens).checked_div(per_second).map_or(60_000, |ms| ms + 1);
        Err(Duration::from_millis(wait_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_a_second_at_once_and_then_as_time_goes() {
        let at = Timestamp::from_unix_ms;
        let mut bucket = Bucket::default();

        assert!((0..5).all(|_| bucket.take(5, at(0)).is_ok()));
        assert_eq!(bucket.take(5, at(0)), Err(Duration::from_millis(201)));
        assert_eq!(bucket.take(5, at(199)), Err(Duration::from_millis(2)));
        assert_eq!(bucket.take(5, at(200)), Ok(()));
        assert!((0..5).all(|_| bucket.take(5, at(60_000)).is_ok()));
        assert!(bucket.take(5, at(60_000)).is_err(), "no more than a second's worth is saved up");
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nobody_for_long_and_gives_nothing() {
        let at = Timestamp::from_unix_ms;
        let mut bucket = Bucket::default();
        assert!(bucket.take(1, at(10_000)).is_ok());

        assert!(bucket.take(1, at(0)).is_err());
        assert!(bucket.take(1, at(1_000)).is_ok());
    }

    #[test]
    fn a_limit_of_none_lets_none_start_and_a_huge_one_does_not_wrap() {
        let mut bucket = Bucket::default();

        assert_eq!(bucket.take(0, Timestamp::from_unix_ms(0)), Err(Duration::from_secs(60)));
        assert_eq!(Bucket::default().take(u64::MAX, Timestamp::from_unix_ms(0)), Ok(()));
    }
}
