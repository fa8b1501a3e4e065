//! The sentences: one a point, for people.

use super::now::Facts;
use super::past::Trail;
use super::{EdgeReason, Now, Past};
use crate::definition::Outcome;
use crate::expression::ValueRead;
use crate::history::Hook;
use crate::instance::{Active, Place};
use crate::name::{GroupId, PredicateName, StepName, UserId};
use crate::plan::{GroupMode, Plan, PlannedForEach, PlannedGroup, PlannedKind};
use crate::time::Timestamp;

/// What holds of an instance as a whole.
pub(super) fn now_in_words(plan: &Plan, step: Option<&StepName>, what: &Now) -> String {
    let at = step.map(|step| format!(" at `{step}`")).unwrap_or_default();
    match what {
        Now::Held { by } => format!("It is held{}: nothing new begins until it is resumed.", by_whom(by.as_ref())),
        Now::Undoing { end, error, left } => {
            let left = if *left == 0 { String::new() } else { format!(", with {left} more to come") };
            format!("What it did is being undone{left}; then it ends as {end}{at}: {}.", error.message)
        }
        Now::KeptMessage { .. } => {
            let step = step.map(StepName::as_str).unwrap_or_default();
            format!("A message for `{step}` came early; it is kept until the step is reached.")
        }
        Now::Completed => match step {
            Some(step) if terminates(plan, step) => format!("It completed: `{step}` ended every branch."),
            Some(step) => format!("It completed: every branch came to its end, `{step}` last."),
            None => "It completed: every branch came to its end.".to_owned(),
        },
        Now::Failed { error } => format!("It failed{at}: {}: {}.", error.code, error.message),
        Now::RetryFrom { steps } if steps.is_empty() => "It can not be retried, as what it did was undone.".to_owned(),
        Now::RetryFrom { steps } => format!("A retry goes on at {}.", listed(steps)),
        Now::Canceled { reason, by } => format!("It was canceled{}: {reason}.", by_whom(by.as_ref())),
        _ => String::new(),
    }
}

fn terminates(plan: &Plan, step: &StepName) -> bool {
    plan.find(step).is_some_and(|index| plan.step(index).terminates)
}

/// What a branch waits for.
pub(super) fn wait_in_words(facts: &Facts<'_>, active: &Active, what: &Now) -> String {
    let step = named(&active.step, item_of(facts, active));
    match what {
        Now::Person { title, assignee, group, due_at, overdue, timeout_at, .. } => {
            let due = match (due_at, overdue) {
                (Some(at), true) => format!("; it was due at {at} and is overdue"),
                (Some(at), false) => format!("; it is due at {at}"),
                (None, _) => String::new(),
            };
            let whom = whom(assignee.as_ref(), group.as_ref());
            format!("{step} waits for {whom} to do the task \"{title}\"{due}{}.", given_up(*timeout_at))
        }
        Now::Time { until } => format!("{step} waits until {until}."),
        Now::Callback { signed, timeout_at } => {
            let what = if *signed { "a signed callback" } else { "its callback" };
            format!("{step} waits for {what}{}.", given_up(*timeout_at))
        }
        Now::Signal { signal, timeout_at } => {
            format!("{step} waits for the signal `{signal}`{}.", given_up(*timeout_at))
        }
        Now::Join { others, arrived } => format!(
            "{step} waits for the other branches that can still come to it, now at {}; it was reached from {}.",
            listed(others),
            listed(arrived)
        ),
        Now::Retry { attempt, attempts_max, until, failure } => {
            let why = failure.as_ref().map(|failure| format!(" ({failure})")).unwrap_or_default();
            format!("{step} waits until {until} to be tried again: attempt {attempt} of {attempts_max} failed{why}.")
        }
        Now::Parked { reason } => {
            format!("{step} is held back: {} It goes on once the component may run again.", ended(reason))
        }
        Now::Room => format!("{step} is ready, and begins as soon as there is room."),
        Now::Reached => format!("{step} was reached, and begins once the instance is resumed."),
        Now::Attempt { attempt, attempts_max } => format!("{step} runs: attempt {attempt} of {attempts_max}."),
        Now::FailureHook { failure } => {
            format!("{step} has failed ({failure}), and its `on-failure` runs before that is acted on.")
        }
        Now::Child { child, workflow, timeout_at } => {
            let of = workflow.as_ref().map(|name| format!(" of `{name}`")).unwrap_or_default();
            format!("{step} waits for instance {child}{of} to finish{}.", given_up(*timeout_at))
        }
        Now::Parts { .. } => format!("{step} {}.", parts(facts, active, what)),
        _ => String::new(),
    }
}

/// The item that an execution, or the group that it is a member of, runs for.
fn item_of(facts: &Facts<'_>, active: &Active) -> Option<u32> {
    let whole = facts.instance.state.control.find_active(active.place.group()?)?;
    let is_for_each = facts.plan.find(&whole.step).map(|index| &facts.plan.step(index).kind);
    match (active.place, is_for_each) {
        (Place::Member { slot, .. }, Some(PlannedKind::ForEach(_))) => Some(slot),
        _ => item_of(facts, whole),
    }
}

fn parts(facts: &Facts<'_>, active: &Active, what: &Now) -> String {
    let Now::Parts { total, succeeded, failed, under_way, left, needed, failure } = what else { return String::new() };
    let Some(planned) = facts.plan.find(&active.step).map(|index| facts.plan.step(index)) else { return String::new() };
    let of_it = facts.instance.state.control.active.iter().filter(|part| part.place.part_of() == Some(active.number));
    let names: Vec<_> = of_it.clone().map(|part| part.step.clone()).collect();
    if of_it.clone().any(|part| matches!(part.place, Place::Callback { .. })) {
        return format!("has its results, and waits for {}", listed(&names));
    }
    let (noun, at_once_max) = match &planned.kind {
        PlannedKind::ForEach(PlannedForEach { max_concurrency, .. }) => ("items", *max_concurrency),
        PlannedKind::Group(PlannedGroup { mode: GroupMode::Parallel { max_concurrency, .. }, .. }) => {
            ("members", *max_concurrency)
        }
        PlannedKind::Group(PlannedGroup { mode: GroupMode::Conditional { .. }, .. }) => {
            return format!("waits for the member that was picked, {}", listed(&names));
        }
        _ => ("members", None),
    };
    let mut told = vec![format!("{succeeded} of {total} have succeeded")];
    if *failed > 0 {
        told.push(format!("{failed} failed"));
    }
    told.push(format!("{under_way} under way"));
    match at_once_max {
        _ if *left == 0 => {}
        Some(max) => told.push(format!("{left} wait for room (at most {max} at once)")),
        None => told.push(format!("{left} follow")),
    }
    let needs = match failure {
        Some(failure) => format!("it will fail once those under way have ended: {failure}"),
        None if needed == total => "it needs all".to_owned(),
        None => format!("it needs {needed}"),
    };
    format!("waits for its {noun}: {}; {needs}", told.join(", "))
}

/// What happened.
pub(super) fn past_in_words(trail: &Trail<'_>, step: Option<&StepName>, item: Option<u32>, what: &Past) -> String {
    let step = step.map(|step| named(step, item)).unwrap_or_default();
    match what {
        Past::Edge { .. } => edge(&step, what),
        Past::Joined { from } => format!("The branch from `{from}` arrived at {step}, which waited for it."),
        Past::Absorbed { from } => {
            format!("The branch from `{from}` ended at {step}, which had run for the first one that came.")
        }
        Past::Succeeded { attempt: 0 | 1 } => format!("{step} succeeded."),
        Past::Succeeded { attempt } => format!("{step} succeeded at attempt {attempt}."),
        Past::Parked { reason } => format!("{step} was held back: {reason}"),
        Past::Skipped => format!("{step} was skipped: its `can-execute` said no."),
        Past::Retried { attempt, attempts_max, failure, retry_at } => format!(
            "{step} failed at attempt {attempt} of {attempts_max} ({failure}), and was to be tried again at {retry_at}."
        ),
        Past::Failed { attempt, attempts_max, failure } => {
            let why = match attempts_max {
                Some(max) if *attempt >= *max && *max > 1 => format!("; its {max} attempts were used up"),
                Some(max) if *attempt > 0 && *max > 1 => "; such a failure is not retried".to_owned(),
                _ => String::new(),
            };
            format!("{step} failed: {failure}{why}.")
        }
        Past::Canceled { reason } => format!("{step} was canceled: {reason}."),
        Past::HookFailed { hook, failure } => {
            let hook = match hook {
                Hook::OnSuccess => "on-success",
                Hook::OnFailure => "on-failure",
            };
            format!("`{hook}` of {step} failed, which changes nothing: {failure}.")
        }
        Past::Undoes { undone } => format!("{step} began to undo execution {undone}, of `{}`.", trail.name_of(*undone)),
        Past::MessageKept { .. } => format!("A message for {step} came early, and was kept."),
        Past::MessageTaken { message: None } => format!("{step} got its message."),
        Past::MessageTaken { message: Some(_) } => format!("{step} took the message that was kept for it."),
        Past::ChildStarted { child } => format!("{step} started instance {child}."),
        Past::TaskClaimed { .. }
        | Past::TaskReassigned { .. }
        | Past::TaskOverdue { .. }
        | Past::TaskCompleted { .. } => task(&step, what),
        _ => whole(trail, what),
    }
}

fn task(step: &str, what: &Past) -> String {
    match what {
        Past::TaskClaimed { user, .. } => format!("{user} took the task of {step}."),
        Past::TaskReassigned { from, to, reason, by, .. } => {
            let from = from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
            format!("The task of {step} went{from} to {to}{}: {reason}.", by_whom(by.as_ref()))
        }
        Past::TaskOverdue { .. } => format!("The task of {step} became overdue."),
        Past::TaskCompleted { user, comment, .. } => {
            let comment = comment.as_ref().map(|comment| format!(": \"{comment}\"")).unwrap_or_default();
            format!("{user} did the task of {step}{comment}.")
        }
        _ => String::new(),
    }
}

fn whole(trail: &Trail<'_>, what: &Past) -> String {
    match what {
        Past::Started { parent: Some(parent), .. } => format!("It was started by a step of instance {parent}."),
        Past::Started { by, .. } => format!("It was started{}.", by_whom(by.as_ref())),
        Past::Paused { by } => format!("It was paused{}.", by_whom(by.as_ref())),
        Past::Resumed { by } => format!("It was resumed{}.", by_whom(by.as_ref())),
        Past::TriedAgain { steps, by } => format!("It was retried{}, from {}.", by_whom(by.as_ref()), listed(steps)),
        Past::Undoing { executions } => {
            let names: Vec<_> = executions.iter().map(|execution| format!("`{}`", trail.name_of(*execution))).collect();
            format!("What it did began to be undone, latest first: {}.", names.join(", "))
        }
        Past::WorkflowCompleted => "It completed: every branch had come to its end.".to_owned(),
        Past::WorkflowFailed { error } => {
            let at = error.step.as_ref().map(|step| format!(" at `{step}`")).unwrap_or_default();
            format!("It failed{at}: {}: {}{}.", error.code, error.message, unhandled(trail, error.step.as_ref()))
        }
        Past::WorkflowCanceled { reason, by } => format!("It was canceled{}: {reason}.", by_whom(by.as_ref())),
        _ => String::new(),
    }
}

/// Why the failure of a step became that of its workflow.
fn unhandled(trail: &Trail<'_>, step: Option<&StepName>) -> String {
    let Some(planned) = step.and_then(|step| trail.planned(step)) else { return String::new() };
    let has_way = [Outcome::Failure, Outcome::Timeout].into_iter().any(|of| planned.outgoing(of).next().is_some());
    if has_way { String::new() } else { format!("; no edge leads on from a failure of `{}`", planned.name) }
}

fn edge(step: &str, what: &Past) -> String {
    let Past::Edge { target, outcome, taken, reason, condition, predicate, read, .. } = what else {
        return String::new();
    };
    let done = if *taken { "was taken" } else { "was passed by" };
    let after = match outcome {
        Outcome::Success => "",
        Outcome::Failure => " for failures",
        Outcome::Timeout => " for time-outs",
    };
    let condition = condition_in_words(condition.as_ref(), predicate.as_ref());
    let read = values(read);
    let why = match reason {
        EdgeReason::Unconditional => "it has no condition".to_owned(),
        EdgeReason::Held => format!("{condition} held{read}"),
        EdgeReason::NotHeld => format!("{condition} did not hold{read}"),
        EdgeReason::Default => "it is the default, and no other was taken".to_owned(),
        EdgeReason::DefaultNotNeeded => "it is the default, and another was taken".to_owned(),
        EdgeReason::Parallel => "a parallel gateway takes all".to_owned(),
        EdgeReason::NotLookedAt => "an exclusive gateway takes only the first that holds".to_owned(),
        EdgeReason::Named => "the gateway's component named it".to_owned(),
        EdgeReason::NotNamed => "the gateway's component did not name it".to_owned(),
    };
    format!("The edge{after} from {step} to `{target}` {done}: {why}.")
}

fn condition_in_words(condition: Option<&String>, predicate: Option<&PredicateName>) -> String {
    match (condition, predicate) {
        (Some(text), _) => format!("`{text}`"),
        (None, Some(name)) => format!("the predicate `{name}`"),
        (None, None) => "its condition".to_owned(),
    }
}

fn values(read: &[ValueRead]) -> String {
    if read.is_empty() {
        return String::new();
    }
    let read: Vec<_> = read.iter().map(ToString::to_string).collect();
    format!(" ({})", read.join(", "))
}

/// A step as it is named to people; items are counted from 1 there.
fn named(step: &StepName, item: Option<u32>) -> String {
    match item {
        Some(item) => format!("`{step}` (item {})", item + 1),
        None => format!("`{step}`"),
    }
}

fn listed(steps: &[StepName]) -> String {
    let names: Vec<_> = steps.iter().map(|step| format!("`{step}`")).collect();
    names.join(", ")
}

fn by_whom(user: Option<&UserId>) -> String {
    user.map(|user| format!(" by {user}")).unwrap_or_default()
}

fn whom(assignee: Option<&UserId>, group: Option<&GroupId>) -> String {
    match (assignee, group) {
        (Some(user), _) => user.to_string(),
        (None, Some(group)) => format!("a member of {group}"),
        (None, None) => "anybody".to_owned(),
    }
}

fn given_up(at: Option<Timestamp>) -> String {
    at.map(|at| format!("; it is given up at {at}")).unwrap_or_default()
}

/// A sentence that ends once, whatever the text at its end does.
pub(super) fn ended(sentence: &str) -> String {
    format!("{}.", sentence.trim_end_matches('.'))
}
