//! Feeds of events: what they tell, from where, in which order, and whom they delay.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use stepcell_engine::{
    EngineError, EngineOptions, EventFeed, EventFilter, EventType, FeedStart, StartRequest, WorkflowEngine,
};
use stepcell_model::definition::WorkflowDefinition;
use stepcell_model::history::HistoryEntry;
use stepcell_model::id::InstanceId;
use stepcell_model::name::{TenantId, WorkflowName};
use stepcell_model::status::WorkflowStatus;
use stepcell_store::{SqliteOptions, SqliteStore, WorkflowStore};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::kit::{Answer, Backend, ScriptedRunner, TestHost, done};

const SOON: Duration = Duration::from_secs(20);

fn all() -> EventFilter {
    EventFilter::default()
}

/// Two steps, one after the other, in two workflows.
async fn two_workflows(host: &TestHost) {
    host.step("a", |_| done()).await;
    for name in ["w", "v"] {
        let definition = WorkflowDefinition::builder(name, "1.0.0").machine("a", "a@1").machine("b", "a@1");
        host.register(definition.edge("a", "b").build().unwrap()).await;
    }
}

async fn run_many(host: &TestHost, number: usize) -> Vec<InstanceId> {
    let mut ids = Vec::new();
    for n in 0..number {
        ids.push(host.start(["w", "v"][n % 2], json!({})).await);
    }
    for id in &ids {
        assert_eq!(host.settled(*id).await.status, WorkflowStatus::Completed);
    }
    ids
}

async fn opened(host: &TestHost, filter: EventFilter, start: FeedStart) -> EventFeed {
    host.engine.events(filter, start).await.unwrap()
}

/// Everything that a feed has to tell for now.
async fn rest(feed: &mut EventFeed) -> Vec<HistoryEntry> {
    let mut told = Vec::new();
    while let Some(entry) = feed.find_next().await.unwrap() {
        assert_eq!(feed.position(), entry.position);
        told.push(entry);
    }
    told
}

async fn next(feed: &mut EventFeed) -> HistoryEntry {
    timeout(SOON, feed.next()).await.expect("it is told").unwrap().expect("the engine is there")
}

/// The whole history, by another way than feeds go.
async fn history(host: &TestHost, ids: &[InstanceId]) -> Vec<HistoryEntry> {
    let mut entries = Vec::new();
    for id in ids {
        entries.extend(host.engine.store().list_history(*id, 0, 1_000).await.unwrap());
    }
    entries.sort_by_key(|entry| entry.position);
    entries
}

/// Notes what a handler is told.
#[derive(Clone, Default)]
struct Notes {
    positions: Arc<Mutex<Vec<u64>>>,
    changed: Arc<Notify>,
}

impl Notes {
    fn note(&self, entry: &HistoryEntry) -> usize {
        let mut positions = self.positions.lock().unwrap();
        positions.push(entry.position);
        self.changed.notify_one();
        positions.len()
    }

    /// Waits until that many were told, and answers with them.
    async fn told(&self, number: usize) -> Vec<u64> {
        let wait = async {
            loop {
                let positions = self.positions.lock().unwrap().clone();
                if positions.len() >= number {
                    return positions;
                }
                self.changed.notified().await;
            }
        };
        timeout(SOON, wait).await.expect("they are told")
    }
}

on_every_store! {
    async fn a_feed_tells_every_entry_once_in_the_order_of_the_commits(host: TestHost) {
        host.stores_each_step().await;
        two_workflows(&host).await;
        let mut live = opened(&host, all(), FeedStart::Now).await;

        let ids = run_many(&host, 60).await;

        let kept = history(&host, &ids).await;
        assert!(kept.len() > 200, "more than two pages: {}", kept.len());
        assert_eq!(rest(&mut live).await, kept);
        assert_eq!(rest(&mut opened(&host, all(), FeedStart::Beginning).await).await, kept);
        for id in ids {
            let numbers: Vec<_> = kept.iter().filter(|entry| entry.instance == id).map(|entry| entry.seq).collect();
            assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
        }
    }

    async fn a_feed_that_is_resumed_after_a_position_tells_exactly_the_rest(host: TestHost) {
        two_workflows(&host).await;
        let ids = run_many(&host, 3).await;
        let kept = history(&host, &ids).await;
        let of_one: Vec<_> = kept.iter().filter(|entry| entry.instance == ids[1]).cloned().collect();

        for position in 0..=kept.len() as u64 {
            let start = FeedStart::After(position);
            let is_after = |entry: &&HistoryEntry| entry.position > position;
            let expected: Vec<_> = kept.iter().filter(is_after).cloned().collect();
            assert_eq!(rest(&mut opened(&host, all(), start).await).await, expected);
            let expected: Vec<_> = of_one.iter().filter(is_after).cloned().collect();
            let one = EventFilter { instance: Some(ids[1]), ..all() };
            assert_eq!(rest(&mut opened(&host, one, start).await).await, expected);
        }
        assert!(rest(&mut opened(&host, all(), FeedStart::Now).await).await.is_empty());
    }

    async fn a_feed_tells_of_what_was_asked_for_alone(host: TestHost) {
        two_workflows(&host).await;
        let ids = run_many(&host, 4).await;
        let request = StartRequest::new(WorkflowName::new("w").unwrap());
        let tenant = TenantId::new("acme").unwrap();
        let request = StartRequest { tenant: Some(tenant.clone()), ..request };
        let of_tenant = host.engine.start_workflow(request).await.unwrap().identity.id;
        host.settled(of_tenant).await;

        let who = async |filter: EventFilter| {
            let told = rest(&mut opened(&host, filter, FeedStart::Beginning).await).await;
            assert!(told.iter().all(|entry| !entry.events.is_empty()));
            let mut who: Vec<_> = told.iter().map(|entry| entry.instance).collect();
            who.sort();
            who.dedup();
            who
        };
        let workflow = Some(WorkflowName::new("v").unwrap());

        assert_eq!(who(EventFilter { instance: Some(ids[2]), ..all() }).await, [ids[2]]);
        assert_eq!(who(EventFilter { workflow: workflow.clone(), ..all() }).await, [ids[1], ids[3]]);
        assert_eq!(who(EventFilter { tenant: Some(tenant.clone()), ..all() }).await, [of_tenant]);
        assert!(who(EventFilter { workflow, tenant: Some(tenant.clone()), ..all() }).await.is_empty());
        assert!(who(EventFilter { instance: Some(ids[0]), tenant: Some(tenant), ..all() }).await.is_empty());
    }

    async fn a_feed_of_some_types_passes_over_the_rest_and_resumes_after_it(host: TestHost) {
        two_workflows(&host).await;
        let id = host.run("w", json!({})).await.identity.id;
        let types = vec![EventType::StepCompleted, EventType::WorkflowCompleted];
        let mut feed = opened(&host, EventFilter { types, ..all() }, FeedStart::Beginning).await;

        let told = rest_of_types(&mut feed).await;

        assert_eq!(told, ["step_completed", "step_completed", "workflow_completed"]);
        let last = history(&host, &[id]).await.last().unwrap().position;
        assert_eq!(feed.position(), last);
        let types = vec![EventType::WorkflowStarted];
        let mut feed = opened(&host, EventFilter { types, ..all() }, FeedStart::Beginning).await;
        assert_eq!(rest_of_types(&mut feed).await, ["workflow_started"]);
        assert_eq!(feed.position(), last);
    }

    async fn feeds_that_nobody_reads_delay_nothing_and_miss_nothing(host: TestHost) {
        two_workflows(&host).await;
        let mut feeds = Vec::new();
        for _ in 0..20 {
            feeds.push(opened(&host, all(), FeedStart::Now).await);
        }
        let _stuck = host
            .engine
            .on_event(all(), FeedStart::Now, |_| std::future::pending::<Result<(), String>>())
            .await
            .unwrap();

        let ids = run_many(&host, 60).await;

        let kept = history(&host, &ids).await;
        for feed in &mut feeds {
            assert_eq!(rest(feed).await, kept);
        }
    }

    async fn a_feed_whose_calls_are_dropped_half_way_misses_nothing(host: TestHost) {
        host.stores_each_step().await;
        two_workflows(&host).await;
        let ids = run_many(&host, 60).await;
        let kept = history(&host, &ids).await;
        let workflow = Some(WorkflowName::new("w").unwrap());
        let mut feed = opened(&host, EventFilter { workflow: workflow.clone(), ..all() }, FeedStart::Beginning).await;
        let of_w: Vec<_> = ids.iter().step_by(2).collect();
        let expected: Vec<_> = kept.into_iter().filter(|entry| of_w.contains(&&entry.instance)).collect();

        let mut told = Vec::new();
        let (mut patience, mut dropped) = (0, 0);
        while told.len() < expected.len() {
            tokio::select! {
                biased;
                entry = feed.next() => {
                    told.push(entry.unwrap().unwrap());
                    patience = 0;
                }
                () = turns(patience) => {
                    dropped += 1;
                    patience = 2 * patience + 1;
                }
            }
        }

        assert_eq!(told, expected);
        assert!(dropped > 0);
    }

    async fn a_handler_that_fails_or_panics_is_told_the_next_entry_and_no_entry_twice(host: TestHost) {
        two_workflows(&host).await;
        let notes = Notes::default();
        let noted = notes.clone();
        let handler = move |entry: HistoryEntry| {
            let number = noted.note(&entry);
            assert_ne!(number, 1, "the handler panics before it returns a future");
            async move {
                assert_ne!(number, 2, "the handler panics");
                if number == 3 { Err("the handler fails") } else { Ok(()) }
            }
        };
        let listening = host.engine.on_event(all(), FeedStart::Beginning, handler).await.unwrap();

        let ids = run_many(&host, 3).await;

        let positions: Vec<_> = history(&host, &ids).await.iter().map(|entry| entry.position).collect();
        assert_eq!(notes.told(positions.len()).await, positions);
        assert_eq!(listening.stop().await, *positions.last().unwrap());
    }

    async fn a_handler_that_was_stopped_goes_on_where_it_stood(host: TestHost) {
        two_workflows(&host).await;
        let (notes, hold) = (Notes::default(), Arc::new(Notify::new()));
        let handler = {
            let (notes, hold) = (notes.clone(), Arc::clone(&hold));
            move |entry: HistoryEntry| {
                let (number, hold) = (notes.note(&entry), Arc::clone(&hold));
                async move {
                    if number == 2 {
                        hold.notified().await;
                    }
                    Ok::<_, String>(())
                }
            }
        };
        let ids = run_many(&host, 3).await;
        let kept = history(&host, &ids).await;

        let listening = host.engine.on_event(all(), FeedStart::Beginning, handler.clone()).await.unwrap();
        notes.told(2).await;
        assert_eq!(listening.position(), 1);
        let mut stopping = std::pin::pin!(listening.stop());
        tokio::select! {
            biased;
            _ = &mut stopping => panic!("the handler still holds an entry"),
            () = std::future::ready(()) => {}
        }
        hold.notify_one();
        let position = timeout(SOON, stopping).await.unwrap();
        assert_eq!(position, 2);
        let listening = host.engine.on_event(all(), FeedStart::After(position), handler).await.unwrap();

        assert_eq!(notes.told(kept.len()).await, (1..=kept.len() as u64).collect::<Vec<_>>());
        drop(listening);
    }

    async fn an_instance_or_a_position_that_is_not_there_is_refused(host: TestHost) {
        two_workflows(&host).await;
        host.run("w", json!({})).await;
        let last = host.engine.store().last_position().await.unwrap();
        let nobody = InstanceId::from_uuid(uuid::Uuid::nil());

        let instance = host.engine.events(EventFilter { instance: Some(nobody), ..all() }, FeedStart::Now).await;
        let position = host.engine.events(all(), FeedStart::After(last + 1)).await;

        assert!(matches!(instance, Err(EngineError::InstanceNotFound { id }) if id == nobody));
        let Err(EngineError::PositionNotFound { position, last: told }) = position else { panic!("{position:?}") };
        assert_eq!((position, told), (last + 1, last));
    }
}

async fn rest_of_types(feed: &mut EventFeed) -> Vec<&'static str> {
    let mut told = Vec::new();
    while let Some(entry) = feed.find_next().await.unwrap() {
        told.extend(entry.events.iter().map(|event| event.event_type().as_str()));
    }
    told
}

/// Lets others go first that many times.
async fn turns(number: usize) {
    for _ in 0..number {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_feed_tells_what_another_process_commits() {
    let host = TestHost::on(Backend::Sqlite).await;
    host.step("a", |_| Answer::Never).await;
    host.register(WorkflowDefinition::builder("w", "1.0.0").machine("a", "a@1").build().unwrap()).await;
    let id = host.start("w", json!({})).await;
    host.called("a", 1).await;
    let visitor = host.visitor();
    let types = vec![EventType::WorkflowStarted, EventType::WorkflowCanceled];
    let filter = EventFilter { types, ..all() };
    let mut of_driver = host.engine.events(filter.clone(), FeedStart::Now).await.unwrap();
    let mut of_visitor = visitor.events(filter, FeedStart::Now).await.unwrap();

    visitor.cancel_workflow(id, "not needed").await.unwrap();
    let started = host.start("w", json!({})).await;

    for feed in [&mut of_driver, &mut of_visitor] {
        let told = [next(feed).await, next(feed).await];
        assert_eq!(told.map(|entry| entry.instance), [id, started]);
    }
}

/// The time of tokio is simulated here: it goes on only while everybody waits.
#[tokio::test(start_paused = true)]
async fn a_commit_of_this_process_is_told_without_a_wait() {
    let host = TestHost::on(Backend::Memory).await;
    two_workflows(&host).await;
    let mut feed = host.told().await;
    let waiting = tokio::spawn(async move { next(&mut feed).await });
    turns(10).await;
    let before = Instant::now();

    let id = host.start("w", json!({})).await;

    assert_eq!(waiting.await.unwrap().instance, id);
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_feed_tells_the_rest_and_ends_when_the_engine_is_gone() {
    let host = TestHost::on(Backend::Memory).await;
    two_workflows(&host).await;
    let mut feed = host.told().await;
    let id = host.run("w", json!({})).await.identity.id;
    let kept = history(&host, &[id]).await;

    drop(host);

    for entry in &kept {
        assert_eq!(next(&mut feed).await, *entry);
    }
    assert!(timeout(SOON, feed.next()).await.expect("it ends").unwrap().is_none());
}

#[tokio::test]
async fn a_feed_ends_when_its_store_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(folder.path().join("test.db"), SqliteOptions::default()).unwrap());
    let runner = Arc::new(ScriptedRunner::default());
    let engine = WorkflowEngine::new(Arc::clone(&store) as Arc<dyn WorkflowStore>, runner, EngineOptions::default());
    let mut feed = engine.events(all(), FeedStart::Beginning).await.unwrap();
    let waiting = tokio::spawn(async move { feed.next().await });

    store.close().await;

    assert!(timeout(SOON, waiting).await.expect("it ends").unwrap().unwrap().is_none());
}
