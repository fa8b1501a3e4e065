//! What the engine counts, for whoever watches it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use std::collections::HashMap;

use serde_json::json;
use stepcell_engine::{AttemptClass, EventFilter, EventType, FeedStart};
use stepcell_model::definition::WorkflowDefinition;
use stepcell_model::status::WorkflowStatus;

use crate::kit::{Backend, TestHost, done, fails};

#[tokio::test(start_paused = true)]
async fn every_event_of_history_and_every_end_of_an_attempt_is_counted_once() {
    let host = TestHost::on(Backend::Memory).await;
    host.step("good", |_| done()).await;
    host.step("bad", |_| fails("broken", "it is broken")).await;
    for (name, component) in [("w", "good@1"), ("v", "bad@1")] {
        host.register(WorkflowDefinition::builder(name, "1.0.0").machine("a", component).build().unwrap()).await;
    }
    for (name, end) in
        [("w", WorkflowStatus::Completed), ("w", WorkflowStatus::Completed), ("v", WorkflowStatus::Failed)]
    {
        let id = host.start(name, json!({})).await;
        assert_eq!(host.settled(id).await.status, end);
    }

    let counts = host.engine.counts();

    let mut told = HashMap::<EventType, u64>::new();
    let mut feed = host.engine.events(EventFilter::default(), FeedStart::Beginning).await.unwrap();
    while let Some(entry) = feed.find_next().await.unwrap() {
        for event in entry.events {
            *told.entry(event.event_type()).or_default() += 1;
        }
    }
    for (event, count) in &counts.events {
        assert_eq!(*count, told.get(event).copied().unwrap_or_default(), "{event}");
    }
    let attempts: HashMap<_, _> = counts.attempts.iter().map(|(class, count)| (class.as_str(), *count)).collect();
    assert_eq!(attempts[AttemptClass::Succeeded.as_str()], 2);
    assert_eq!(attempts[AttemptClass::Failed.as_str()], 1);
    assert_eq!(attempts[AttemptClass::Ended.as_str()], 0);
    assert!(counts.commits >= 3 && counts.commits_refused == 0, "{counts:?}");
    assert!(counts.commits_by_class.is_sorted() && *counts.commits_by_class.last().unwrap() <= counts.commits);
    assert_eq!((counts.room_in_use, counts.room_waiting), (0, 0));
}
