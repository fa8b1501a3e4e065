//! What the rounds promise, over made-up uses.

use std::collections::HashMap;

use proptest::prelude::*;
use stepcell_fair::Rounds;

/// How much each may use in a round.
const QUANTUM: u64 = 100;

/// Serves whoever is next, at what it costs, and says who it was.
fn serve_next(rounds: &mut Rounds<u8>, cost: impl Fn(u8) -> u64) -> u8 {
    let (_, &who) = rounds.first(&()).expect("somebody wants something");
    rounds.serve(&who, 0);
    rounds.settle(&who, 0, cost(who));
    who
}

#[test]
fn those_who_use_the_same_take_turns() {
    let mut rounds = Rounds::new(QUANTUM);
    for who in 0..3 {
        rounds.line_up(&who, ());
    }

    let served: Vec<_> = (0..6).map(|_| serve_next(&mut rounds, |_| QUANTUM)).collect();

    assert_eq!(served, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn small_uses_go_on_until_the_quantum_is_used() {
    let mut rounds = Rounds::new(QUANTUM);
    rounds.line_up(&0, ());
    rounds.line_up(&1, ());

    let served: Vec<_> = (0..8).map(|_| serve_next(&mut rounds, |_| QUANTUM / 2)).collect();

    assert_eq!(served, [0, 0, 1, 1, 0, 0, 1, 1]);
}

#[test]
fn whoever_used_too_much_sits_out_until_it_is_made_good() {
    let mut rounds = Rounds::new(QUANTUM);
    rounds.line_up(&0, ());
    rounds.line_up(&1, ());

    let served: Vec<_> =
        (0..8).map(|_| serve_next(&mut rounds, |who| if who == 0 { 5 * QUANTUM } else { QUANTUM })).collect();

    assert_eq!(served, [0, 1, 1, 1, 1, 1, 0, 1]);
}

#[test]
fn nothing_is_idle_while_somebody_wants_something_however_much_it_owes() {
    let mut rounds = Rounds::new(QUANTUM);
    rounds.line_up(&0, ());

    let served: Vec<_> = (0..3).map(|_| serve_next(&mut rounds, |_| 1_000_000 * QUANTUM)).collect();

    assert_eq!(served, [0, 0, 0]);
}

#[test]
fn coming_and_going_pays_nothing_back() {
    let mut rounds = Rounds::new(QUANTUM);
    rounds.line_up(&0, ());
    rounds.line_up(&1, ());

    // The first one leaves after each use, just below a quantum, and is back at once.
    let mut served = Vec::new();
    for _ in 0..12 {
        let who = serve_next(&mut rounds, |who| if who == 0 { QUANTUM - 10 } else { QUANTUM });
        if who == 0 {
            rounds.step_out(&0);
            rounds.line_up(&0, ());
        }
        served.push(who);
    }

    assert!(served.iter().filter(|&&who| who == 0).count() <= 7, "{served:?}");
}

#[test]
fn an_absence_saves_nothing_up() {
    let mut rounds = Rounds::new(QUANTUM);
    rounds.line_up(&0, ());
    for _ in 0..50 {
        serve_next(&mut rounds, |_| QUANTUM);
    }
    rounds.line_up(&1, ());

    let served: Vec<_> = (0..4).map(|_| serve_next(&mut rounds, |_| QUANTUM)).collect();

    assert_eq!(served.iter().filter(|&&who| who == 1).count(), 2, "{served:?}");
}

#[test]
fn whoever_wants_nothing_is_forgotten_once_its_use_is_made_good() {
    let mut rounds = Rounds::new(QUANTUM);
    for who in 0..100 {
        rounds.line_up(&who, ());
        serve_next(&mut rounds, |_| 3 * QUANTUM);
        rounds.step_out(&who);
    }
    assert!(rounds.len() > 90, "they owe something");

    rounds.line_up(&200, ());
    for _ in 0..400 {
        serve_next(&mut rounds, |_| QUANTUM);
    }
    assert_eq!(rounds.len(), 1);
    rounds.step_out(&200);
    rounds.forgive();
    assert!(rounds.is_empty());
}

#[test]
fn each_line_has_a_first_of_its_own() {
    let mut rounds: Rounds<u8, bool> = Rounds::new(QUANTUM);
    rounds.line_up(&0, false);
    rounds.line_up(&1, true);
    rounds.line_up(&2, true);

    let (place_of_0, _) = rounds.first(&false).expect("it stands there");
    let (place_of_1, &who) = rounds.first(&true).expect("two stand there");

    assert_eq!(who, 1);
    assert!(place_of_0 < place_of_1);
    rounds.line_up(&1, false);
    assert_eq!(rounds.first(&true).map(|(_, who)| *who), Some(2));
}

proptest! {
    /// Two who want something all the time have used the same, but for a quantum and a use of each.
    #[test]
    fn nobody_gets_more_than_a_quantum_and_a_use_ahead(
        uses in prop::collection::vec((0..5_u64 * QUANTUM, 0..5_u64 * QUANTUM), 200..600),
        sharers in 2..8_u8,
    ) {
        let mut rounds = Rounds::new(QUANTUM);
        for who in 0..sharers {
            rounds.line_up(&who, ());
        }
        let mut used: HashMap<u8, u64> = (0..sharers).map(|who| (who, 0)).collect();
        for (expected, cost) in uses {
            let (_, &who) = rounds.first(&()).expect("all want something");
            rounds.serve(&who, expected);
            rounds.settle(&who, expected, cost);
            *used.get_mut(&who).expect("it was there from the start") += cost;
            // What was refunded may bring somebody back no further than to the beginning of this round.
            let (most, least) = (used.values().max(), used.values().min());
            let apart = most.expect("there are some") - least.expect("there are some");
            prop_assert!(apart <= QUANTUM + 2 * 5 * QUANTUM, "{used:?}");
        }
    }

    /// Whoever comes gets its turn after at most a use of each and the rounds that these take to make good.
    #[test]
    fn nobody_waits_for_ever(
        costs in prop::collection::vec(1..20 * QUANTUM, 50..100),
        sharers in 1..6_u8,
    ) {
        let mut rounds = Rounds::new(QUANTUM);
        for who in 0..sharers {
            rounds.line_up(&who, ());
        }
        for cost in costs {
            serve_next(&mut rounds, |_| cost);
        }
        rounds.line_up(&100, ());

        let waited = (0_usize..).find(|_| serve_next(&mut rounds, |_| QUANTUM) == 100);

        prop_assert!(waited.expect("numbers do not end") <= usize::from(sharers) * 22);
    }
}
