//! One story in which everything happens that can happen to instances, for tests that choose where something goes wrong.
//!
//! Whoever acts in it looks at what is stored and does what is next, so that it comes to the same end whatever happens on
//! the way.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use stepcell_engine::{CancelRequest, Clock as _, Delivery, EngineError, StartRequest};
use stepcell_model::definition::WorkflowDefinition;
use stepcell_model::history::Event;
use stepcell_model::id::InstanceId;
use stepcell_model::instance::{Active, Phase, WorkflowInstance};
use stepcell_model::json::Json;
use stepcell_model::name::{SignalName, StepName, UserId, WorkflowName};
use stepcell_model::record::InstanceSummary;
use stepcell_model::status::WorkflowStatus;
use stepcell_model::transition::{Actor, Compensation};
use stepcell_store::{InstanceFilter, LIST_LEN_MAX, WorkflowStore as _};

use crate::faults::Rates;
use crate::guests::Temper;
use crate::host::{Host, Play};
use crate::verdict::judge;
use crate::world::{Acknowledged, Aim, Place, World};

/// How long the story may take, with whatever goes wrong in it.
const STORY_MAX: Duration = Duration::from_secs(300);

/// How often somebody looks what is next.
const LOOK_INTERVAL: Duration = Duration::from_millis(150);

/// When the host is stopped, and when it is killed, in the calm story too.
const STOP_AT: Duration = Duration::from_millis(1_000);
const KILL_AT: Duration = Duration::from_millis(2_500);

/// How long an instance is held: until its step has ended.
const HELD_FOR: Duration = Duration::from_millis(1_500);

/// What came of a story: how each instance ended, by workflow.
pub type Ends = BTreeMap<String, (WorkflowStatus, Vec<String>)>;

/// What a story came to.
pub struct Story {
    pub ends: Ends,
    pub reached: BTreeMap<Place, usize>,
    pub violations: Vec<String>,
    pub trace: Vec<String>,
}

const DEFINITIONS: [(&str, &str); 6] = [
    ("dropped", "initial_step: h\nsteps: { h: { type: human } }\n"),
    ("child", "initial_step: x\nsteps: { x: { type: machine, component: a@1 } }\n"),
    (
        "all",
        "initial_step: one
steps:
  one: { type: machine, component: a@1 }
  two: { type: machine, component: a@1 }
  skip: { type: machine, component: a@1 }
  flaky: { type: machine, component: a@1, retry: { max_attempts: 2, initial_delay: 1s } }
  effect: { type: machine, component: fx@1, grants: { http: ['https://outside.example'] } }
  both:
    type: parallel
    steps:
      h: { type: human, reminder_in: 1s, due_in: 10m }
      t: { type: timer, duration: 2s }
  w: { type: webhook, callback_key: called }
  s: { type: signal, signal: go }
  c: { type: workflow, workflow: child, input: \"{'n': 1}\" }
  bad: { type: machine, component: fx@1, grants: { http: ['https://outside.example'] } }
  last: { type: machine, component: a@1 }
edges:
  - { source: one, target: two }
  - { source: two, target: skip }
  - { source: skip, target: flaky }
  - { source: flaky, target: effect }
  - { source: effect, target: both }
  - { source: both, target: w }
  - { source: w, target: s }
  - { source: s, target: c }
  - { source: c, target: bad }
  - { source: bad, target: last, outcome: failure }
",
    ),
    (
        "canceled",
        "initial_step: did
steps: { did: { type: machine, component: a@1, compensate: undo@1 }, c: { type: workflow, workflow: child }, h: { type: human } }
edges: [{ source: did, target: c }, { source: c, target: h }]
",
    ),
    ("retried", "initial_step: bad\nsteps: { bad: { type: machine, component: a@1 } }\n"),
    (
        "held",
        "initial_step: slow
steps:
  slow: { type: machine, component: fx@1, grants: { http: ['https://outside.example'] }, retry: { max_attempts: 5, initial_delay: 100ms } }
  slower: { type: machine, component: a@1 }
edges: [{ source: slow, target: slower }]
",
    ),
];

/// The workflows that are started from outside.
const STARTED: [&str; 5] = ["all", "canceled", "dropped", "retried", "held"];

/// Plays the story; where there is an aim, something goes wrong there.
pub async fn play(aim: Option<Aim>) -> Story {
    let definition = |(name, body): &(&str, &str)| {
        let text = format!("schema: stepcell/v1\nname: {name}\nversion: 1.0.0\n{body}");
        WorkflowDefinition::from_text(&text).unwrap_or_else(|problems| panic!("{name}: {problems}"))
    };
    let definitions = DEFINITIONS.iter().map(definition).collect();
    let mut play = Play::of(7, &|store| store, definitions, Temper::ByName, Rates::default()).await;
    play.world().seen().aim = aim;
    let mut host = play.boot().await;
    let mut interruptions = vec![KILL_AT, STOP_AT];
    loop {
        let lives = tell(&play, &mut host).await;
        let elapsed = play.world().clock.elapsed();
        if lives == Some(true) {
            break;
        } else if lives.is_none() {
            host = play.reboot(host).await;
        } else if interruptions.last().is_some_and(|at| *at <= elapsed) {
            let kind = interruptions.pop();
            host = if kind == Some(STOP_AT) {
                let _ = host.stop().await;
                play.boot().await
            } else {
                play.reboot(host).await
            };
        } else if elapsed > STORY_MAX {
            play.world().violated("the story does not come to an end".to_owned());
            break;
        }
    }
    host.down().await;
    let world = play.world();
    judge(world, world.store.as_ref()).await;
    let ends = ends(world).await;
    let mut seen = world.seen();
    let (violations, trace) = (std::mem::take(&mut seen.violations), std::mem::take(&mut seen.trace));
    Story { ends, reached: std::mem::take(&mut seen.reached), violations, trace }
}

/// Does what is next. Says whether all is done; nothing if the host went down.
async fn tell(play: &Play, host: &mut Host) -> Option<bool> {
    let lives = host.lives_until(tokio::time::sleep(LOOK_INTERVAL)).await;
    if !lives {
        return None;
    }
    let teller = Teller { world: play.world(), host };
    let done = tokio::select! {
        biased;
        done = teller.goes_on() => Some(done),
        () = host.faults.died() => None,
    };
    // Who asks is told of a store that fails, and asks again.
    done.filter(|_| host.engine.fault().is_none())
}

struct Teller<'a> {
    world: &'a World,
    host: &'a Host,
}

impl Teller<'_> {
    /// Does what is next for each instance. Says whether all is done.
    async fn goes_on(&self) -> bool {
        let mut is_done = true;
        for workflow in STARTED {
            match self.starts(workflow).await {
                Ok(instance) => is_done &= self.moves(workflow, instance).await,
                Err(error) => {
                    self.world.note(format!("{workflow} is not started: {error}"));
                    is_done = false;
                }
            }
        }
        is_done && self.world.store.list_letters(1).await.unwrap().is_empty()
    }

    /// Starts a workflow once, and asks again until that is acknowledged.
    async fn starts(&self, workflow: &str) -> Result<InstanceId, EngineError> {
        let acknowledged = self.world.seen().acknowledged.clone();
        let known = acknowledged.into_iter().find_map(|what| match what {
            Acknowledged::Started { instance, key } if key == workflow => Some(instance),
            _ => None,
        });
        if let Some(known) = known {
            return Ok(known);
        }
        let key = workflow.to_owned();
        let request = StartRequest { idempotency_key: Some(key.clone()), ..StartRequest::new(name(workflow)) };
        let instance = self.host.engine.start_workflow(request).await?.identity.id;
        self.world.acknowledge(Acknowledged::Started { instance, key });
        Ok(instance)
    }

    /// Does what is next for one instance. Says whether it is done with.
    async fn moves(&self, workflow: &str, id: InstanceId) -> bool {
        let Some(instance) = self.world.store.load_instance(id).await.unwrap() else { return false };
        let history = self.world.store.list_history(id, 0, LIST_LEN_MAX).await.unwrap();
        let events: Vec<Event> = history.into_iter().flat_map(|entry| entry.events).collect();
        let told = match workflow {
            "retried" => self.moves_retried(&instance, &events).await,
            "dropped" => self.moves_dropped(&instance, &events).await,
            "held" => self.moves_held(&instance, &events).await,
            _ => self.moves_waiting(workflow, &instance, &events).await,
        };
        if let Err(error) = told {
            self.world.note(format!("{workflow}: {error}"));
        }
        let is_retried =
            workflow != "retried" || is_told(&events, |event| matches!(event, Event::WorkflowRetried { .. }));
        instance.state.status.is_finished() && is_retried
    }

    async fn moves_retried(&self, instance: &WorkflowInstance, events: &[Event]) -> Result<(), EngineError> {
        let is_retried = is_told(events, |event| matches!(event, Event::WorkflowRetried { .. }));
        if instance.state.status == WorkflowStatus::Failed && !is_retried {
            return self.host.engine.retry(instance.identity.id, None, Some(ada())).await;
        }
        Ok(())
    }

    /// Somebody holds it, lets it go on, and cancels it.
    async fn moves_dropped(&self, instance: &WorkflowInstance, events: &[Event]) -> Result<(), EngineError> {
        let (engine, id) = (&self.host.engine, instance.identity.id);
        if !is_told(events, |event| matches!(event, Event::WorkflowPaused { .. })) {
            engine.pause(id, Some(ada())).await?;
            self.world.acknowledge(Acknowledged::Paused { instance: id });
        } else if instance.state.status == WorkflowStatus::Paused {
            engine.resume(id, Some(ada())).await?;
        } else if !instance.state.status.is_finished() {
            engine.cancel_workflow(id, "not needed").await?;
            self.world.acknowledge(Acknowledged::Canceled { instance: id });
        }
        Ok(())
    }

    /// Another process holds it while its first step runs, for some time.
    async fn moves_held(&self, instance: &WorkflowInstance, events: &[Event]) -> Result<(), EngineError> {
        let id = instance.identity.id;
        let is_running = instance.state.control.active.iter().any(|active| active.phase == Phase::Running);
        if is_running && !is_told(events, |event| matches!(event, Event::WorkflowPaused { .. })) {
            // The host learns of it late: not before it comes to a commit.
            self.host.faults.visitor().pause(id, Some(ada())).await?;
        } else if let Some(since) = instance.state.control.paused_at {
            self.host.faults.nudge(id);
            if self.world.clock.now().since(since) > HELD_FOR {
                self.host.engine.resume(id, Some(ada())).await?;
            }
        }
        Ok(())
    }

    async fn moves_waiting(
        &self,
        workflow: &str,
        instance: &WorkflowInstance,
        events: &[Event],
    ) -> Result<(), EngineError> {
        let id = instance.identity.id;
        let engine = &self.host.engine;
        if workflow == "all" && !is_told(events, |event| matches!(event, Event::MessageKept { .. })) {
            return self.delivers(id, &StepName::new("w").unwrap()).await;
        }
        for active in &instance.state.control.active {
            match &active.phase {
                Phase::AwaitingTask { .. } if workflow == "canceled" => {
                    let compensation = Compensation::Undo;
                    let request = CancelRequest { compensation, by: Some(ada()), ..CancelRequest::new("enough") };
                    engine.cancel_workflow_with(id, request).await?;
                    self.world.acknowledge(Acknowledged::Canceled { instance: id });
                }
                Phase::AwaitingTask { .. } => self.does_task(instance, active, events).await?,
                Phase::AwaitingMessage { .. } if active.step.as_str() == "w" => self.delivers(id, &active.step).await?,
                Phase::AwaitingMessage { .. } => {
                    engine.signal(id, &SignalName::new("go").unwrap(), Json::from(json!("now"))).await?;
                    self.world.acknowledge(Acknowledged::Sent { instance: id });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Somebody takes the task, gives it to another one, who does it after they were reminded.
    async fn does_task(
        &self,
        instance: &WorkflowInstance,
        active: &Active,
        events: &[Event],
    ) -> Result<(), EngineError> {
        let (engine, Some(task)) = (&self.host.engine, instance.tasks.get(&active.number)) else { return Ok(()) };
        let bob = UserId::new("bob").unwrap();
        if !is_told(events, |event| matches!(event, Event::TaskClaimed { .. })) {
            engine.claim_task(task.id, Actor::user(ada())).await
        } else if !is_told(events, |event| matches!(event, Event::TaskReassigned { .. })) {
            engine.reassign_task(task.id, bob, "on leave", None).await
        } else if is_told(events, |event| matches!(event, Event::TaskReminded { .. })) {
            engine.complete_task(task.id, Actor::user(bob), Json::from(json!({})), None).await?;
            self.world.acknowledge(Acknowledged::Completed { task: task.id, user: "bob".to_owned() });
            Ok(())
        } else {
            Ok(())
        }
    }

    async fn delivers(&self, id: InstanceId, step: &StepName) -> Result<(), EngineError> {
        let engine = &self.host.engine;
        let address = engine.webhook_address(id, step).await?;
        let delivery = Delivery { id: Some("once".to_owned()), ..Delivery::of(&Json::from(json!("called"))) };
        engine.deliver_webhook(id, step, &address.token, delivery).await.map(drop)
    }
}

/// How each instance ended: its status, and its steps with theirs.
async fn ends(world: &World) -> Ends {
    let mut ends = Ends::new();
    let instances = world.store.list_instances(&InstanceFilter::default()).await.unwrap().items;
    for InstanceSummary { identity, status, .. } in
        instances.into_iter().filter(|found| found.identity.parent.is_none())
    {
        let executions = world.store.list_executions(identity.id).await.unwrap();
        let mut steps: Vec<_> = executions.iter().map(|record| format!("{} {}", record.step, record.status)).collect();
        steps.sort();
        ends.insert(identity.workflow_name.to_string(), (status, steps));
    }
    ends
}

fn name(workflow: &str) -> WorkflowName {
    WorkflowName::new(workflow).unwrap()
}

fn ada() -> UserId {
    UserId::new("ada").unwrap()
}

fn is_told(events: &[Event], is_it: impl Fn(&Event) -> bool) -> bool {
    events.iter().any(is_it)
}
