//! The test kit: one run of a definition, moved by hand, with every promise of a transition checked at each move.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses another part of the kit")]

mod ledger;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stepcell_model::attempt::{AttemptOutcome, AttemptReport, AttemptTrace, ContextData, ContextWrites, HookReport};
use stepcell_model::audit::{Kept, Violation, audit};
use stepcell_model::chain::ChainHash;
use stepcell_model::definition::{ComponentUse, WorkflowDefinition};
use stepcell_model::failure::Failure;
use stepcell_model::history::{Event, HistoryEntry};
use stepcell_model::id::{ComponentDigest, DefinitionId, ExecutionNumber, InstanceId, TaskId};
use stepcell_model::instance::{Active, Control, InstanceState, Phase, WorkflowInstance};
use stepcell_model::json::Json;
use stepcell_model::letter::Letter;
use stepcell_model::name::{ContextKey, UserId};
use stepcell_model::plan::Plan;
use stepcell_model::record::{CallbackSecret, ExecutionRecord, InstanceIdentity, TaskRecord};
use stepcell_model::status::{StepStatus, TaskStatus, WorkflowStatus};
use stepcell_model::time::Timestamp;
use stepcell_model::transition::{Actor, Cause, Compensation, Refusal, Transition, advance, start};
use stepcell_model::why::{Past, explain};
use uuid::Uuid;

use self::ledger::Ledger;

/// Up to how many transitions each state is explained; the explanation of a long run takes long.
const EXPLAINED_LEN_MAX: usize = 40;

/// When every run begins.
pub const START: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

/// One run of a definition. Each move takes a second, if not told otherwise.
pub struct Run {
    pub plan: Plan,
    pub instance: WorkflowInstance,
    pub records: BTreeMap<ExecutionNumber, ExecutionRecord>,
    pub events: Vec<Event>,
    pub history: Vec<HistoryEntry>,
    pub letters: Vec<Letter>,
    pub tasks: BTreeMap<TaskId, TaskRecord>,
    /// How long each move takes.
    pub pace: Duration,
    pub now: Timestamp,
    ledger: Ledger,
}

pub fn plan_of(definition: WorkflowDefinition) -> Plan {
    let digest = |used: &ComponentUse<'_>| (used.step.clone(), ComponentDigest::of(used.step.as_str().as_bytes()));
    let components = definition.components().iter().map(digest).collect();
    Plan::new(DefinitionId::from_uuid(Uuid::nil()), definition, &components).unwrap()
}

pub fn user(name: &str) -> Actor {
    Actor::user(UserId::new(name).unwrap())
}

pub fn writes(values: &[(&str, Value)]) -> ContextWrites {
    values.iter().map(|(key, value)| (ContextKey::new(key).unwrap(), Some(value.clone().into()))).collect()
}

pub fn report(outcome: AttemptOutcome) -> AttemptReport {
    AttemptReport { outcome, writes: ContextWrites::new(), hook_failure: None, trace: AttemptTrace::default() }
}

pub fn hook() -> HookReport {
    HookReport { writes: ContextWrites::new(), failure: None, trace: AttemptTrace::default() }
}

pub fn fails_for_good() -> AttemptOutcome {
    AttemptOutcome::Failed(Failure::from_guest("broken", "it broke".into(), false))
}

pub fn fails_for_now() -> AttemptOutcome {
    AttemptOutcome::Failed(Failure::from_guest("busy", "not yet".into(), true))
}

impl Run {
    pub fn of(definition: WorkflowDefinition) -> Self {
        Self::with(definition, json!({}))
    }

    pub fn with(definition: WorkflowDefinition, data: Value) -> Self {
        let plan = plan_of(definition);
        let context: ContextData = data
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| (ContextKey::new(key).unwrap(), value.clone().into()))
            .collect();
        let identity = InstanceIdentity {
            id: InstanceId::from_uuid(Uuid::from_u128(7)),
            definition: plan.id,
            workflow_name: plan.definition.name.clone(),
            workflow_version: plan.definition.version.clone(),
            input: data.into(),
            metadata: Arc::default(),
            tenant: None,
            created_by: None,
            correlation_id: None,
            idempotency_key: None,
            parent: None,
            callback_secret: CallbackSecret::from_bytes([7; 32]),
            started_at: START,
        };
        let transition = start(&plan, Arc::new(identity), context);
        let instance = WorkflowInstance::created_by(&transition);
        let mut run = Self {
            plan,
            instance,
            records: BTreeMap::new(),
            events: Vec::new(),
            history: Vec::new(),
            letters: Vec::new(),
            tasks: BTreeMap::new(),
            pace: Duration::from_secs(1),
            now: START,
            ledger: Ledger::default(),
        };
        run.instance.committed(transition.seq, ChainHash::START);
        run.keep(&transition);
        run.check();
        run
    }

    /// Lets something happen, and checks every promise of the transition that follows.
    pub fn tell(&mut self, cause: Cause) -> Result<(), Refusal> {
        self.now = self.now.after(self.pace);
        let transition = advance(&self.plan, &self.instance, cause, self.now)?;
        assert_eq!(transition.seq, self.instance.seq + 1);
        let context_before = Arc::clone(&self.instance.context);
        self.instance.apply(&transition);
        self.instance.committed(transition.seq, ChainHash::START);
        self.keep(&transition);
        self.check_applied(&transition, &context_before);
        self.check();
        if self.history.len() <= EXPLAINED_LEN_MAX || self.status().is_finished() {
            self.check_explained();
            assert_eq!(self.audited(), [], "what is kept fits together: {:#?}", self.events);
        }
        Ok(())
    }

    pub fn status(&self) -> WorkflowStatus {
        self.instance.state.status
    }

    /// The active execution of a step, the oldest where there are several.
    pub fn active(&self, step: &str) -> &Active {
        let mut active = self.instance.state.control.active.iter();
        active.find(|active| active.step.as_str() == step).unwrap_or_else(|| panic!("`{step}` is not active"))
    }

    /// The active steps with their statuses, oldest first.
    pub fn shown(&self) -> Vec<String> {
        let active = self.instance.state.control.active.iter();
        active.map(|active| format!("{} {}", active.step, active.phase.status())).collect()
    }

    /// The executions that have ended, in the order of their ends, such as `a succeeded`.
    pub fn path(&self) -> Vec<String> {
        let mut ended: Vec<_> = self.records.values().filter(|record| record.ended_order.is_some()).collect();
        ended.sort_by_key(|record| record.ended_order);
        ended.iter().map(|record| format!("{} {}", record.step, record.status)).collect()
    }

    /// Lets seconds pass, and does what is due then.
    pub fn pass(&mut self, seconds: u64) {
        self.try_pass(seconds).unwrap();
    }

    pub fn try_pass(&mut self, seconds: u64) -> Result<(), Refusal> {
        self.now = self.now.after(Duration::from_secs(seconds));
        self.tell(Cause::TimeCame)
    }

    pub fn cancel(&mut self, reason: &str) {
        let (reason, compensation) = (reason.to_owned(), Compensation::None);
        self.tell(Cause::Canceled { reason, by: None, compensation }).unwrap();
    }

    pub fn begin(&mut self, step: &str) {
        let execution = self.active(step).number;
        self.tell(Cause::AttemptStarted { execution }).unwrap();
    }

    pub fn end(&mut self, step: &str, report: AttemptReport) {
        let execution = self.active(step).number;
        self.tell(Cause::AttemptEnded { execution, input: Json::null(), report }).unwrap();
    }

    /// Runs one attempt of a step, which returns this.
    pub fn returns(&mut self, step: &str, output: impl Into<Json>) {
        self.begin(step);
        self.end(step, report(AttemptOutcome::Succeeded(output.into())));
    }

    /// Runs each step once; each returns its own name.
    pub fn run(&mut self, steps: &[&str]) {
        for step in steps {
            self.returns(step, json!(step));
        }
    }

    /// Runs a step that fails for good, with its hook.
    pub fn fails(&mut self, step: &str) {
        self.begin(step);
        self.end(step, report(fails_for_good()));
        let execution = self.active(step).number;
        self.tell(Cause::FailureHookStarted { execution }).unwrap();
        self.tell(Cause::FailureHookEnded { execution, input: None, report: hook() }).unwrap();
    }

    pub fn task(&self, step: &str) -> TaskId {
        match self.active(step).phase {
            Phase::AwaitingTask { task, .. } => task,
            ref other => panic!("`{step}` awaits no task but is {other:?}"),
        }
    }

    /// The instance that a step waits for.
    pub fn child(&self, step: &str) -> InstanceId {
        match self.active(step).phase {
            Phase::AwaitingChild { child, .. } => child,
            ref other => panic!("`{step}` awaits no child but is {other:?}"),
        }
    }

    pub fn completes(&mut self, step: &str, data: Value) -> Result<(), Refusal> {
        let task = self.task(step);
        self.tell(Cause::TaskCompleted { task, actor: user("ada"), data: data.into(), comment: None })
    }

    /// What the step before an active step returned.
    pub fn previous(&self, step: &str) -> Option<Value> {
        self.instance.previous_result(self.active(step)).map(|json| json.tree().clone())
    }

    /// Goes on from nothing but what a store would give back.
    pub fn reload(&mut self) {
        let instance = &self.instance;
        let text = serde_json::to_string(&instance.state.control).unwrap();
        let control: Control = serde_json::from_str(&text).unwrap();
        assert_eq!(control, instance.state.control, "what is kept is what was decided");
        let kept = |number: ExecutionNumber| {
            let record = self.records.get(&number)?;
            let given = record.input.as_ref().filter(|_| record.ended_order.is_none());
            Some((number, record.output.as_ref().or(given)?.clone()))
        };
        let mut results: BTreeMap<_, _> = control.referenced_results().into_iter().filter_map(kept).collect();
        results.insert(ExecutionNumber::INPUT, instance.identity.input.clone());
        assert_eq!(results, instance.results, "records tell every result that is needed");
        self.instance = WorkflowInstance {
            results,
            state: InstanceState { control, ..instance.state.clone() },
            ..instance.clone()
        };
    }

    fn keep(&mut self, transition: &Transition) {
        self.ledger.take(&self.plan, transition);
        self.events.extend(transition.events.iter().cloned());
        self.history.push(HistoryEntry {
            position: transition.seq,
            instance: transition.identity.id,
            seq: transition.seq,
            at: transition.at,
            events: transition.events.clone(),
        });
        self.letters.extend(transition.letters.iter().cloned());
        self.tasks.extend(transition.tasks.iter().map(|task| (task.id, task.clone())));
        for record in &transition.executions {
            let before = self.records.insert(record.number, record.clone());
            let had_ended = before.is_some_and(|before| before.ended_order.is_some());
            assert!(!had_ended, "execution {} of `{}` ended a second time", record.number, record.step);
        }
    }

    /// What `apply` makes of the instance is what the transition says.
    fn check_applied(&self, transition: &Transition, context_before: &ContextData) {
        assert_eq!(self.instance.state, transition.state);
        let mut context = context_before.clone();
        for (key, value) in &transition.writes {
            match value {
                Some(value) => drop(context.insert(key.clone(), value.clone())),
                None => drop(context.remove(key)),
            }
        }
        assert_eq!(*self.instance.context, context);
        let pending = transition.tasks.iter().filter(|task| task.status == TaskStatus::Pending);
        for task in pending {
            assert_eq!(self.instance.tasks.get(&task.execution), Some(task));
        }
    }

    /// What an audit finds of the rows that a store would have.
    pub fn audited(&self) -> Vec<Violation> {
        let mut executions: Vec<_> = self.records.values().cloned().collect();
        executions.sort_by_key(|record| (record.ended_order.unwrap_or(u32::MAX), record.number));
        let tasks: Vec<_> = self.tasks.values().cloned().collect();
        let (history, plan) = (&self.history, Some(&self.plan));
        audit(&Kept { instance: &self.instance, history, executions: &executions, tasks: &tasks, plan })
    }

    /// Every branch and every end is explained, in sentences.
    fn check_explained(&self) {
        let told = explain(&self.plan, &self.instance, &self.history);
        for active in &self.instance.state.control.active {
            let is_told = told.now.iter().any(|point| point.execution == Some(active.number));
            assert!(is_told, "nothing is told of {active:?}");
        }
        assert!(!told.now.is_empty());
        let texts = told.now.iter().map(|point| &point.text).chain(told.past.iter().map(|point| &point.text));
        for text in texts {
            assert!(text.len() > 1 && text.ends_with('.') && !text.ends_with(".."), "{text}");
        }
        let canceled = self.events.iter().filter(|event| matches!(event, Event::StepCanceled { .. })).count();
        let reasons = told.past.iter().filter_map(|point| match &point.what {
            Past::Canceled { reason } => Some(reason),
            _ => None,
        });
        let reasons: Vec<_> = reasons.collect();
        assert_eq!(reasons.len(), canceled);
        let is_known = |reason: &&&String| reason.as_str() != "its branch ended";
        assert_eq!(reasons.iter().filter(is_known).count(), canceled, "{:?}", told.past);
    }

    /// What holds of every instance between two transitions.
    pub fn check(&self) {
        let (state, control) = (&self.instance.state, &self.instance.state.control);
        let numbers: Vec<_> = control.active.iter().map(|active| active.number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "active executions stand oldest first, each once: {numbers:?}");
        let ends: BTreeSet<_> = self.records.values().filter_map(|record| record.ended_order).collect();
        assert_eq!(ends, (1..=control.ended).collect(), "every end has its own place");
        self.ledger.check(&self.plan, &self.instance);
        if state.status.is_finished() {
            let ended = self.ledger.ended.iter().map(|number| self.records[number].ended_order);
            assert!(ended.eq((1..=control.ended).map(Some)), "history tells the ends in their order");
        }
        assert_eq!(control.executions - control.ended, u32::try_from(numbers.len()).unwrap(), "nothing is lost");

        let all_wait = control.active.iter().all(|active| active.phase.is_waiting());
        match state.status {
            WorkflowStatus::Running => assert!(!all_wait, "running, and nothing can move: {numbers:?}"),
            WorkflowStatus::Waiting => assert!(all_wait && !numbers.is_empty()),
            WorkflowStatus::Completed | WorkflowStatus::Failed | WorkflowStatus::Canceled => {
                assert!(numbers.is_empty(), "finished with active executions");
                assert!(state.completed_at.is_some());
                assert_eq!(state.wake_at, None, "nobody is to wake what is finished");
            }
            WorkflowStatus::Paused => assert_eq!(state.wake_at, None, "nobody is to wake what is held"),
            WorkflowStatus::Pending => panic!("nothing leads to {}", state.status),
        }
        assert_eq!(state.error.is_some(), matches!(state.status, WorkflowStatus::Failed | WorkflowStatus::Canceled));
        assert!(state.current_step.is_some());
        let moves = |active: &Active| active.phase != Phase::Joining;
        let is_held = state.status == WorkflowStatus::Paused;
        assert!(
            state.status.is_finished() || is_held || control.active.iter().any(moves),
            "stuck: {:?}",
            control.active
        );

        let awaited: BTreeSet<_> = control
            .active
            .iter()
            .filter(|active| matches!(active.phase, Phase::AwaitingTask { .. }))
            .map(|active| active.number)
            .collect();
        assert_eq!(
            self.instance.tasks.keys().copied().collect::<BTreeSet<_>>(),
            awaited,
            "one task for each that waits"
        );
        for number in control.referenced_results() {
            let is_group =
                matches!(control.find_active(number).map(|active| &active.phase), Some(Phase::RunningParts(_)));
            let is_kept = self.instance.results.contains_key(&number);
            assert!(is_kept || is_group, "the result of execution {number} is kept");
        }
        for record in self.records.values().filter(|record| record.ended_order.is_none()) {
            assert!(matches!(record.status, StepStatus::Waiting | StepStatus::Running), "{record:?}");
            assert!(numbers.contains(&record.number));
        }
    }
}
