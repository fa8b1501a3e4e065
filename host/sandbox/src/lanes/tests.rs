//! The lanes with made-up attempts; those with real components are in `tests/sandbox/lanes.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use futures::future::{join_all, pending};
use tokio::sync::Notify;

use super::*;

fn component(name: &str) -> ComponentDigest {
    ComponentDigest::of(name.as_bytes())
}

fn compute(length: Duration) {
    let began = thread_cpu();
    while thread_cpu().saturating_sub(began) < length {
        std::hint::spin_loop();
    }
}

/// Computes for some ticks, and gives way after each.
async fn computes(ticks: u32) {
    for _ in 0..ticks {
        compute(TICK);
        tokio::task::yield_now().await;
    }
}

/// Computes until it is told to end, and gives way at each tick.
async fn computes_until(end: Arc<AtomicBool>) {
    while !end.load(Ordering::SeqCst) {
        computes(1).await;
    }
}

/// Tells when it is dropped.
struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

fn is_heavy() -> bool {
    thread::current().name() == Some("stepcell-heavy")
}

#[tokio::test]
async fn a_short_attempt_never_leaves_its_thread() {
    let lanes = Lanes::start().unwrap();

    let short = lanes.run(None, component("short"), async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        is_heavy()
    });

    assert!(!short.await);
}

#[tokio::test]
async fn a_long_attempt_goes_on_in_the_heavy_lane_and_the_next_of_its_kind_begins_there() {
    let lanes = Lanes::start().unwrap();
    let long = || async {
        let at_first = is_heavy();
        computes(5).await;
        (at_first, is_heavy())
    };

    assert_eq!(lanes.run(None, component("long"), long()).await, (false, true));
    assert_eq!(lanes.run(None, component("long"), long()).await, (true, true));
    assert_eq!(lanes.run(None, component("another"), long()).await, (false, true));
}

#[tokio::test]
async fn an_attempt_that_waits_in_the_heavy_lane_goes_on_there_when_its_time_has_come() {
    let lanes = Lanes::start().unwrap();

    let woken = lanes.run(None, component("long"), async {
        computes(3).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        is_heavy()
    });

    assert!(woken.await);
}

#[tokio::test]
async fn whoever_called_works_on_while_more_attempts_compute_than_there_are_processors() {
    let lanes = Arc::new(Lanes::start().unwrap());
    let end = Arc::new(AtomicBool::new(false));
    let long: Vec<_> = (0..20)
        .map(|_| {
            let (lanes, end) = (Arc::clone(&lanes), Arc::clone(&end));
            tokio::spawn(async move { lanes.run(None, component("long"), computes_until(end)).await })
        })
        .collect();

    // On the one thread that all of them were called on.
    for _ in 0..100 {
        assert!(!lanes.run(None, component("short"), async { is_heavy() }).await);
    }
    end.store(true, Ordering::SeqCst);

    for ended in join_all(long).await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn dropping_an_attempt_that_computes_waits_or_stands_in_line_drops_all_of_it() {
    let lanes = HeavyLane::start(1).unwrap();
    let (gone, begun) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, guard) = (Arc::clone(&begun), Dropped(Arc::clone(&gone)));
    let computing = lanes.run(
        None,
        Box::pin(async move {
            let _guard = guard;
            told.notify_one();
            computes_until(Arc::default()).await;
        }),
    );
    begun.notified().await;
    let guard = Dropped(Arc::clone(&gone));
    let in_line = lanes.run(
        None,
        Box::pin(async move {
            let _guard = guard;
            pending::<()>().await;
        }),
    );

    drop(in_line);
    gone.notified().await;
    drop(computing);
    gone.notified().await;
    let (told, guard) = (Arc::clone(&begun), Dropped(Arc::clone(&gone)));
    let waiting = lanes.run(
        None,
        Box::pin(async move {
            let _guard = guard;
            told.notify_one();
            pending::<()>().await;
        }),
    );
    begun.notified().await;
    drop(waiting);
    gone.notified().await;
}

#[tokio::test]
async fn an_attempt_that_panics_costs_the_lane_nothing() {
    let lanes = HeavyLane::start(1).unwrap();
    let broken = lanes.run(None, Box::pin(async { panic!("told to") }));
    let (teller, told) = oneshot::channel();

    let fine = lanes.run(None, Box::pin(async { teller.send(is_heavy()).unwrap() }));

    assert!(told.await.unwrap());
    drop((broken, fine));
}

#[tokio::test]
async fn nothing_is_left_of_a_lane_that_is_dropped() {
    let lane = HeavyLane::start(3).unwrap();
    let ended = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let ended = Arc::clone(&ended);
            lane.run(
                None,
                Box::pin(async move {
                    computes(1).await;
                    ended.fetch_add(1, Ordering::SeqCst);
                    pending::<()>().await;
                }),
            )
        })
        .collect();
    while ended.load(Ordering::SeqCst) < 10 {
        tokio::task::yield_now().await;
    }
    let shared = lane.shared_by();

    drop(tasks);
    drop(lane);

    assert!(shared.upgrade().is_none(), "each thread holds it as long as it lives");
}
