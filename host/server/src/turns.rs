//! How many may do something at once, or how much there may be: in all, and of each kind, so that no one of them takes the
//! room of all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Room for a bounded number.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    max: usize,
    each_max: usize,
    share: Share,
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

/// How much of the room that others leave one of them may take.
#[derive(Clone, Copy, Debug)]
enum Share {
    All,
    Half,
}

/// Room that was taken; it is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Turns,
    who: String,
    size: usize,
}

impl Turns {
    /// Room for so many in all, and so many of each.
    pub(crate) fn new(max: usize, each_max: usize) -> Self {
        Self { max, each_max, share: Share::All, taken: Arc::default() }
    }

    /// The same, where nobody takes more than half of what the others leave: so few that take what they can leave room for more.
    pub(crate) fn halved(self) -> Self {
        Self { share: Share::Half, ..self }
    }

    /// Takes room for one more, if there is some.
    pub(crate) fn take(&self, who: &str) -> Option<Turn> {
        self.take_room(who, 1)
    }

    /// Takes room for something of that size, if there is so much.
    pub(crate) fn take_room(&self, who: &str, size: usize) -> Option<Turn> {
        let mut taken = self.taken();
        if !self.fits(&taken, who, size) {
            return None;
        }
        Some(self.note(&mut taken, who, size))
    }

    /// Whether one has taken as much as it may, however much the others leave.
    pub(crate) fn is_full(&self, who: &str) -> bool {
        self.taken().get(who).is_some_and(|own| *own >= self.each_max)
    }

    /// Counts something of that size, whether there is room for it or not.
    pub(crate) fn take_anyway(&self, who: &str, size: usize) -> Turn {
        self.note(&mut self.taken(), who, size)
    }

    fn fits(&self, taken: &HashMap<String, usize>, who: &str, size: usize) -> bool {
        let own = taken.get(who).copied().unwrap_or_default();
        let others = taken.values().fold(0, |sum: usize, one| sum.saturating_add(*one)).saturating_sub(own);
        let left = self.max.saturating_sub(others);
        let share = match self.share {
            Share::All => left,
            Share::Half => left / 2,
        };
        own.saturating_add(size) <= share.min(self.each_max)
    }

    fn note(&self, taken: &mut HashMap<String, usize>, who: &str, size: usize) -> Turn {
        let own = taken.entry(who.to_owned()).or_default();
        *own = own.saturating_add(size);
        Turn { turns: self.clone(), who: who.to_owned(), size }
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = self.turns.taken();
        match taken.get_mut(&self.who) {
            Some(own) if *own > self.size => *own -= self.size,
            Some(_) | None => {
                taken.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_takes_no_more_than_its_share_and_room_is_given_back() {
        let turns = Turns::new(3, 2);

        let (first, second) = (turns.take("a"), turns.take("a"));
        assert!(first.is_some() && second.is_some() && turns.take("a").is_none());
        let other = turns.take("b");
        assert!(other.is_some() && turns.take("c").is_none());
        drop((first, second, other));

        assert!(turns.taken.lock().unwrap().is_empty() && turns.take("c").is_some());
    }

    #[test]
    fn where_shares_are_halved_few_can_not_take_the_room_of_all() {
        let turns = Turns::new(1024, 256).halved();

        let taken: Vec<_> = (0..8)
            .map(|who| {
                let who = who.to_string();
                std::iter::from_fn(|| turns.take(&who)).collect::<Vec<_>>()
            })
            .collect();

        assert_eq!(taken.iter().map(Vec::len).collect::<Vec<_>>(), [256, 256, 256, 128, 64, 32, 16, 8]);
        assert!(turns.take("somebody else").is_some());
        drop(taken);
        assert!(turns.take_room("1", 256).is_some());
    }

    #[test]
    fn what_is_larger_takes_more_room() {
        let turns = Turns::new(100, 60);

        let most = turns.take_room("a", 60);
        assert!(most.is_some() && turns.take("a").is_none());
        assert!(turns.take_room("b", 41).is_none() && turns.take_room("b", usize::MAX).is_none());
        let rest = turns.take_room("b", 40);
        assert!(rest.is_some());
        drop(most);

        assert!(turns.take_room("c", 60).is_some());
    }
}
