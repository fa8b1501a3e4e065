//! Scripted guests: what each attempt does follows from the seed, its execution and its number.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use stepcell_engine::{ComponentFacts, ComponentRefused, StepRunner};
use stepcell_model::attempt::{
    AttemptOutcome, AttemptReport, AttemptTrace, ContextWrites, ExecutionInfo, HookReport, StepCall,
};
use stepcell_model::component::{Capability, ComponentExports};
use stepcell_model::failure::Failure;
use stepcell_model::history::Event;
use stepcell_model::id::ComponentDigest;
use stepcell_model::instance::Phase;
use stepcell_model::name::{ContextKey, StepName, TenantId};
use stepcell_store::{LIST_LEN_MAX, WorkflowStore as _};

use crate::world::{Dice, World};

/// What reaches the outside: the others are pure.
pub const EFFECTFUL: &[u8] = b"fx";

/// Runs guests in a world.
pub struct Guests(pub Arc<World>, pub Temper);

/// What decides what a guest does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temper {
    /// Chance.
    ByChance,
    /// The name of the step.
    ByName,
}

/// How an attempt comes out.
enum How {
    Well,
    FailsForNow,
    FailsForGood,
    Skips,
}

impl Guests {
    fn dice(&self, info: &ExecutionInfo, what: &str) -> Dice {
        Dice::of(self.0.seed, (info.execution.to_string(), info.attempt, what))
    }

    async fn take_time(&self, info: &ExecutionInfo, dice: &mut Dice) {
        if self.1 == Temper::ByName {
            let is_slow = info.step.as_str().starts_with("slow");
            return tokio::time::sleep(Duration::from_millis(if is_slow { 900 } else { 3 })).await;
        }
        match dice.roll(8) {
            0..4 => {}
            4 => tokio::task::yield_now().await,
            5..7 => tokio::time::sleep(Duration::from_millis(dice.roll(50))).await,
            _ => tokio::time::sleep(Duration::from_millis(dice.roll(3_000))).await,
        }
    }

    fn how(&self, info: &ExecutionInfo, dice: &mut Dice) -> How {
        if self.1 == Temper::ByName {
            return match info.step.as_str() {
                step if step.starts_with("bad") => How::FailsForGood,
                step if step.starts_with("flaky") && info.attempt == 1 => How::FailsForNow,
                step if step.starts_with("skip") => How::Skips,
                _ => How::Well,
            };
        }
        match dice.roll(100) {
            0..80 => How::Well,
            80..90 => How::FailsForNow,
            90..95 => How::FailsForGood,
            _ => How::Skips,
        }
    }

    /// Before an effect everything that led to it is durable, and that its attempt began.
    async fn expect_durable(&self, info: &ExecutionInfo) {
        let history = self.0.store.list_history(info.instance, 0, LIST_LEN_MAX).await.unwrap();
        let is_it = |event: &Event| {
            matches!(event, Event::StepStarted { execution, attempt, .. }
                if *attempt == info.attempt && execution.id(info.instance) == info.execution)
        };
        if !history.iter().any(|entry| entry.events.iter().any(is_it)) {
            let (step, attempt, instance) = (&info.step, info.attempt, self.0.name(info.instance));
            self.0.violated(format!("attempt {attempt} of `{step}` of {instance} has effects and is not on disk"));
        }
    }

    async fn expect_hook_durable(&self, info: &ExecutionInfo) {
        let instance = self.0.store.load_instance(info.instance).await.unwrap().unwrap();
        let active = &instance.state.control.active;
        let active = active.iter().find(|active| active.number.id(info.instance) == info.execution);
        // Somebody may have ended it since.
        if active.is_some_and(|active| !matches!(active.phase, Phase::FailureHook { begun: true, .. })) {
            self.0.violated(format!("`on-failure` of `{}` has effects and is not on disk: {active:?}", info.step));
        }
    }
}

#[async_trait]
impl StepRunner for Guests {
    async fn inspect(&self, bytes: Arc<[u8]>) -> Result<ComponentFacts, ComponentRefused> {
        let capabilities = if *bytes == *EFFECTFUL { vec![Capability::Http] } else { Vec::new() };
        Ok(ComponentFacts { exports: ComponentExports::Step, capabilities, manifest: None })
    }

    async fn prepare(&self, _: Option<&TenantId>, _: ComponentDigest, _: Arc<[u8]>) -> Result<(), ComponentRefused> {
        Ok(())
    }

    fn is_prepared(&self, _: &ComponentDigest) -> bool {
        true
    }

    async fn run(&self, call: StepCall) -> AttemptReport {
        let info = &call.info;
        let name = self.0.name(info.instance);
        self.0.note(format!("{name}: attempt {} of `{}` runs", info.attempt, info.step));
        self.0.seen().attempts += 1;
        let mut dice = self.dice(info, "attempt");
        if call.component == ComponentDigest::of(EFFECTFUL) {
            self.expect_durable(info).await;
            self.0.accept(info.execution, info.attempt, "execute");
        }
        self.take_time(info, &mut dice).await;
        let how = self.how(info, &mut dice);
        let mut writes = ContextWrites::new();
        let outcome = match how {
            How::Well => {
                writes.insert(ContextKey::new("last").unwrap(), Some(json!(info.step.as_str()).into()));
                AttemptOutcome::Succeeded(json!({"step": info.step.as_str(), "attempt": info.attempt}).into())
            }
            How::FailsForNow => AttemptOutcome::Failed(Failure::from_guest("busy", "not yet".into(), true)),
            How::FailsForGood => AttemptOutcome::Failed(Failure::from_guest("broken", "it broke".into(), false)),
            How::Skips => AttemptOutcome::Skipped,
        };
        AttemptReport { outcome, writes, hook_failure: None, trace: AttemptTrace::default() }
    }

    async fn run_gateway(&self, _: StepCall, _: Vec<StepName>) -> AttemptReport {
        unreachable!("no gateway of these definitions is a component")
    }

    async fn run_failure_hook(&self, call: StepCall, _: Failure) -> HookReport {
        let info = &call.info;
        let name = self.0.name(info.instance);
        self.0.note(format!("{name}: `on-failure` of `{}` runs", info.step));
        let mut dice = self.dice(info, "hook");
        if call.component == ComponentDigest::of(EFFECTFUL) {
            self.expect_hook_durable(info).await;
            self.0.accept(info.execution, info.attempt, "on-failure");
        }
        self.take_time(info, &mut dice).await;
        let failure = dice.happens(200).then(|| Failure::from_guest("sorry", "the hook broke".into(), false));
        HookReport { writes: ContextWrites::new(), failure, trace: AttemptTrace::default() }
    }
}
