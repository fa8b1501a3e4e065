//! Everything that can happen to an instance, and the world around it: people, senders, children, operators, time.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses another part of the moves")]

use proptest::prelude::*;
use serde_json::json;
use stepcell_model::attempt::{AttemptOutcome, AttemptReport, AttemptTrace, ContextWrites, HookReport};
use stepcell_model::failure::{EngineCode, Failure, InstanceError};
use stepcell_model::id::ExecutionNumber;
use stepcell_model::instance::{Active, Phase};
use stepcell_model::json::Json;
use stepcell_model::letter::ChildOutcome;
use stepcell_model::name::{SignalName, StepName};
use stepcell_model::plan::{MessageSource, PlannedKind};
use stepcell_model::status::WorkflowStatus;
use stepcell_model::time::Timestamp;
use stepcell_model::transition::{Cause, Compensation, Refusal, advance};

use crate::kit::{Run, fails_for_good, fails_for_now, report, user, writes};

/// Moves after which an instance must have ended: far more than its executions and their attempts can take.
const MOVES_MAX: usize = 2_000;

/// How one thing comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Well,
    FailsForNow,
    FailsForGood,
    Skips,
}

/// What somebody outside does before the next thing happens by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wild {
    Nothing,
    Pause,
    Resume,
    Cancel(Compensation),
    /// The host goes down and comes back.
    Restart,
    /// A signal, whoever waits for it.
    Signal,
    /// A callback for one of the webhook steps: early, in time or late; often the same one again.
    Deliver(u8),
    /// Somebody looks whether a time has come.
    Look,
    Retry,
}

/// One move: what happens outside, then which of the things that can happen next, and how.
pub type Move = (Wild, u8, How);

pub fn moves() -> impl Strategy<Value = Vec<Move>> {
    let wild = prop_oneof![
        24 => Just(Wild::Nothing),
        1 => Just(Wild::Pause),
        2 => Just(Wild::Resume),
        1 => prop_oneof![3 => Just(Wild::Restart), 1 => cancel()],
        2 => Just(Wild::Signal),
        2 => (0..4_u8).prop_map(Wild::Deliver),
        2 => Just(Wild::Look),
        3 => Just(Wild::Retry),
    ];
    let how = prop_oneof![
        8 => Just(How::Well),
        1 => Just(How::FailsForNow),
        2 => Just(How::FailsForGood),
        1 => Just(How::Skips),
    ];
    prop::collection::vec((wild, any::<u8>(), how), 0..60)
}

fn cancel() -> impl Strategy<Value = Wild> {
    prop_oneof![Just(Wild::Cancel(Compensation::None)), Just(Wild::Cancel(Compensation::Undo))]
}

/// Something that can happen next.
#[derive(Clone, Debug)]
pub struct Next {
    pub cause: Cause,
    /// Time passes until then before.
    pub until: Option<Timestamp>,
}

impl Next {
    pub const fn now(cause: Cause) -> Self {
        Self { cause, until: None }
    }

    pub const fn at(until: Timestamp) -> Self {
        Self { cause: Cause::TimeCame, until: Some(until) }
    }
}

/// Everything that can happen to an instance as it is, by itself or by those whom it waits for.
pub fn possible(run: &Run, how: How) -> Vec<Next> {
    let control = &run.instance.state.control;
    if control.paused_at.is_some() {
        let under_way = control.active.iter().filter(|active| goes_on_while_paused(&active.phase));
        let under_way = under_way.filter_map(|active| next_of(run, active, how)).map(Next::now);
        return under_way.chain([Next::now(Cause::Resumed { by: None })]).collect();
    }
    let told = control.active.iter().filter_map(|active| next_of(run, active, how)).map(Next::now);
    let waits = control.active.iter().filter(|active| !matches!(active.phase, Phase::Scheduled { .. }));
    told.chain(waits.filter_map(|active| active.phase.wake_at()).map(Next::at)).collect()
}

const fn goes_on_while_paused(phase: &Phase) -> bool {
    !matches!(phase, Phase::Scheduled { .. } | Phase::FailureHook { begun: false, .. })
}

/// What happens next to one execution, but for time.
pub fn next_of(run: &Run, active: &Active, how: How) -> Option<Cause> {
    let execution = active.number;
    let value = || Json::from(json!({active.step.as_str(): execution.0}));
    Some(match &active.phase {
        Phase::Joining | Phase::RunningParts(_) | Phase::AwaitingTime { .. } => return None,
        Phase::Scheduled { .. } => Cause::AttemptStarted { execution },
        Phase::Running => Cause::AttemptEnded {
            execution,
            input: Json::null(),
            report: attempt(active.step.as_str(), execution, how),
        },
        Phase::FailureHook { begun: false, .. } => Cause::FailureHookStarted { execution },
        Phase::FailureHook { begun: true, .. } => {
            let report = HookReport { writes: ContextWrites::new(), failure: None, trace: AttemptTrace::default() };
            Cause::FailureHookEnded { execution, input: None, report }
        }
        Phase::AwaitingTask { task, .. } => {
            Cause::TaskCompleted { task: *task, actor: user("ada"), data: value(), comment: None }
        }
        Phase::AwaitingMessage { .. } => match source(run, &active.step) {
            MessageSource::Signal(signal) => Cause::Signaled { signal, payload: value() },
            MessageSource::Webhook { .. } => {
                // Any execution of the step may take it, so it is no one's own.
                let id = Some(format!("after {} events", run.events.len()));
                Cause::Delivered { step: active.step.clone(), id, payload: value() }
            }
        },
        Phase::AwaitingChild { child, .. } => {
            let outcome = match how {
                How::Well | How::Skips => ChildOutcome::Completed { result: Some(value()) },
                How::FailsForNow | How::FailsForGood => {
                    let failure = Failure::engine(EngineCode::Host, "the child failed");
                    ChildOutcome::Failed { error: InstanceError::of(&failure) }
                }
            };
            Cause::ChildEnded { execution, child: *child, outcome }
        }
    })
}

fn attempt(step: &str, execution: ExecutionNumber, how: How) -> AttemptReport {
    let outcome = match how {
        How::Well => AttemptOutcome::Succeeded(json!({step: execution.0}).into()),
        How::FailsForNow => fails_for_now(),
        How::FailsForGood => fails_for_good(),
        How::Skips => AttemptOutcome::Skipped,
    };
    let writes = if how == How::Well { writes(&[("last", json!(step))]) } else { ContextWrites::new() };
    AttemptReport { writes, ..report(outcome) }
}

fn source(run: &Run, step: &StepName) -> MessageSource {
    match &run.plan.step(run.plan.find(step).unwrap()).kind {
        PlannedKind::Message(message) => message.source.clone(),
        other => panic!("`{step}` waits for no message: {other:?}"),
    }
}

/// Tells an instance something twice: the second time it is refused, or nothing changes.
///
/// A signal has no id, so a second one is another message; and a retry that fails at once can be retried again.
pub fn tell(run: &mut Run, cause: &Cause) -> Result<(), Refusal> {
    run.tell(cause.clone())?;
    let may_repeat = matches!(cause, Cause::Signaled { .. })
        || matches!(cause, Cause::Retried { .. }) && run.status() == WorkflowStatus::Failed;
    if !may_repeat && let Ok(again) = advance(&run.plan, &run.instance, cause.clone(), run.now) {
        assert_eq!(again.state, run.instance.state, "a second time, something changes: {cause:?}");
        assert!(again.events.is_empty() && again.letters.is_empty() && again.writes.is_empty(), "{cause:?}");
        assert!(again.executions.is_empty() && again.tasks.is_empty() && again.messages.is_empty(), "{cause:?}");
    }
    Ok(())
}

/// Lets one of the things happen that can happen next.
pub fn happen(run: &mut Run, next: &Next) {
    run.now = run.now.max(next.until.unwrap_or(run.now));
    tell(run, &next.cause).expect("what is possible is not refused");
}

/// Drives a run to its end as a host does that has room for everything: whatever can begin does so at once. It goes down
/// whenever somebody would have paused, resumed or retried the instance.
pub fn drive_broadly(run: &mut Run, moves: &[Move]) {
    let begins = |next: &Next| matches!(next.cause, Cause::AttemptStarted { .. } | Cause::FailureHookStarted { .. });
    let mut moves = moves.iter().copied();
    for _ in 0..MOVES_MAX {
        if run.status().is_finished() {
            return;
        }
        let next = possible(run, How::Well);
        if let Some(next) = next.iter().find(|next| begins(next)) {
            happen(run, next);
            continue;
        }
        let (wild, which, how) = moves.next().unwrap_or((Wild::Nothing, 0, How::Well));
        if matches!(wild, Wild::Pause | Wild::Resume | Wild::Retry | Wild::Restart) {
            happen_outside(run, Wild::Restart);
            continue;
        }
        let mut next = possible(run, how);
        let next = next.swap_remove(usize::from(which) % next.len());
        happen(run, &next);
    }
    panic!("no end after {MOVES_MAX} moves: {:?}", run.shown());
}

/// Lets something happen outside, which may be refused.
fn happen_outside(run: &mut Run, wild: Wild) {
    let cause = match wild {
        Wild::Nothing => return,
        Wild::Pause => Cause::Paused { by: None },
        Wild::Resume => Cause::Resumed { by: None },
        Wild::Cancel(compensation) => Cause::Canceled { reason: "enough".into(), by: None, compensation },
        Wild::Restart => {
            run.reload();
            Cause::HostRestarted
        }
        Wild::Signal => Cause::Signaled { signal: SignalName::new("go").unwrap(), payload: json!("early").into() },
        Wild::Deliver(which) => {
            let is_webhook = |kind: &PlannedKind| matches!(kind, PlannedKind::Message(message) if matches!(message.source, MessageSource::Webhook { .. }));
            let steps: Vec<_> = run.plan.steps().filter(|step| is_webhook(&step.kind)).collect();
            let Some(step) = steps.get(usize::from(which) % steps.len().max(1)) else { return };
            let id = (which % 2 == 0).then(|| "the same".to_owned());
            Cause::Delivered { step: step.name.clone(), id, payload: json!("called").into() }
        }
        Wild::Look => Cause::TimeCame,
        Wild::Retry => Cause::Retried { from: None, by: None },
    };
    let is_lasting = matches!(cause, Cause::Delivered { id: None, .. });
    let _ = if is_lasting { run.tell(cause) } else { tell(run, &cause) };
}

/// Drives a run to its end; after the moves everything goes well, the oldest first.
pub fn drive(run: &mut Run, moves: &[Move]) {
    for index in 0..MOVES_MAX {
        let (wild, which, how) = moves.get(index).copied().unwrap_or((Wild::Nothing, 0, How::Well));
        happen_outside(run, wild);
        if run.status().is_finished() {
            if index >= moves.len() || run.status() != WorkflowStatus::Failed {
                return;
            }
            continue;
        }
        let mut next = possible(run, how);
        assert!(!next.is_empty(), "stuck: {:?}", run.shown());
        let next = next.swap_remove(usize::from(which) % next.len());
        happen(run, &next);
    }
    panic!("no end after {MOVES_MAX} moves: {:?}", run.shown());
}
