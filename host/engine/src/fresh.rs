//! When what is kept of a store has to be asked for anew, and by whom: of many that need it at once, one asks.

use std::time::Duration;

use tokio::time::Instant;

/// How long what a store said is taken as it was. What another process decides holds after twice that.
const KNOWN_FOR: Duration = Duration::from_millis(50);

/// Since when something is known. Whoever finds it old is told to ask again; the others go on with what is known until that
/// one has asked, or until it is twice as old as it may be: then each asks for itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Freshness {
    asked_at: Option<Instant>,
    is_being_asked: bool,
}

impl Freshness {
    /// Of what was asked for at that time.
    #[must_use]
    pub const fn of(asked_at: Instant) -> Self {
        Self { asked_at: Some(asked_at), is_being_asked: false }
    }

    /// Whether it is known; whoever is told that it is not has to ask.
    pub fn is_known(&mut self) -> bool {
        let Some(age) = self.asked_at.map(|at| at.elapsed()) else { return false };
        if age < KNOWN_FOR {
            return true;
        }
        if age < KNOWN_FOR * 2 && self.is_being_asked {
            return true;
        }
        self.is_being_asked = true;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn of_many_that_find_it_old_one_asks() {
        let mut fresh = Freshness::of(Instant::now());
        assert!(fresh.is_known());

        tokio::time::advance(KNOWN_FOR).await;

        assert_eq!([fresh.is_known(), fresh.is_known(), fresh.is_known()], [false, true, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn where_whoever_asks_is_not_answered_the_others_ask_for_themselves() {
        let mut fresh = Freshness::of(Instant::now());
        tokio::time::advance(KNOWN_FOR).await;
        assert!(!fresh.is_known() && fresh.is_known());

        tokio::time::advance(KNOWN_FOR).await;

        assert!(!fresh.is_known() && !fresh.is_known());
        assert!(Freshness::of(Instant::now()).is_known());
    }

    #[test]
    fn what_was_never_asked_for_is_not_known() {
        assert!(!Freshness::default().is_known());
    }
}
