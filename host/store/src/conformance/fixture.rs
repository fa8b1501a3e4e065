//! What the suite stores: small on purpose, but for one instance that uses every field.

use std::sync::Arc;

use serde_json::json;
use stepcell_model::chain::ChainHash;
use stepcell_model::component::{Capability, ComponentExports};
use stepcell_model::failure::{EngineCode, Failure, InstanceError};
use stepcell_model::history::Event;
use stepcell_model::id::{ComponentDigest, DefinitionId, ExecutionNumber, InstanceId};
use stepcell_model::instance::{
    Active, Arrival, CallbackState, Control, InstanceState, PartEnd, Parts, Phase, Place, Undoing, WorkflowInstance,
};
use stepcell_model::json::Json;
use stepcell_model::letter::{ChildOutcome, ChildStart, Letter};
use stepcell_model::name::{ComponentName, ContextKey, GroupId, StepName, TenantId, UserId, WorkflowName};
use stepcell_model::record::{
    CallbackSecret, ComponentRecord, DefinitionRecord, ExecutionRecord, InstanceIdentity, KeptMessage, MessageChange,
    ParentLink, TaskRecord,
};
use stepcell_model::status::{StepStatus, StepType, TaskStatus, WorkflowStatus};
use stepcell_model::time::Timestamp;
use stepcell_model::transition::{Compensation, Transition};
use uuid::Uuid;

use crate::{StoreError, WorkflowStore};

const VALID: &str = "names in the suite are well formed";

/// The name of a step.
#[must_use]
pub fn step(name: &str) -> StepName {
    StepName::new(name).expect(VALID)
}

/// A context key.
#[must_use]
pub fn key(name: &str) -> ContextKey {
    ContextKey::new(name).expect(VALID)
}

/// A user.
#[must_use]
pub fn user(name: &str) -> UserId {
    UserId::new(name).expect(VALID)
}

/// A group.
#[must_use]
pub fn group(name: &str) -> GroupId {
    GroupId::new(name).expect(VALID)
}

/// A tenant.
#[must_use]
pub fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect(VALID)
}

/// A workflow's name.
#[must_use]
pub fn workflow(name: &str) -> WorkflowName {
    WorkflowName::new(name).expect(VALID)
}

/// A version.
#[must_use]
pub fn version(text: &str) -> semver::Version {
    text.parse().expect(VALID)
}

/// A point that many milliseconds after the suite's own beginning of time.
#[must_use]
pub const fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000 + ms)
}

/// The id of the instance with that number; greater ones are newer.
#[must_use]
pub const fn instance(number: u128) -> InstanceId {
    InstanceId::from_uuid(Uuid::from_u128(number))
}

/// A component with the given content.
#[must_use]
pub fn component(name: &str, text: &str, bytes: &[u8]) -> ComponentRecord {
    ComponentRecord {
        digest: ComponentDigest::of(bytes),
        name: ComponentName::new(name).expect(VALID),
        version: version(text),
        manifest: Some(json!({ "name": name }).into()),
        size_bytes: bytes.len() as u64,
        created_at: at(5),
        exports: ComponentExports::Step,
        capabilities: vec![Capability::Secrets, Capability::Http],
        tenant: Some(tenant("acme")),
    }
}

/// A definition whose id follows from its name and version.
#[must_use]
pub fn definition(name: &str, text: &str) -> DefinitionRecord {
    DefinitionRecord {
        id: definition_id(name, text),
        tenant: None,
        name: workflow(name),
        version: version(text),
        description: Some("For the suite.".to_owned()),
        document: json!({ "name": name, "version": text, "factor": 1.5 }).into(),
        components: vec![
            (step("b"), ComponentDigest::of(b"component b")),
            (step("a"), ComponentDigest::of(b"component a")),
        ],
        pure_steps: vec![step("a")],
        is_active: true,
        created_at: at(7),
    }
}

fn definition_id(name: &str, version: &str) -> DefinitionId {
    DefinitionId::from_uuid(Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{name}@{version}").as_bytes()))
}

/// Registers the definition that [`start`] starts on.
///
/// # Errors
/// What the store says.
pub async fn register(store: &Arc<dyn WorkflowStore>) -> Result<(), StoreError> {
    store.insert_definition(definition("expense", "1.0.0")).await.map(drop)
}

/// Loads an instance that the test has stored.
///
/// # Errors
/// What the store says.
///
/// # Panics
/// If there is no such instance.
pub async fn load(store: &Arc<dyn WorkflowStore>, number: u128) -> Result<WorkflowInstance, StoreError> {
    Ok(store.load_instance(instance(number)).await?.expect("the instance was stored"))
}

/// The first transition of a plain instance of `expense@1.0.0`: it runs its first step.
#[must_use]
pub fn start(number: u128) -> Transition {
    start_as(number, |_| {})
}

/// As [`start`], with changes to what never changes later.
#[must_use]
pub fn start_as(number: u128, change: impl FnOnce(&mut InstanceIdentity)) -> Transition {
    let mut identity = InstanceIdentity {
        id: instance(number),
        definition: definition_id("expense", "1.0.0"),
        workflow_name: workflow("expense"),
        workflow_version: version("1.0.0"),
        input: json!({ "number": number.to_string() }).into(),
        metadata: Arc::default(),
        tenant: None,
        created_by: None,
        correlation_id: None,
        idempotency_key: None,
        parent: None,
        callback_secret: CallbackSecret::from_bytes([number.to_le_bytes()[0]; 32]),
        started_at: at(0),
    };
    change(&mut identity);
    Transition {
        identity: Arc::new(identity),
        seq: 1,
        chain: ChainHash::START,
        at: at(0),
        state: running(),
        writes: [].into(),
        executions: Vec::new(),
        tasks: Vec::new(),
        messages: Vec::new(),
        letters: Vec::new(),
        events: vec![Event::WorkflowStarted { user: None }],
    }
}

/// The transition after `last`, which changes nothing but the number.
#[must_use]
pub fn after(last: &Transition) -> Transition {
    Transition {
        chain: link_of(last),
        seq: last.seq + 1,
        at: at(1),
        writes: [].into(),
        executions: Vec::new(),
        tasks: Vec::new(),
        messages: Vec::new(),
        letters: Vec::new(),
        events: vec![Event::WorkflowResumed { by: None }],
        ..last.clone()
    }
}

/// The link that a transition gets.
///
/// # Panics
/// If its events can not be written as JSON.
#[must_use]
pub fn link_of(transition: &Transition) -> ChainHash {
    transition.link(&serde_json::to_string(&transition.events).expect("events of the suite are JSON"))
}

/// The state of an instance that runs its first step.
#[must_use]
pub fn running() -> InstanceState {
    InstanceState {
        status: WorkflowStatus::Running,
        current_step: Some(step("first")),
        error: None,
        result: None,
        completed_at: None,
        wake_at: None,
        control: Control {
            executions: 1,
            active: vec![active(1, &[])],
            events: 1,
            history_bytes: 10,
            ..Control::default()
        },
    }
}

/// A state with another status.
#[must_use]
pub fn with_status(status: WorkflowStatus) -> InstanceState {
    InstanceState { status, ..running() }
}

/// An active execution that was reached from others: by number, and whether they have a result.
#[must_use]
pub fn active(number: u32, arrivals: &[(u32, bool)]) -> Active {
    let arrival = |&(number, has_result): &(u32, bool)| Arrival {
        step: step(&format!("step-{number}")),
        execution: ExecutionNumber(number),
        has_result,
        item: None,
    };
    Active {
        number: ExecutionNumber(number),
        step: step(&format!("step-{number}")),
        phase: Phase::Scheduled { not_before: None },
        arrivals: arrivals.iter().map(arrival).collect(),
        attempts: 0,
        activated_at: at(0),
        started_at: None,
        place: Place::Graph,
        absorbed_at: [].into(),
        parked: None,
    }
}

/// An execution that has succeeded as the `ended_order`-th of its instance.
#[must_use]
pub fn execution(number: u32, ended_order: u32) -> ExecutionRecord {
    ExecutionRecord {
        number: ExecutionNumber(number),
        step: step(&format!("step-{number}")),
        step_type: StepType::Machine,
        status: StepStatus::Succeeded,
        attempts: 1,
        input: Some(json!({ "given": number }).into()),
        output: Some(json!({ "returned": number }).into()),
        failure: None,
        started_at: at(10),
        completed_at: Some(at(20)),
        ended_order: Some(ended_order),
        assigned_to: None,
        completed_by: None,
        part_of: None,
        item: None,
    }
}

/// A pending task of an instance, assigned to nobody.
#[must_use]
pub fn task(number: u128, execution: u32) -> TaskRecord {
    let (instance, execution) = (instance(number), ExecutionNumber(execution));
    TaskRecord {
        id: execution.task_id(instance),
        instance,
        execution,
        step: step("review"),
        tenant: None,
        title: "Approve expense".to_owned(),
        description: None,
        form_schema: None,
        assignee: None,
        group: None,
        due_at: None,
        reminder_at: None,
        status: TaskStatus::Pending,
        created_at: at(30),
        completed_at: None,
        completed_by: None,
        comment: None,
    }
}

/// A failure that uses every field.
#[must_use]
pub fn failure() -> Failure {
    let mut failure = Failure::engine(EngineCode::Cpu, "it used up its \"second\"\nof CPU time \u{1F552}");
    failure.retry_after_ms = Some(1_500);
    failure.details = Some(json!({ "cpu_us": 1_000_001, "share": 0.5, "deep": [[{}]] }).into());
    failure
}

/// A task that uses every field.
#[must_use]
pub fn full_task(number: u128, execution: u32) -> TaskRecord {
    TaskRecord {
        tenant: Some(tenant("acme")),
        description: Some("At length.".to_owned()),
        form_schema: Some(json!({ "type": "object" }).into()),
        assignee: Some(user("ann")),
        group: Some(group("managers")),
        due_at: Some(at(1_000)),
        reminder_at: Some(at(500)),
        comment: Some("Looks \u{2018}fine\u{2019}".to_owned()),
        completed_at: Some(at(900)),
        completed_by: Some(user("bob")),
        ..task(number, execution)
    }
}

/// The first transition of an instance that uses every field there is.
#[must_use]
pub fn full_start(number: u128) -> Transition {
    let mut transition = start_as(number, |identity| {
        identity.input = Json::trusted(r#"{"b": 1.50, "a": [ ], "text": "ü\u0000'"}"#.to_owned());
        identity.metadata = Arc::new([(key("region"), json!({ "name": "eu" }).into())].into());
        identity.tenant = Some(tenant("acme"));
        identity.created_by = Some(user("ann"));
        identity.correlation_id = Some("order/17".to_owned());
        identity.idempotency_key = Some("start-17".to_owned());
        identity.parent = Some(parent(900, 5));
        identity.started_at = at(-1);
    });
    transition.state = InstanceState {
        status: WorkflowStatus::Waiting,
        current_step: Some(step("review")),
        error: Some(InstanceError::of_step(&step("review"), &failure())),
        result: Some(Json::trusted("[1,  2]".to_owned())),
        completed_at: Some(at(40)),
        wake_at: Some(at(50)),
        control: full_control(number),
    };
    transition.writes = [(key("amount"), Some(json!(12.5).into())), (key("a'b\""), Some(json!(null).into()))].into();
    transition.executions = vec![ExecutionRecord {
        status: StepStatus::Failed,
        failure: Some(failure()),
        assigned_to: Some(user("ann")),
        completed_by: Some(user("bob")),
        part_of: Some(ExecutionNumber(7)),
        item: Some(0),
        ..execution(1, 1)
    }];
    transition.tasks = vec![full_task(number, 2)];
    transition.messages = vec![MessageChange::Kept(message(4))];
    transition.letters = all_letters();
    transition
}

fn full_control(number: u128) -> Control {
    let phases = full_places().into_iter().cycle().zip(full_phases(number));
    let full_active = |((place, phase), number)| Active {
        phase,
        place,
        attempts: 3,
        started_at: Some(at(35)),
        absorbed_at: [step("review")].into(),
        parked: Some("its component is revoked".to_owned()),
        ..active(number, &[(1, true), (1, false)])
    };
    let reached = active(11, &[(1, true)]);
    let error = InstanceError::of_step(&step("review"), &failure());
    Control {
        executions: 10,
        ended: 1,
        active: phases.zip(2..).map(full_active).collect(),
        events: 9,
        history_bytes: 99,
        user: Some(user("bob")),
        paused_at: Some(at(33)),
        messages: 4,
        callbacks: [(step("receipt"), CallbackState { taken: 2, ids: vec!["a".to_owned(), "b".to_owned()] })].into(),
        undoable: reached.arrivals.iter().map(|arrival| Arrival { item: Some(3), ..arrival.clone() }).collect(),
        undoing: Some(Undoing { end: WorkflowStatus::Canceled, error, by: Some(user("ann")) }),
        frontier: vec![reached],
    }
}

fn full_places() -> [Place; 4] {
    let of = ExecutionNumber(1);
    [Place::Graph, Place::Member { of, slot: 2 }, Place::Callback { of }, Place::Undo { of }]
}

fn full_phases(number: u128) -> [Phase; 9] {
    [
        Phase::Joining,
        Phase::Scheduled { not_before: Some(at(60)) },
        Phase::Running,
        Phase::FailureHook { failure: failure(), begun: true },
        Phase::AwaitingTask {
            task: ExecutionNumber(2).task_id(instance(number)),
            remind_at: Some(at(61)),
            overdue_at: Some(at(62)),
            timeout_at: Some(at(63)),
        },
        Phase::AwaitingTime { until: at(64) },
        Phase::AwaitingMessage { timeout_at: Some(at(65)) },
        Phase::AwaitingChild { child: instance(901), timeout_at: Some(at(66)) },
        Phase::RunningParts(Parts {
            total: 5,
            next: 4,
            ended: vec![part_end(1, true)],
            failed: 1,
            failure: Some(failure()),
        }),
    ]
}

/// A part that ended: by execution, and whether it has a result.
#[must_use]
pub const fn part_end(number: u32, has_result: bool) -> PartEnd {
    PartEnd { slot: number, execution: ExecutionNumber(number), has_result }
}

/// The link to an execution of the instance with that number.
#[must_use]
pub const fn parent(number: u128, execution: u32) -> ParentLink {
    ParentLink { instance: instance(number), execution: ExecutionNumber(execution), depth: 2 }
}

/// A message that came early.
#[must_use]
pub fn message(number: u32) -> KeptMessage {
    KeptMessage { number, step: step("receipt"), payload: json!({ "message": number, "text": "ü\n'" }).into() }
}

/// A letter to the instance with that number.
#[must_use]
pub fn letter(number: u128) -> Letter {
    Letter::CancelChild {
        child: instance(number),
        reason: "the step's \"time\" is over".to_owned(),
        compensation: Compensation::Undo,
    }
}

/// One letter of each kind, with every field.
#[must_use]
pub fn all_letters() -> Vec<Letter> {
    let (parent, child) = (parent(900, 5), instance(901));
    let ended = |outcome| Letter::ChildEnded { parent, child, outcome };
    let error = InstanceError::of_step(&step("review"), &failure());
    let start = ChildStart {
        child,
        parent,
        workflow: workflow("travel"),
        version: Some("2.0.0".parse().expect(VALID)),
        data: json!({ "amount": 12.5, "text": "ü" }).into(),
    };
    vec![
        Letter::StartChild(ChildStart { version: None, ..start.clone() }),
        Letter::StartChild(start),
        letter(902),
        ended(ChildOutcome::Completed { result: Some(json!([1, null]).into()) }),
        ended(ChildOutcome::Completed { result: None }),
        ended(ChildOutcome::Failed { error }),
    ]
}
