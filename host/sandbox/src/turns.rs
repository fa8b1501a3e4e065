//! Whose turn it is to have something compiled: a bounded number at once, one at a time for each tenant, and tenants in
//! turn, so that who asks for a hundred waits for himself alone.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stepcell_model::name::TenantId;
use tokio::sync::oneshot;

/// The most components of one tenant that wait to be compiled. Protects the host's memory.
pub(crate) const WAITING_MAX: usize = 100;

/// Whose component it is; the operator's own have none.
pub(crate) type Whose = Option<TenantId>;

/// Gives turns.
#[derive(Debug)]
pub(crate) struct Turns {
    at_once_max: usize,
    state: Mutex<State>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    whose: Whose,
}

/// Too many of the same tenant wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyWait;

#[derive(Debug, Default)]
struct State {
    has_turn: HashSet<Whose>,
    waiting: HashMap<Whose, VecDeque<oneshot::Sender<Turn>>>,
    /// Those of whom somebody waits, next one first.
    ring: VecDeque<Whose>,
}

impl Turns {
    pub(crate) fn new(at_once_max: usize) -> Arc<Self> {
        Arc::new(Self { at_once_max, state: Mutex::default() })
    }

    /// Waits for a turn. Dropping the future gives up the place.
    ///
    /// # Errors
    /// [`TooManyWait`], at once.
    pub(crate) async fn take(self: &Arc<Self>, whose: Whose) -> Result<Turn, TooManyWait> {
        let receiver = self.join(whose)?;
        self.give();
        // The sender is dropped with its turn sent, or with the queue that `self` keeps.
        receiver.await.map_err(|_| TooManyWait)
    }

    fn join(&self, whose: Whose) -> Result<oneshot::Receiver<Turn>, TooManyWait> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        let queue = state.waiting.entry(whose.clone()).or_default();
        queue.retain(|waiting| !waiting.is_closed());
        if queue.len() >= WAITING_MAX {
            return Err(TooManyWait);
        }
        queue.push_back(sender);
        if !state.ring.contains(&whose) {
            state.ring.push_back(whose);
        }
        Ok(receiver)
    }

    /// Gives every turn that is free. A turn that nobody takes any more comes back by being dropped, so nothing is
    /// locked while it is handed over.
    fn give(self: &Arc<Self>) {
        loop {
            let Some((whose, sender)) = self.state().next(self.at_once_max) else { return };
            let _ = sender.send(Turn { turns: Arc::clone(self), whose });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes out who is next, and counts the turn as given.
    fn next(&mut self, at_once_max: usize) -> Option<(Whose, oneshot::Sender<Turn>)> {
        if self.has_turn.len() >= at_once_max {
            return None;
        }
        let index = self.ring.iter().position(|whose| !self.has_turn.contains(whose))?;
        let whose = self.ring.remove(index)?;
        let queue = self.waiting.get_mut(&whose)?;
        let sender = queue.pop_front()?;
        if queue.is_empty() {
            self.waiting.remove(&whose);
        } else {
            self.ring.push_back(whose.clone());
        }
        self.has_turn.insert(whose.clone());
        Some((whose, sender))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.state().has_turn.remove(&self.whose);
        self.turns.give();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures::FutureExt as _;

    use super::*;

    type Waiting = Pin<Box<dyn Future<Output = Result<Turn, TooManyWait>>>>;

    fn tenant(name: &str) -> Whose {
        Some(TenantId::new(name).unwrap())
    }

    fn wait(turns: &Arc<Turns>, name: &str) -> Waiting {
        let (turns, whose) = (Arc::clone(turns), tenant(name));
        let mut waiting: Waiting = Box::pin(async move { turns.take(whose).await });
        if let Some(turn) = waiting.as_mut().now_or_never() {
            return Box::pin(async move { turn });
        }
        waiting
    }

    fn turn(waiting: &mut Waiting) -> Option<Turn> {
        waiting.as_mut().now_or_never().map(Result::unwrap)
    }

    #[test]
    fn a_tenant_has_one_turn_at_a_time_and_others_go_on() {
        let turns = Turns::new(2);
        let (mut first, mut second, mut other) = (wait(&turns, "a"), wait(&turns, "a"), wait(&turns, "b"));

        let had = turn(&mut first).unwrap();
        assert!(turn(&mut second).is_none());
        assert!(turn(&mut other).is_some());
        drop(had);
        assert!(turn(&mut second).is_some());
    }

    #[test]
    fn tenants_take_turns_however_many_one_asks_for() {
        let turns = Turns::new(1);
        let mut greedy: Vec<_> = (0..5).map(|_| wait(&turns, "a")).collect();
        let mut modest = wait(&turns, "b");

        let had = turn(&mut greedy[0]).unwrap();
        drop(had);

        // The second of the greedy one was in line first; after it, the modest one is next.
        let had = turn(&mut greedy[1]).unwrap();
        assert!(turn(&mut modest).is_none());
        drop(had);
        assert!(turn(&mut modest).is_some());
    }

    #[test]
    fn who_goes_away_leaves_his_turn_to_the_next() {
        let turns = Turns::new(1);
        let (mut first, second, mut third) = (wait(&turns, "a"), wait(&turns, "b"), wait(&turns, "c"));

        let had = turn(&mut first).unwrap();
        drop(second);
        drop(had);

        assert!(turn(&mut third).is_some());
    }

    #[test]
    fn a_tenant_who_asks_for_too_much_at_once_is_told_so() {
        let turns = Turns::new(1);
        let mut waiting: Vec<_> = (0..=WAITING_MAX).map(|_| wait(&turns, "a")).collect();
        let _had = turn(&mut waiting[0]).unwrap();

        let one_more = wait(&turns, "a").now_or_never();

        assert_eq!(one_more.map(|refused| refused.map(drop)), Some(Err(TooManyWait)));
        drop(waiting.pop());
        assert!(wait(&turns, "a").now_or_never().is_none());
    }
}
