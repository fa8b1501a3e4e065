//! Room under waiting, giving up and giving back.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use futures::FutureExt as _;

use super::*;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn now(entered: Entered) -> Permit {
    match entered {
        Entered::Now(permit) => permit,
        Entered::Later(_) => panic!("there is room"),
    }
}

fn later(entered: Entered) -> Waiting {
    match entered {
        Entered::Now(_) => panic!("there is no room"),
        Entered::Later(waiting) => waiting,
    }
}

#[tokio::test]
async fn a_permit_that_ends_or_is_dropped_lets_the_next_one_in() {
    let room = Room::new(1);
    let first = now(room.enter(None, None));
    let second = later(room.enter(None, None));
    let third = later(room.enter(None, None));

    first.end(&AttemptTrace::default());
    let second = second.permit().await;
    drop(second);

    third.permit().await.end(&AttemptTrace::default());
    assert!(matches!(room.enter(None, None), Entered::Now(_)));
}

#[tokio::test]
async fn whoever_stops_waiting_leaves_the_queue_even_with_a_permit_on_the_way() {
    let room = Room::new(1);
    let first = now(room.enter(None, None));
    let gone = later(room.enter(None, None));
    let gone_late = later(room.enter(None, None));
    let last = later(room.enter(None, None));

    drop(gone);
    first.end(&AttemptTrace::default());
    drop(gone_late);

    assert!(last.permit().now_or_never().is_some());
    assert_eq!(room.lock().ledger.known(), 0);
    assert!(room.lock().waiters.is_empty());
}

#[tokio::test]
async fn a_limit_of_the_operator_may_change_while_the_room_is_open() {
    let room = Room::new(8);
    let tenant = tenant("acme");
    let _first = now(room.enter(Some(&tenant), Some(1)));
    let second = later(room.enter(Some(&tenant), Some(1)));

    let third = later(room.enter(Some(&tenant), Some(2)));

    assert!(second.permit().now_or_never().is_some());
    drop(third);
}

#[tokio::test]
async fn a_tenant_that_holds_nothing_begins_at_once_beside_one_that_wants_everything() {
    let room = Room::new(8);
    let greedy = tenant("greedy");
    let held: Vec<_> = (0..50).map(|_| room.enter(Some(&greedy), None)).collect();

    assert!(matches!(room.enter(Some(&tenant("modest")), None), Entered::Now(_)));
    assert_eq!(held.iter().filter(|entered| matches!(entered, Entered::Now(_))).count(), 4);
}
