//! What boards hold and let go of, and that feeds tell the same whatever they do.

use std::time::Duration;

use proptest::prelude::*;
use stepcell_model::event_type::EventType;
use stepcell_model::history::{Event, HistoryEntry};
use stepcell_model::transition::Transition;
use stepcell_store::MemoryStore;
use stepcell_store::conformance::fixture::{after, instance, register, start_as, step, tenant, workflow};

use super::*;
use crate::events::{EventFeed, EventFilter};

/// So small that slow feeds fall off their boards all the time.
const ROWS_LEN_SMALL: usize = 3;

/// A store, its boards, and what was committed.
struct World {
    store: Arc<dyn WorkflowStore>,
    live: Arc<Live>,
    committed: watch::Sender<()>,
    last: HashMap<u128, Transition>,
    kept: Vec<HistoryRow>,
}

impl World {
    async fn new(rows_len_max: usize) -> Self {
        let store: Arc<dyn WorkflowStore> = Arc::new(MemoryStore::new());
        register(&store).await.unwrap();
        let live = Arc::new(Live { rows_len_max, ..Live::new(Arc::clone(&store)) });
        Self { store, live, committed: watch::Sender::new(()), last: HashMap::new(), kept: Vec::new() }
    }

    /// The next transition of that instance: odd ones are acme's, every third is bolt's, others nobody's.
    async fn commit(&mut self, number: u128, reason: &str) {
        let owner = owner_of(number);
        let mut next = self
            .last
            .get(&number)
            .map_or_else(|| start_as(number, |identity| identity.tenant = owner.map(tenant)), after);
        let parked = Event::StepParked {
            execution: stepcell_model::id::ExecutionNumber(1),
            step: step("a"),
            reason: reason.to_owned(),
        };
        next.events = if next.seq.is_multiple_of(2) { vec![parked, Event::WorkflowWaiting] } else { vec![parked] };
        self.last.insert(number, next.clone());
        let (seq, at, events) = (next.seq, next.at, next.events.clone());
        let position = self.store.commit(next).await.unwrap().position;
        let entry = HistoryEntry { position, instance: instance(number), seq, at, events };
        self.kept.push(HistoryRow { entry, tenant: owner.map(tenant), workflow: workflow("expense") });
        self.committed.send_replace(());
    }

    fn feed(&self, filter: EventFilter, position: u64) -> EventFeed {
        EventFeed {
            store: Arc::clone(&self.store),
            live: Arc::clone(&self.live),
            committed: self.committed.subscribe(),
            types: filter.types.clone().into(),
            rows: filter.rows().into(),
            position,
            up_to: position,
            page: VecDeque::new(),
            following: None,
        }
    }

    fn expected(&self, filter: &EventFilter, position: u64) -> Vec<HistoryRow> {
        let rows = filter.clone().rows();
        let mut expected: Vec<_> =
            self.kept.iter().filter(|row| row.entry.position > position && rows.fits(row)).cloned().collect();
        let wants = |event: &Event| filter.types.is_empty() || filter.types.contains(&event.event_type());
        expected.iter_mut().for_each(|row| row.entry.events.retain(wants));
        expected.retain(|row| !row.entry.events.is_empty());
        expected
    }
}

fn owner_of(number: u128) -> Option<&'static str> {
    match number % 3 {
        0 => Some("bolt"),
        1 => Some("acme"),
        _ => None,
    }
}

async fn turns(number: usize) {
    for _ in 0..number {
        tokio::task::yield_now().await;
    }
}

/// Lets a feed wait for what comes next for that many turns; what it then tells.
async fn next_within(feed: &mut EventFeed, patience: usize) -> Option<HistoryRow> {
    tokio::select! {
        biased;
        row = feed.next_row() => Some(row.unwrap().expect("the engine is there")),
        () = turns(patience) => None,
    }
}

async fn rest(feed: &mut EventFeed) -> Vec<HistoryRow> {
    let mut told = Vec::new();
    while let Some(row) = feed.find_next_row().await.unwrap() {
        told.push(row);
    }
    told
}

#[derive(Clone, Debug)]
enum Act {
    Commit(u128),
    Open(EventFilter, u64),
    Wait { feed: usize, times: usize, patience: usize },
    Look { feed: usize },
    Close { feed: usize },
    Turns(usize),
}

fn filters() -> impl Strategy<Value = EventFilter> {
    let instance = proptest::option::weighted(0.3, (1..6_u128).prop_map(instance));
    let tenant = proptest::option::of(prop_oneof![Just(tenant("acme")), Just(tenant("bolt"))]);
    let workflow = proptest::option::weighted(0.2, prop_oneof![Just(workflow("expense")), Just(workflow("other"))]);
    let types = prop_oneof![
        Just(vec![]),
        Just(vec![EventType::WorkflowWaiting]),
        Just(vec![EventType::StepParked, EventType::WorkflowFailed])
    ];
    (instance, workflow, tenant, types).prop_map(|(instance, workflow, tenant, types)| EventFilter {
        instance,
        workflow,
        tenant,
        types,
    })
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        8 => (1..6_u128).prop_map(Act::Commit),
        2 => (filters(), 0..8_u64).prop_map(|(filter, back)| Act::Open(filter, back)),
        4 => (0..8_usize, 1..6_usize, 0..6_usize).prop_map(|(feed, times, patience)| Act::Wait { feed, times, patience }),
        1 => (0..8_usize).prop_map(|feed| Act::Look { feed }),
        1 => (0..8_usize).prop_map(|feed| Act::Close { feed }),
        2 => (1..8_usize).prop_map(Act::Turns),
    ];
    proptest::collection::vec(act, 1..120)
}

/// A feed that somebody reads, what it shall tell, and what it told.
struct Reader {
    feed: EventFeed,
    filter: EventFilter,
    start: u64,
    told: Vec<HistoryRow>,
}

async fn play(acts: Vec<Act>) {
    let mut world = World::new(ROWS_LEN_SMALL).await;
    let mut readers: Vec<Reader> = Vec::new();
    for act in acts {
        match act {
            Act::Commit(number) => world.commit(number, "held back").await,
            Act::Open(filter, back) => {
                let start = (world.kept.len() as u64).saturating_sub(back);
                readers.push(Reader { feed: world.feed(filter.clone(), start), filter, start, told: Vec::new() });
            }
            Act::Wait { feed, times, patience } => {
                let Some(reader) = readers.get_mut(feed) else { continue };
                for _ in 0..times {
                    reader.told.extend(next_within(&mut reader.feed, patience).await);
                }
            }
            Act::Look { feed } => {
                let Some(reader) = readers.get_mut(feed) else { continue };
                reader.told.extend(rest(&mut reader.feed).await);
                assert_eq!(reader.told, world.expected(&reader.filter, reader.start), "all that there is is told");
            }
            Act::Close { feed } if feed < readers.len() => drop(readers.remove(feed)),
            Act::Close { .. } => {}
            Act::Turns(number) => turns(number).await,
        }
        assert!(world.live.state().rows.len() <= ROWS_LEN_SMALL);
    }
    for mut reader in readers {
        let expected = world.expected(&reader.filter, reader.start);
        while reader.told.len() < expected.len() {
            reader.told.push(reader.feed.next_row().await.unwrap().expect("the engine is there"));
        }
        assert_eq!(reader.told, expected);
        assert_eq!(next_within(&mut reader.feed, 3).await, None);
    }
}

proptest! {
    #[test]
    fn feeds_tell_exactly_what_they_were_asked_for_however_slow_they_are(acts in acts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(acts));
    }
}

#[tokio::test(start_paused = true)]
async fn the_task_that_reads_begins_with_the_first_feed_that_waits_and_ends_with_the_last() {
    let mut world = World::new(ROWS_LEN_MAX).await;
    let mut first = world.feed(EventFilter::default(), 0);
    assert!(world.live.state().reading.is_none());
    assert_eq!(next_within(&mut first, 5).await, None);
    let mut second = world.feed(EventFilter { instance: Some(instance(2)), ..EventFilter::default() }, 0);
    assert_eq!(next_within(&mut second, 5).await, None);
    assert_eq!(world.live.state().tasks, 1, "one reads for both");

    drop(first);
    world.commit(2, "held back").await;
    assert!(next_within(&mut second, 9).await.is_some());
    drop(second);
    turns(5).await;
    assert!(world.live.state().reading.is_none());
    assert!(world.live.state().rows.is_empty());

    let mut third = world.feed(EventFilter::default(), 0);
    assert_eq!(rest(&mut third).await.len(), 1);
    assert_eq!(next_within(&mut third, 5).await, None);
    assert_eq!(world.live.state().tasks, 2);
}

#[tokio::test(start_paused = true)]
async fn a_feed_is_not_woken_by_what_happens_to_others_and_their_rows_are_not_kept_for_it() {
    let mut world = World::new(ROWS_LEN_MAX).await;
    let mut feed = world.feed(EventFilter { instance: Some(instance(1)), ..EventFilter::default() }, 0);
    assert_eq!(next_within(&mut feed, 5).await, None);

    for _ in 0..50 {
        world.commit(2, "held back").await;
    }
    turns(20).await;

    assert_eq!(world.live.state().position, 50, "they were read");
    assert!(world.live.state().rows.is_empty(), "they were not kept");
    assert!(!feed.following.as_ref().unwrap().news.has_changed().unwrap(), "it was not woken");
    world.commit(1, "held back").await;
    assert_eq!(next_within(&mut feed, 9).await.unwrap().entry.position, 51);
}

#[tokio::test(start_paused = true)]
async fn boards_hold_no_more_than_so_many_bytes_and_who_falls_off_reads_the_store() {
    let mut world = World::new(ROWS_LEN_MAX).await;
    let mut feed = world.feed(EventFilter::default(), 0);
    assert_eq!(next_within(&mut feed, 5).await, None);

    let reason = "x".repeat(1 << 20);
    for _ in 0..12 {
        world.commit(1, &reason).await;
        turns(5).await;
    }

    assert_eq!(world.live.state().rows.len(), 7, "of a mebibyte each, and a little");
    assert!(world.live.state().len_bytes <= ROWS_LEN_BYTES_MAX);
    assert!(matches!(feed.following.as_ref().unwrap().find_after(feed.position()), Found::Behind));
    for row in world.kept.clone() {
        assert_eq!(next_within(&mut feed, 9).await, Some(row));
    }
    assert_eq!(next_within(&mut feed, 5).await, None);
}

#[tokio::test(start_paused = true)]
async fn what_other_processes_commit_is_told_after_a_while() {
    let mut world = World::new(ROWS_LEN_MAX).await;
    let mut feed = world.feed(EventFilter::default(), 0);
    assert_eq!(next_within(&mut feed, 5).await, None);
    let of_engine = std::mem::replace(&mut world.committed, watch::Sender::new(()));

    world.commit(1, "held back").await;

    let told = tokio::time::timeout(2 * LOOK_INTERVAL, feed.next_row()).await.expect("it is told").unwrap();
    assert_eq!(told, world.kept.first().cloned());
    drop(of_engine);
}

#[tokio::test(start_paused = true)]
async fn feeds_go_on_when_the_runtime_of_the_task_that_read_for_them_is_gone() {
    let mut world = World::new(ROWS_LEN_MAX).await;
    let mut feed = world.feed(EventFilter::default(), 0);
    let other = std::thread::scope(|scope| {
        let elsewhere = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(next_within(&mut feed, 5))
        });
        elsewhere.join().unwrap()
    });
    assert_eq!(other, None);
    assert!(world.live.state().reading.is_none(), "it went with its runtime");

    world.commit(1, "held back").await;

    let told = tokio::time::timeout(Duration::from_secs(20), feed.next_row()).await.expect("it is told").unwrap();
    assert_eq!(told, world.kept.first().cloned());
}

#[test]
fn a_feed_that_waits_holds_next_to_nothing() {
    assert!(size_of::<EventFeed>() <= 192, "{}", size_of::<EventFeed>());
    assert!(size_of::<HistoryFilter>() <= 64, "{}", size_of::<HistoryFilter>());
}
