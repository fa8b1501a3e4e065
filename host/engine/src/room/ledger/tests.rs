//! Who gets room next, held against random tenants and costs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What a step costs that does next to nothing.
const SMALL: Cost = Cost::of(100, 1_000, 0);

/// What a step costs that computes for a second.
const LARGE: Cost = Cost::of(1_000_000, 2_000_000, 0);

fn tenant(name: &str) -> Holder {
    Some(TenantId::new(name).unwrap())
}

fn enter(ledger: &mut Ledger, name: &str, times: usize) {
    for _ in 0..times {
        ledger.enter(&tenant(name), None);
    }
}

fn admit_all(ledger: &mut Ledger) -> Vec<Seat> {
    std::iter::from_fn(|| ledger.admit()).map(|(_, seat)| seat).collect()
}

fn count(seats: &[Seat], name: &str) -> usize {
    seats.iter().filter(|seat| seat.holder == tenant(name)).count()
}

/// Lets a tenant be known for what its attempts cost; somebody else keeps the room from being forgotten.
fn make_known(ledger: &mut Ledger, name: &str, cost: Cost) {
    enter(ledger, name, 1);
    let (_, seat) = ledger.admit().unwrap();
    assert_eq!(seat.holder, tenant(name));
    ledger.release(seat, cost);
}

#[test]
fn where_there_are_no_tenants_all_of_the_room_is_for_everybody() {
    let mut ledger = Ledger::new(8);
    for _ in 0..20 {
        ledger.enter(&None, None);
    }

    assert_eq!(admit_all(&mut ledger).len(), 8);
}

#[test]
fn a_tenant_alone_has_half_of_the_room_and_others_begin_at_once() {
    let mut ledger = Ledger::new(32);
    enter(&mut ledger, "alone", 100);

    assert_eq!(admit_all(&mut ledger).len(), 16);
    enter(&mut ledger, "other", 1);
    assert_eq!(count(&admit_all(&mut ledger), "other"), 1);
}

#[test]
fn ten_that_are_not_known_yet_leave_room_for_somebody_else() {
    let mut ledger = Ledger::new(32);
    for number in 0..10 {
        enter(&mut ledger, &format!("greedy-{number}"), 100);
        admit_all(&mut ledger);
    }

    enter(&mut ledger, "modest", 1);

    assert_eq!(count(&admit_all(&mut ledger), "modest"), 1);
}

#[test]
fn those_who_are_known_for_long_attempts_never_have_the_reserve() {
    let mut ledger = Ledger::new(32);
    enter(&mut ledger, "here", 1);
    let _here = admit_all(&mut ledger);
    for number in 0..40 {
        make_known(&mut ledger, &format!("greedy-{number}"), LARGE);
    }
    for number in 0..40 {
        enter(&mut ledger, &format!("greedy-{number}"), 100);
    }
    assert_eq!(admit_all(&mut ledger).len() + 1, 24);

    for number in 0..8 {
        enter(&mut ledger, &format!("modest-{number}"), 5);
    }

    let begun = admit_all(&mut ledger);
    assert_eq!(begun.len(), 8);
    assert!((0..8).all(|number| count(&begun, &format!("modest-{number}")) == 1), "{begun:?}");
}

#[test]
fn an_operators_limit_holds_whether_it_is_less_or_more_than_the_share() {
    for limit in [0, 1, 3, 7] {
        let mut ledger = Ledger::new(32);
        for _ in 0..20 {
            ledger.enter(&tenant("limited"), Some(limit));
        }

        assert_eq!(admit_all(&mut ledger).len(), limit.max(1));
    }
}

#[test]
fn a_tenant_is_served_in_the_order_in_which_it_came() {
    let mut ledger = Ledger::new(1);
    let came: Vec<_> = (0..5).map(|_| ledger.enter(&tenant("a"), None)).collect();

    let mut went = Vec::new();
    while let Some((ticket, seat)) = ledger.admit() {
        went.push(ticket);
        ledger.release(seat, SMALL);
    }

    assert_eq!(went, came);
}

#[test]
fn whoever_sleeps_in_the_room_pays_for_it() {
    let mut ledger = Ledger::new(1);
    enter(&mut ledger, "sleeper", 100);
    enter(&mut ledger, "worker", 100);

    let mut begun = BTreeMap::<_, u32>::new();
    for _ in 0..50 {
        let (_, seat) = ledger.admit().unwrap();
        *begun.entry(seat.holder.clone()).or_default() += 1;
        let cost = if seat.holder == tenant("sleeper") { Cost::of(10, 10_000_000, 0) } else { SMALL };
        ledger.release(seat, cost);
    }

    assert_eq!(begun[&tenant("sleeper")], 1, "{begun:?}");
}

#[test]
fn whoever_moves_much_pays_for_it() {
    assert!(Cost::of(10, 100, 4 << 20).0 > 400 * Cost::of(10, 100, 400).0);
}

#[test]
fn leaving_the_queue_leaves_nothing_behind() {
    let mut ledger = Ledger::new(1);
    enter(&mut ledger, "a", 1);
    let seats = admit_all(&mut ledger);
    let tickets: Vec<_> = (0..3).map(|_| ledger.enter(&tenant("b"), None)).collect();

    for ticket in tickets {
        ledger.leave(&tenant("b"), ticket);
    }
    for seat in seats {
        ledger.release(seat, SMALL);
    }

    assert_eq!((ledger.admit(), ledger.held(), ledger.known()), (None, 0, 0));
}

#[test]
fn tenants_who_want_nothing_take_no_memory_even_where_others_never_rest() {
    let mut ledger = Ledger::new(4);
    enter(&mut ledger, "busy", 2_000);
    let (_, mut busy) = ledger.admit().unwrap();
    for number in 0..1_000 {
        make_known(&mut ledger, &format!("guest-{number}"), SMALL);
        ledger.release(busy, LARGE);
        busy = ledger.admit().unwrap().1;
    }

    assert!(ledger.known() < 200, "{}", ledger.known());
    drop(busy);
}

/// One thing that happens in a room.
#[derive(Clone, Debug)]
enum Happening {
    Comes { tenant: u8 },
    Goes { which: prop::sample::Index },
    Ends { which: prop::sample::Index, cpu_us: u64 },
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let happening = prop_oneof![
        3 => (0..6_u8).prop_map(|tenant| Happening::Comes { tenant }),
        1 => any::<prop::sample::Index>().prop_map(|which| Happening::Goes { which }),
        3 => (any::<prop::sample::Index>(), 0..50_000_u64).prop_map(|(which, cpu_us)| Happening::Ends { which, cpu_us }),
    ];
    prop::collection::vec(happening, 0..300)
}

fn holder(number: u8) -> Holder {
    (number > 0).then(|| TenantId::new(format!("t{number}")).unwrap())
}

proptest! {
    /// No seat is lost, none is given twice, and nobody is left waiting in an empty room.
    #[test]
    fn whatever_happens_each_attempt_is_let_in_once_and_each_seat_comes_back(
        size in 1..12_usize, happenings in happenings(),
    ) {
        let mut ledger = Ledger::new(size);
        let (mut waiting, mut seated) = (Vec::new(), Vec::new());
        for happening in happenings {
            match happening {
                Happening::Comes { tenant } => {
                    let holder = holder(tenant);
                    waiting.push((ledger.enter(&holder, None), holder));
                }
                Happening::Goes { which } if !waiting.is_empty() => {
                    let (ticket, holder) = waiting.swap_remove(which.index(waiting.len()));
                    ledger.leave(&holder, ticket);
                }
                Happening::Ends { which, cpu_us } if !seated.is_empty() => {
                    let seat = seated.swap_remove(which.index(seated.len()));
                    ledger.release(seat, Cost::of(cpu_us, cpu_us * 2, 0));
                }
                Happening::Goes { .. } | Happening::Ends { .. } => {}
            }
            while let Some((ticket, seat)) = ledger.admit() {
                let place = waiting.iter().position(|(waiting, _)| *waiting == ticket);
                let (_, holder) = waiting.swap_remove(place.expect("only those who wait are let in"));
                prop_assert_eq!(&seat.holder, &holder);
                seated.push(seat);
            }
            prop_assert!(seated.len() <= size);
            prop_assert_eq!(ledger.held(), seated.len());
            prop_assert!(waiting.is_empty() || !seated.is_empty());
        }
        for seat in seated {
            ledger.release(seat, SMALL);
        }
        while let Some((_, seat)) = ledger.admit() {
            waiting.pop();
            ledger.release(seat, SMALL);
        }
        prop_assert!(waiting.is_empty());
        prop_assert_eq!(ledger.known(), 0);
    }

    /// Tenants who always want room get the same use of it, whatever their attempts cost, within a quantum and the
    /// attempts that each may have in the room at once.
    #[test]
    fn tenants_who_always_want_room_have_used_the_same(
        size in 1..9_usize, lengths in prop::collection::vec(1_000..20_000_u64, 4..5),
    ) {
        let mut ledger = Ledger::new(size);
        for number in 1..=4 {
            for _ in 0..=size {
                ledger.enter(&holder(number), None);
            }
        }
        let mut used = [0_u64; 4];
        // What runs, by the time at which it ends.
        let mut running = BTreeMap::new();
        let mut now_us = 0;
        for count in 0..1_000_u64 {
            while let Some((_, seat)) = ledger.admit() {
                ledger.enter(&seat.holder, None);
                let number = (1..=4).position(|number| holder(number) == seat.holder).unwrap();
                running.insert((now_us + lengths[number], count, running.len()), (number, seat));
            }
            let ((ends_us, ..), (number, seat)) = running.pop_first().expect("the room is never empty");
            now_us = ends_us;
            let cost = Cost::of(lengths[number], lengths[number], 0);
            used[number] += cost.0;
            ledger.release(seat, cost);
        }
        let apart = used.iter().max().unwrap() - used.iter().min().unwrap();
        let at_once = u64::try_from(size).unwrap();
        prop_assert!(apart <= QUANTUM_US + 2 * at_once * Cost::of(20_000, 20_000, 0).0, "{used:?}");
    }
}
