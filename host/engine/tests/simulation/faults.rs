//! A way to the store on which everything goes wrong that can, by seed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use stepcell_engine::fail::{FailAction, FailPoint, TransitionKind};
use stepcell_engine::{CancelRequest, WorkflowEngine};
use stepcell_model::id::InstanceId;
use stepcell_model::json::Json;
use stepcell_model::name::{SignalName, UserId};
use stepcell_model::transition::{Actor, Compensation, Transition};
use stepcell_store::{Committed, StoreError, WorkflowStore};
use tokio::sync::watch;

use crate::between::Way;
use crate::world::{Acknowledged, Dice, World};

/// How often things go wrong, of a thousand times.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// A call takes its time.
    pub delay: u64,
    /// A commit fails, and nothing is stored.
    pub fail: u64,
    /// A commit is stored, and its answer is lost.
    pub lose_answer: u64,
    /// Another process changes the instance just before a commit.
    pub overtake: u64,
    /// The host dies at a commit.
    pub crash: u64,
    /// Another call fails.
    pub fail_read: u64,
    /// The host dies at a fail point, or the store can not be reached there.
    pub point: u64,
}

impl Rates {
    /// What goes wrong in a simulation: every part of it by itself, and all together.
    pub fn of(seed: u64) -> Self {
        let calm = Self::default();
        match seed % 8 {
            0 => calm,
            1 => Self { delay: 300, ..calm },
            2 => Self { crash: 30, point: 10, ..calm },
            3 => Self { fail: 30, lose_answer: 30, fail_read: 2, ..calm },
            4 => Self { overtake: 250, delay: 100, ..calm },
            5 => Self { lose_answer: 60, overtake: 100, ..calm },
            _ => Self { delay: 100, fail: 15, lose_answer: 15, overtake: 80, crash: 10, fail_read: 1, point: 5 },
        }
    }
}

/// The way that one host has to the store, as long as it lives.
pub struct Faults {
    world: Arc<World>,
    /// How another process comes to the instances.
    visitor: WorkflowEngine,
    rates: Rates,
    dice: Mutex<Dice>,
    nudges: Mutex<Vec<InstanceId>>,
    dead: watch::Sender<bool>,
}

impl Faults {
    pub fn new(world: Arc<World>, visitor: WorkflowEngine, rates: Rates, life: usize) -> Arc<Self> {
        let dice = Mutex::new(Dice::of(world.seed, ("faults", life)));
        let (nudges, dead) = (Mutex::default(), watch::Sender::new(false));
        Arc::new(Self { world, visitor, rates, dice, nudges, dead })
    }

    /// Lets nothing come to the store from now on, and no answer back.
    pub fn die(&self) {
        self.dead.send_replace(true);
    }

    /// Waits until the host is dead.
    pub async fn died(&self) {
        self.dead.subscribe().wait_for(|dead| *dead).await.unwrap();
    }

    async fn alive(&self) {
        if *self.dead.borrow() {
            std::future::pending::<()>().await;
        }
    }

    fn happens(&self, rate: impl FnOnce(&Rates) -> u64) -> bool {
        let rate = rate(&self.rates);
        rate > 0 && self.dice.lock().unwrap().happens(rate)
    }

    fn roll(&self, sides: u64) -> u64 {
        self.dice.lock().unwrap().roll(sides)
    }

    /// What happens at a fail point.
    pub fn reached(&self, point: FailPoint, kind: Option<TransitionKind>) -> FailAction {
        let aimed = self.world.reached((point, kind));
        let action = match aimed {
            _ if *self.dead.borrow() => return FailAction::Crash,
            Some(action) => action,
            None if !self.happens(|rates| rates.point) => return FailAction::Pass,
            None if self.roll(2) == 0 => FailAction::Fail,
            None => FailAction::Crash,
        };
        self.world.note(format!("{action:?} at {point:?} {kind:?}"));
        if action == FailAction::Crash {
            self.die();
        }
        action
    }

    async fn dawdle(&self) {
        if self.happens(|rates| rates.delay) {
            let long = self.roll(10) == 0;
            let delay = self.roll(if long { 4_000 } else { 60 });
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        self.alive().await;
    }

    async fn dies_here(&self, when: &str) {
        self.world.note(format!("the host dies {when} a commit"));
        self.die();
        self.alive().await;
    }

    /// Another process changed an instance, and says so.
    pub fn nudge(&self, id: InstanceId) {
        self.nudges.lock().unwrap().push(id);
    }

    /// How another process comes to the instances.
    pub const fn visitor(&self) -> &WorkflowEngine {
        &self.visitor
    }

    /// Another process changes an instance.
    async fn overtake(&self, id: InstanceId) {
        let (world, engine, name) = (&self.world, &self.visitor, self.world.name(id));
        let (what, done, acknowledged) = match self.roll(18) {
            0..4 => ("pauses", engine.pause(id, None).await, Some(Acknowledged::Paused { instance: id })),
            4..8 => ("resumes", engine.resume(id, None).await, None),
            8..=10 => {
                let sent = engine
                    .signal(id, &SignalName::new("go").unwrap(), Json::from(serde_json::json!("from outside")))
                    .await;
                ("signals", sent, Some(Acknowledged::Sent { instance: id }))
            }
            12.. => return self.answers(id).await,
            _ => {
                let compensation = if self.roll(2) == 0 { Compensation::None } else { Compensation::Undo };
                let request = CancelRequest { compensation, ..CancelRequest::new("another process says so") };
                let done = engine.cancel_workflow_with(id, request).await;
                ("cancels", done, Some(Acknowledged::Canceled { instance: id }))
            }
        };
        let told = done.as_ref().map_or_else(ToString::to_string, |()| "done".to_owned());
        world.note(format!("{name}: another process {what} it: {told}"));
        if done.is_ok() {
            self.nudge(id);
            acknowledged.into_iter().for_each(|what| world.acknowledge(what));
        }
    }

    /// Somebody completes a task of an instance in another process, if it has one.
    async fn answers(&self, id: InstanceId) {
        let Some(instance) = self.world.store.load_instance(id).await.unwrap() else { return };
        let tasks: Vec<_> = instance.tasks.into_values().collect();
        let Some(task) = self.dice.lock().unwrap().pick(&tasks).cloned() else { return };
        let user = task.assignee.unwrap_or_else(|| UserId::new("somebody").unwrap());
        let (actor, data) = (Actor::user(user.clone()), Json::from(serde_json::json!({"from": "outside"})));
        let done = self.visitor.complete_task(task.id, actor, data, None).await;
        let told = done.as_ref().map_or_else(ToString::to_string, |()| "done".to_owned());
        self.world.note(format!("{}: another process completes `{}`: {told}", self.world.name(id), task.step));
        if done.is_ok() {
            self.nudge(id);
            self.world.acknowledge(Acknowledged::Completed { task: task.id, user: user.to_string() });
        }
    }

    async fn store(&self, store: &dyn WorkflowStore, transition: Transition) -> Result<Committed, StoreError> {
        let (id, seq) = (transition.identity.id, transition.seq);
        let types: Vec<_> = transition.events.iter().map(|event| event.event_type().as_str()).collect();
        let told = store.commit(transition).await;
        let name = self.world.name(id);
        match &told {
            Ok(_) => {
                self.world.seen().commits += 1;
                self.world.note(format!("{name}: {seq}: {}", types.join(" ")));
            }
            Err(error) => self.world.note(format!("{name}: {seq} is refused: {error}")),
        }
        told
    }
}

fn unavailable(action: &str) -> StoreError {
    let source = std::io::Error::other("the simulation says so");
    StoreError::Unavailable { action: action.to_owned(), source: Arc::new(source) }
}

#[async_trait]
impl Way for Faults {
    async fn there(&self, call: &'static str) -> Result<(), StoreError> {
        self.alive().await;
        if self.happens(|rates| rates.fail_read) {
            self.world.note(format!("{call} fails"));
            return Err(unavailable(call));
        }
        if matches!(call, "load_instance" | "list_letters" | "remove_letters" | "list_due") {
            self.dawdle().await;
        }
        Ok(())
    }

    async fn back(&self, call: &'static str) -> Result<(), StoreError> {
        self.alive().await;
        if call == "remove_letters" && self.happens(|rates| rates.lose_answer) {
            self.world.note("the answer to remove_letters is lost");
            return Err(unavailable(call));
        }
        Ok(())
    }

    async fn commit(&self, store: &dyn WorkflowStore, transition: Transition) -> Result<Committed, StoreError> {
        self.alive().await;
        self.dawdle().await;
        if transition.seq > 1 && self.happens(|rates| rates.overtake) {
            self.overtake(transition.identity.id).await;
        }
        if self.happens(|rates| rates.crash) {
            if self.roll(2) == 0 {
                self.dies_here("before").await;
            }
            // Where somebody else was first, nothing is stored: that is a death between two commits.
            let _ = self.store(store, transition).await;
            self.dies_here("after").await;
            unreachable!("nobody answers for the dead");
        }
        if self.happens(|rates| rates.fail) {
            self.world.note(format!("{}: a commit fails", self.world.name(transition.identity.id)));
            return Err(unavailable("commit"));
        }
        let told = self.store(store, transition).await;
        self.dawdle().await;
        if told.is_ok() && self.happens(|rates| rates.lose_answer) {
            self.world.note("the answer to a commit is lost");
            return Err(unavailable("commit"));
        }
        told
    }

    fn nudges(&self) -> Vec<InstanceId> {
        std::mem::take(&mut self.nudges.lock().unwrap())
    }
}
