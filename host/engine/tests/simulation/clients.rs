//! Whoever uses the engine: they start, cancel, hold, retry, answer and send, by seed, and note what was acknowledged.

use std::sync::Arc;

use serde_json::json;
use stepcell_engine::{CancelRequest, Delivered, Delivery, EngineError, StartRequest, WorkflowEngine};
use stepcell_model::id::InstanceId;
use stepcell_model::instance::Phase;
use stepcell_model::json::Json;
use stepcell_model::name::{SignalName, StepName, UserId, WorkflowName};
use stepcell_model::record::InstanceSummary;
use stepcell_model::status::{TaskStatus, WorkflowStatus};
use stepcell_model::transition::{Actor, Compensation};
use stepcell_store::{InstanceFilter, PageLimit, TaskFilter, WorkflowStore as _};

use crate::shapes::data;
use crate::world::{Acknowledged, Dice, World};

/// Something that somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Starts the instance of that number; repeated until it is acknowledged.
    Start(u64),
    Cancel,
    Pause,
    Resume,
    Retry,
    Signal,
    Deliver,
    Claim,
    Complete,
    /// Waits until an instance settles.
    Wait,
    /// The host stops and comes back.
    Stop,
    /// The host is killed and comes back.
    Kill,
}

/// Somebody who uses an engine.
#[derive(Clone)]
pub struct Client {
    pub world: Arc<World>,
    pub engine: WorkflowEngine,
    pub workflows: u64,
}

impl Client {
    /// Does something, and notes whether it was acknowledged.
    pub async fn does(self, deed: Deed, number: u64) {
        let mut dice = Dice::of(self.world.seed, ("deed", number));
        let told = match deed {
            Deed::Start(which) => self.start(which).await,
            Deed::Claim | Deed::Complete => self.acts_on_a_task(deed, number, &mut dice).await,
            Deed::Stop | Deed::Kill => return,
            _ => match dice.pick(&self.instances().await) {
                Some(instance) => self.acts_on(deed, instance.identity.id, number, &mut dice).await,
                None => return,
            },
        };
        match told {
            Ok(what) => self.world.note(format!("{deed:?} {number}: {what}")),
            Err(error) => self.world.note(format!("{deed:?} {number} is not acknowledged: {error}")),
        }
    }

    pub async fn instances(&self) -> Vec<InstanceSummary> {
        let filter = InstanceFilter { limit: PageLimit::MAX, ..InstanceFilter::default() };
        let mut all = self.world.store.list_instances(&filter).await.unwrap().items;
        all.sort_by_key(|instance| instance.identity.id);
        all
    }

    async fn start(&self, which: u64) -> Result<String, EngineError> {
        let workflow = WorkflowName::new(format!("w{}", which % self.workflows)).unwrap();
        let key = format!("k{which}");
        let request = StartRequest { idempotency_key: Some(key.clone()), ..StartRequest::new(workflow) };
        let instance = self.engine.start_workflow(request.with_data(data())).await?.identity.id;
        self.world.acknowledge(Acknowledged::Started { instance, key });
        Ok(format!("{} is started", self.world.name(instance)))
    }

    async fn acts_on(
        &self,
        deed: Deed,
        instance: InstanceId,
        number: u64,
        dice: &mut Dice,
    ) -> Result<String, EngineError> {
        let acknowledged = match deed {
            Deed::Cancel => {
                let compensation = if dice.happens(500) { Compensation::None } else { Compensation::Undo };
                let request = CancelRequest { compensation, ..CancelRequest::new(format!("deed {number}")) };
                self.engine.cancel_workflow_with(instance, request).await?;
                Acknowledged::Canceled { instance }
            }
            Deed::Pause => {
                self.engine.pause(instance, None).await?;
                Acknowledged::Paused { instance }
            }
            Deed::Resume => {
                self.engine.resume(instance, None).await?;
                return Ok(format!("{} is resumed", self.world.name(instance)));
            }
            Deed::Retry => {
                let executions = self.world.store.list_executions(instance).await.unwrap();
                let steps: Vec<_> = executions.iter().map(|record| record.step.top()).collect();
                let from = dice.pick(&steps).filter(|_| dice.clone().happens(400)).cloned();
                self.engine.retry(instance, from.as_ref(), None).await?;
                Acknowledged::Retried { instance }
            }
            Deed::Wait => return self.waits(instance).await,
            Deed::Deliver => match self.webhook(instance, dice).await {
                Some(step) => return self.delivers(instance, &step, number, dice).await,
                None => return Ok("nothing to deliver to".to_owned()),
            },
            _ => {
                let payload = Json::from(json!({"deed": number}));
                self.engine.signal(instance, &SignalName::new("go").unwrap(), payload).await?;
                Acknowledged::Sent { instance }
            }
        };
        self.world.acknowledge(acknowledged);
        Ok(format!("{} is acknowledged", self.world.name(instance)))
    }

    /// Whoever is told that an instance has settled is told what is on disk.
    async fn waits(&self, instance: InstanceId) -> Result<String, EngineError> {
        let told = self.engine.wait_until_settled(instance).await?;
        let kept = self.world.store.find_instance(instance).await.unwrap().unwrap();
        let name = self.world.name(instance);
        if kept.seq < told.seq || (kept.seq == told.seq && kept != told) {
            self.world.violated(format!("{name} was told to be {told:?} before it was: {kept:?}"));
        }
        Ok(format!("{name} has settled as {}", told.status))
    }

    /// A webhook step of an instance's definition.
    async fn webhook(&self, instance: InstanceId, dice: &mut Dice) -> Option<StepName> {
        let definition = self.world.store.find_instance(instance).await.unwrap()?.identity.definition;
        let record = self.world.store.find_definition_by_id(definition).await.unwrap()?;
        let mut steps = Vec::new();
        webhooks(record.document.tree(), "", &mut steps);
        dice.pick(&steps).map(|step| StepName::new(step).unwrap())
    }

    async fn delivers(
        &self,
        instance: InstanceId,
        step: &StepName,
        number: u64,
        dice: &mut Dice,
    ) -> Result<String, EngineError> {
        let address = self.engine.webhook_address(instance, step).await?;
        let id = if dice.happens(300) { "the same".to_owned() } else { format!("deed {number}") };
        let delivery = Delivery { id: Some(id.clone()), ..Delivery::of(&Json::from(json!({"deed": number}))) };
        let told = self.engine.deliver_webhook(instance, step, &address.token, delivery).await?;
        if told == Delivered::Accepted {
            self.world.acknowledge(Acknowledged::Delivered { instance, id: format!("{step}: {id}") });
        }
        Ok(format!("{}: `{step}`: {told:?}", self.world.name(instance)))
    }

    async fn acts_on_a_task(&self, deed: Deed, number: u64, dice: &mut Dice) -> Result<String, EngineError> {
        let filter = TaskFilter { limit: PageLimit::MAX, status: Some(TaskStatus::Pending), ..TaskFilter::default() };
        let tasks = self.world.store.list_tasks(&filter).await.unwrap().items;
        let Some(task) = dice.pick(&tasks) else { return Ok("there is no task".to_owned()) };
        let user = format!("user{number}");
        let actor = Actor::user(UserId::new(&user).unwrap());
        let acknowledged = if deed == Deed::Claim {
            self.engine.claim_task(task.id, actor).await?;
            Acknowledged::Claimed { task: task.id, user }
        } else {
            // Whoever has it may be another one.
            let actor = task.assignee.clone().map_or(actor, Actor::user);
            let user = actor.user.to_string();
            self.engine.complete_task(task.id, actor, Json::from(json!({"deed": number})), None).await?;
            Acknowledged::Completed { task: task.id, user }
        };
        self.world.acknowledge(acknowledged);
        Ok(format!("task of {}: `{}`", self.world.name(task.instance), task.step))
    }

    /// Does whatever an instance waits for from outside. Says whether it is finished.
    pub async fn settles(&self, id: InstanceId) -> bool {
        let Some(instance) = self.world.store.load_instance(id).await.unwrap() else { return true };
        if instance.state.status.is_finished() {
            return true;
        }
        if instance.state.status == WorkflowStatus::Paused {
            let _ = self.engine.resume(id, None).await;
            return false;
        }
        for active in &instance.state.control.active {
            let done = match &active.phase {
                Phase::AwaitingTask { task, .. } => {
                    let assignee = instance.tasks.get(&active.number).and_then(|task| task.assignee.clone());
                    let actor = Actor::user(assignee.unwrap_or_else(|| UserId::new("ada").unwrap()));
                    let user = actor.user.to_string();
                    let done = self.engine.complete_task(*task, actor, json!({}).into(), None).await;
                    if done.is_ok() {
                        self.world.acknowledge(Acknowledged::Completed { task: *task, user });
                    }
                    done
                }
                Phase::AwaitingMessage { .. } => self.sends(id, &active.step).await,
                _ => Ok(()),
            };
            if let Err(error) = done {
                self.world.note(format!("{}: `{}`: {error}", self.world.name(id), active.step));
            }
        }
        false
    }

    async fn sends(&self, id: InstanceId, step: &StepName) -> Result<(), EngineError> {
        match self.engine.webhook_address(id, step).await {
            Ok(address) => {
                let delivery = Delivery::of(&Json::from(json!("at last")));
                let told = self.engine.deliver_webhook(id, step, &address.token, delivery).await?;
                if told != Delivered::Accepted {
                    // What came before has ended the step; there is nothing that it could take.
                    return Ok(());
                }
            }
            Err(EngineError::CallbackRefused { .. }) => {
                self.engine.signal(id, &SignalName::new("go").unwrap(), Json::from(json!("at last"))).await?;
            }
            Err(error) => return Err(error),
        }
        self.world.acknowledge(Acknowledged::Sent { instance: id });
        Ok(())
    }
}

/// The names of the webhook steps of a definition, members of groups among them.
fn webhooks(document: &serde_json::Value, above: &str, found: &mut Vec<String>) {
    let Some(steps) = document.get("steps").and_then(serde_json::Value::as_object) else { return };
    for (name, step) in steps {
        let name = format!("{above}{name}");
        // A step that runs for each item is called by another name.
        if step.get("for_each").is_none_or(serde_json::Value::is_null) {
            if step["type"] == "webhook" {
                found.push(name.clone());
            }
            webhooks(step, &format!("{name}/"), found);
        }
    }
}
