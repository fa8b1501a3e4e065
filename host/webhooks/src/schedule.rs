//! When a delivery is tried again: later each time, and not all at once.
//!
//! Source: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>, the schedule that it
//! gives as an example.

use std::time::Duration;

use stepcell_model::time::Timestamp;
use stepcell_model::webhook::{DeliveryStatus, WebhookDelivery};

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// The waits after each attempt that failed; after the last one a delivery is dead. Ten attempts in some three and a half days.
pub const RETRY_DELAYS: [Duration; 9] = [
    Duration::from_secs(5),
    minutes(5),
    minutes(30),
    minutes(2 * 60),
    minutes(5 * 60),
    minutes(10 * 60),
    minutes(14 * 60),
    minutes(20 * 60),
    minutes(24 * 60),
];

/// The longest wait that an answer may ask for.
const RETRY_AFTER_MAX: Duration = minutes(24 * 60);

/// How much longer than its delay a wait is at most, as a part of it. Spreads what failed at the same time.
const JITTER_PARTS: u32 = 10;

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was taken.
    Taken {
        /// The HTTP status.
        status: u16,
    },
    /// Somebody answered, and did not take it.
    Refused {
        /// The HTTP status.
        status: u16,
        /// How long they want to be left alone.
        retry_after: Option<Duration>,
    },
    /// Somebody answered that nothing is taken there any more.
    Gone,
    /// Nobody answered, or not in order.
    Failed {
        /// Why.
        why: String,
    },
}

/// A delivery after an attempt.
pub(crate) fn after(delivery: &WebhookDelivery, outcome: &Outcome, now: Timestamp) -> WebhookDelivery {
    let next = WebhookDelivery { attempts: delivery.attempts + 1, last_error: None, ..delivery.clone() };
    match outcome {
        Outcome::Taken { status } => {
            let next = WebhookDelivery { last_status: Some(*status), ..next };
            ended(next, DeliveryStatus::Delivered, now)
        }
        Outcome::Gone => {
            let last_error = Some("it answered 410 Gone".to_owned());
            ended(WebhookDelivery { last_status: Some(410), last_error, ..next }, DeliveryStatus::Dead, now)
        }
        Outcome::Refused { status, retry_after } => {
            let last_error = Some(format!("it answered {status}"));
            again(WebhookDelivery { last_status: Some(*status), last_error, ..next }, *retry_after, now)
        }
        Outcome::Failed { why } => {
            again(WebhookDelivery { last_status: None, last_error: Some(why.clone()), ..next }, None, now)
        }
    }
}

fn ended(delivery: WebhookDelivery, status: DeliveryStatus, now: Timestamp) -> WebhookDelivery {
    WebhookDelivery { status, next_attempt_at: None, ended_at: Some(now), ..delivery }
}

fn again(delivery: WebhookDelivery, retry_after: Option<Duration>, now: Timestamp) -> WebhookDelivery {
    let Some(delay) = RETRY_DELAYS.get(delivery.attempts.saturating_sub(1) as usize) else {
        return ended(delivery, DeliveryStatus::Dead, now);
    };
    let wait = (*delay + jitter(&delivery, *delay)).max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX));
    WebhookDelivery { next_attempt_at: Some(now.after(wait)), ..delivery }
}

/// Up to a tenth of the delay, as the delivery's id has it: a random one, and the same whoever computes it.
fn jitter(delivery: &WebhookDelivery, delay: Duration) -> Duration {
    let drawn = delivery.id.as_uuid().as_bytes()[delivery.attempts as usize % 16];
    delay / JITTER_PARTS * u32::from(drawn) / u32::from(u8::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use stepcell_model::id::WebhookId;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

    fn delivery(index: u32) -> WebhookDelivery {
        let webhook: WebhookId = "01a20607-442f-722f-8252-1df4668eb21f".parse().unwrap();
        WebhookDelivery {
            id: webhook.delivery_of(1, index),
            webhook,
            position: 1,
            index,
            event_type: "ping".to_owned(),
            body: serde_json::json!({}).into(),
            status: DeliveryStatus::Pending,
            attempts: 0,
            next_attempt_at: Some(NOW),
            last_status: None,
            last_error: None,
            created_at: NOW,
            ended_at: None,
        }
    }

    fn refused(retry_after: Option<Duration>) -> Outcome {
        Outcome::Refused { status: 500, retry_after }
    }

    #[test]
    fn a_delivery_is_tried_ten_times_each_time_later_and_is_dead_then() {
        let mut now = NOW;
        let mut tried = delivery(0);
        for (attempt, delay) in (1..).zip(RETRY_DELAYS) {
            tried = after(&tried, &refused(None), now);
            let next = tried.next_attempt_at.unwrap();
            let wait = next.since(now);
            assert!(delay <= wait && wait <= delay + delay / JITTER_PARTS, "{attempt}: {wait:?}");
            assert_eq!((tried.attempts, tried.status), (attempt, DeliveryStatus::Pending));
            now = next;
        }

        tried = after(&tried, &Outcome::Failed { why: "nobody is there".to_owned() }, now);

        assert_eq!((tried.attempts, tried.status, tried.next_attempt_at), (10, DeliveryStatus::Dead, None));
        assert_eq!(tried.last_error.as_deref(), Some("nobody is there"));
    }

    #[test]
    fn what_fails_together_is_not_tried_again_together() {
        let waits: std::collections::BTreeSet<_> =
            (0..100).map(|index| after(&delivery(index), &refused(None), NOW).next_attempt_at).collect();

        assert!(waits.len() > 50, "{}", waits.len());
    }

    #[test]
    fn an_answer_may_ask_for_a_longer_wait_within_reason() {
        let wait = |asked| after(&delivery(0), &refused(Some(asked)), NOW).next_attempt_at.unwrap().since(NOW);

        assert_eq!(wait(minutes(3)), minutes(3));
        assert_eq!(wait(minutes(1_000_000)), RETRY_AFTER_MAX);
        assert!(wait(Duration::ZERO) >= RETRY_DELAYS[0]);
    }

    #[test]
    fn what_was_taken_or_has_nobody_any_more_is_not_tried_again() {
        let taken = after(&delivery(0), &Outcome::Taken { status: 204 }, NOW);
        let gone = after(&delivery(0), &Outcome::Gone, NOW);

        assert_eq!((taken.status, taken.last_status, taken.last_error), (DeliveryStatus::Delivered, Some(204), None));
        assert_eq!((gone.status, gone.last_status, gone.ended_at), (DeliveryStatus::Dead, Some(410), Some(NOW)));
    }
}
