//! How many may do something at once, or how much there may be: in all, and of each kind, so that no one of them takes the
//! room of all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Room for a bounded number.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    max: usize,
    each_max: usize,
    taken: Arc<Mutex<HashMap<String, usize>>>,
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
        Self { max, each_max, taken: Arc::default() }
    }

    /// Takes room for one more, if there is some.
    pub(crate) fn take(&self, who: &str) -> Option<Turn> {
        self.take_room(who, 1)
    }

    /// Takes room for something of that size, if there is so much.
    pub(crate) fn take_room(&self, who: &str, size: usize) -> Option<Turn> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(who).copied().unwrap_or_default();
        let fits = |held: usize, max: usize| held.checked_add(size).is_some_and(|held| held <= max);
        if !fits(own, self.each_max) || !fits(taken.values().sum(), self.max) {
            return None;
        }
        taken.insert(who.to_owned(), own + size);
        Some(Turn { turns: self.clone(), who: who.to_owned(), size })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = self.turns.taken.lock().unwrap_or_else(PoisonError::into_inner);
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
