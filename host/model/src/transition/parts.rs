//! Groups and steps for each item: executions that are made of others.
//!
//! The whole stays active while its parts run, and keeps what it was given as its recorded input, which the parts refer
//! to. A part is an execution like any other, except that its end is told to the whole instead of leading along edges.

use super::draft::{Done, Draft};
use super::flow::Leaving;
use super::join::Activation;
use crate::definition::{CompleteWhen, OnMemberFailure};
use crate::failure::{EngineCode, Failure};
use crate::id::ExecutionNumber;
use crate::instance::{Active, Arrival, PartEnd, Parts, Phase, Place};
use crate::json::Json;
use crate::plan::{GroupMode, PlannedForEach, PlannedGroup, PlannedKind, StepIndex};

/// The most items that a step runs for.
///
/// Protects the store: the state of an instance names each item that has ended, and each end writes it anew.
pub const ITEMS_MAX: usize = 1_000;

impl Draft<'_> {
    pub(super) fn begin_group(&mut self, active: &Active, group: &PlannedGroup) {
        let mut parts = Parts { total: count(group.members.len()), ..Parts::default() };
        if let GroupMode::Conditional { .. } = group.mode {
            match self.chosen(group) {
                Some(member) => parts = Parts { next: count(member), total: count(member + 1), ..parts },
                None => {
                    let (input, output) = (self.incoming(active), Some(Json::null()));
                    self.complete(active, Done { input, output: output.clone(), ..Done::default() });
                    return self.leave(Leaving::succeeded(active.clone(), output));
                }
            }
        }
        let input = self.incoming(active);
        self.begin_parts_of(active, parts, input);
    }

    /// The member that the context names, or the default one.
    fn chosen(&mut self, group: &PlannedGroup) -> Option<usize> {
        let GroupMode::Conditional { key, default } = &group.mode else { return None };
        let context = self.context();
        let named = context.get(key).map(|value| match value.tree().as_str() {
            Some(text) => text.to_owned(),
            None => value.text().to_owned(),
        });
        let is_named = |member: &StepIndex| {
            let own = self.plan.step(*member).name.as_str().rsplit('/').next();
            own.is_some() && own == named.as_deref()
        };
        group.members.iter().position(is_named).or(*default)
    }

    pub(super) fn begin_for_each(&mut self, active: &Active, each: &PlannedForEach) {
        let context = self.context();
        let wrong = |what: &str| {
            let message =
                format!("`{}` runs for each item of a list, and the context key `{}` {what}", active.step, each.items);
            Failure::engine(EngineCode::Input, message)
        };
        let items = match context.get(&each.items) {
            None => Err(wrong("has no value")),
            Some(value) => match value.tree().as_array().map(Vec::len) {
                None => Err(wrong("holds no list")),
                Some(len) if len > ITEMS_MAX => Err(wrong(&format!("holds {len} items; at most {ITEMS_MAX}"))),
                Some(len) => Ok((value.clone(), len)),
            },
        };
        match items {
            Ok((items, len)) => {
                let parts = Parts { total: count(len), ..Parts::default() };
                self.begin_parts_of(active, parts, Some(items));
            }
            Err(failure) => self.fail_unbegun(active, &failure),
        }
    }

    fn begin_parts_of(&mut self, active: &Active, parts: Parts, input: Option<Json>) {
        self.set_phase(active.number, Phase::RunningParts(parts));
        self.record_begun(active.number, input);
        self.go_on_with_parts(active.number);
    }

    /// Begins as many parts as may run at once, and ends the whole where none is left.
    fn go_on_with_parts(&mut self, of: ExecutionNumber) {
        while let Some((whole, parts)) = self.whole(of) {
            let running = self.parts_running(of);
            if parts.failure.is_some() || parts.next >= parts.total || running >= self.at_once_max(&whole) {
                break;
            }
            let slot = parts.next;
            if let Some(Active { phase: Phase::RunningParts(parts), .. }) = self.active_mut(of) {
                parts.next += 1;
            }
            let activation = self.part(&whole, &parts, slot);
            if self.activate(activation).is_none() {
                return;
            }
        }
        let Some((whole, parts)) = self.whole(of) else { return };
        if self.parts_running(of) > 0 {
            return;
        }
        match parts.failure {
            Some(failure) => self.fail_group(of, &failure),
            None if parts.next >= parts.total => self.gather(&whole, &parts),
            None => {}
        }
    }

    /// The whole that parts belong to, with how far they have come.
    fn whole(&self, of: ExecutionNumber) -> Option<(Active, Parts)> {
        let whole = self.state.control.find_active(of)?;
        match &whole.phase {
            Phase::RunningParts(parts) => Some((whole.clone(), parts.clone())),
            _ => None,
        }
    }

    fn parts_running(&self, of: ExecutionNumber) -> usize {
        self.state.control.active.iter().filter(|active| active.place.group() == Some(of)).count()
    }

    fn at_once_max(&self, whole: &Active) -> usize {
        let max = match &self.planned(whole).1.kind {
            PlannedKind::Group(PlannedGroup { mode: GroupMode::Parallel { max_concurrency, .. }, .. })
            | PlannedKind::ForEach(PlannedForEach { max_concurrency, .. }) => *max_concurrency,
            _ => Some(1),
        };
        max.map_or(usize::MAX, |max| max as usize)
    }

    /// The part at a place, with what comes to it.
    fn part(&self, whole: &Active, parts: &Parts, slot: u32) -> Activation {
        let (_, step) = self.planned(whole);
        let (target, item, follows) = match &step.kind {
            PlannedKind::ForEach(each) => (each.body, Some(slot), false),
            PlannedKind::Group(group) => {
                (group.members[slot as usize], None, group.mode == GroupMode::Sequential && slot > 0)
            }
            _ => unreachable!("only groups and steps for each item have parts"),
        };
        let arrival = match parts.ended.last().filter(|_| follows) {
            Some(end) => self.arrival_of(whole, end),
            None => {
                let has_result = self.result_of(whole.number).is_some();
                Arrival { step: whole.step.clone(), execution: whole.number, has_result, item }
            }
        };
        let place = Place::Member { of: whole.number, slot };
        Activation { arrivals: vec![arrival], place, ..Activation::of(target) }
    }

    fn arrival_of(&self, whole: &Active, end: &PartEnd) -> Arrival {
        let step = match &self.planned(whole).1.kind {
            PlannedKind::Group(group) => &self.plan.step(group.members[end.slot as usize]).name,
            _ => &whole.step,
        };
        Arrival { step: step.clone(), execution: end.execution, has_result: end.has_result, item: None }
    }

    /// A part has succeeded or was skipped.
    pub(super) fn part_succeeded(&mut self, of: ExecutionNumber, slot: u32, part: &Leaving) {
        let end = PartEnd { slot, execution: part.active.number, has_result: part.result.is_some() };
        let Some(Active { phase: Phase::RunningParts(parts), .. }) = self.active_mut(of) else { return };
        parts.ended.push(end);
        let Some((whole, parts)) = self.whole(of) else { return };
        if parts.failure.is_none() && parts.ended.len() >= self.quorum(&whole, &parts) {
            self.cancel_parts(of, "enough members of its group have succeeded");
            return self.gather(&whole, &parts);
        }
        self.go_on_with_parts(of);
    }

    /// A part has failed for good; the whole fails once too few can still succeed.
    pub(super) fn part_failed(&mut self, of: ExecutionNumber, part: &Active, failure: &Failure) {
        let Some(Active { phase: Phase::RunningParts(parts), .. }) = self.active_mut(of) else { return };
        parts.failed += 1;
        let Some((whole, parts)) = self.whole(of) else { return };
        if parts.failure.is_some() || self.can_still_succeed(&whole, &parts) {
            return self.go_on_with_parts(of);
        }
        let failure = failure.of_part(&part.step);
        if self.on_part_failure(&whole) == OnMemberFailure::Cancel {
            return self.fail_group(of, &failure);
        }
        if let Some(Active { phase: Phase::RunningParts(parts), .. }) = self.active_mut(of) {
            parts.failure = Some(failure);
        }
        self.go_on_with_parts(of);
    }

    fn can_still_succeed(&self, whole: &Active, parts: &Parts) -> bool {
        match &self.planned(whole).1.kind {
            PlannedKind::Group(PlannedGroup { mode: GroupMode::Parallel { complete_when, .. }, .. }) => {
                (parts.total - parts.failed) as usize >= complete_when.quorum(parts.total as usize)
            }
            // Every part is needed that runs.
            _ => parts.failed == 0,
        }
    }

    fn quorum(&self, whole: &Active, parts: &Parts) -> usize {
        match &self.planned(whole).1.kind {
            PlannedKind::Group(PlannedGroup { mode: GroupMode::Parallel { complete_when, .. }, .. }) => {
                complete_when.quorum(parts.total as usize)
            }
            // Only one of the members runs, whatever its place.
            PlannedKind::Group(PlannedGroup { mode: GroupMode::Conditional { .. }, .. }) => 1,
            _ => parts.total as usize,
        }
    }

    fn on_part_failure(&self, whole: &Active) -> OnMemberFailure {
        match &self.planned(whole).1.kind {
            PlannedKind::Group(PlannedGroup { mode: GroupMode::Parallel { on_member_failure, .. }, .. }) => {
                *on_member_failure
            }
            _ => OnMemberFailure::Cancel,
        }
    }

    /// Every part that is needed has succeeded: the callback is given the results, or the whole returns them.
    fn gather(&mut self, whole: &Active, parts: &Parts) {
        let mode = match &self.planned(whole).1.kind {
            PlannedKind::Group(group) => Some(group.mode.clone()),
            _ => None,
        };
        let value = |end: &PartEnd| if end.has_result { self.result_of(end.execution) } else { None };
        let results: Vec<_> = parts.ended.iter().filter_map(value).collect();
        let why = format!("the parts of `{}` return", whole.step);
        if let Err((code, message)) = self.check_together(results.iter(), &why) {
            return self.fail_group(whole.number, &Failure::engine(code, message));
        }
        let result = match &mode {
            Some(GroupMode::Parallel { callback: Some(callback), .. }) => {
                return self.call_back(whole, parts, *callback);
            }
            Some(GroupMode::Parallel { complete_when: CompleteWhen::Any, .. } | GroupMode::Conditional { .. }) => {
                parts.ended.first().and_then(value)
            }
            Some(GroupMode::Sequential) => match parts.ended.last() {
                Some(end) => value(end),
                None => self.result_of(whole.number),
            },
            Some(GroupMode::Parallel { .. }) | None => Some(self.list_of(parts)),
        };
        self.complete_group(whole.number, result);
    }

    /// The results in the order of the parts, `null` for one that has none.
    fn list_of(&self, parts: &Parts) -> Json {
        let mut list = vec![serde_json::Value::Null; parts.total as usize];
        for end in parts.ended.iter().filter(|end| end.has_result) {
            if let (Some(place), Some(result)) = (list.get_mut(end.slot as usize), self.result_of(end.execution)) {
                *place = result.tree().clone();
            }
        }
        serde_json::Value::Array(list).into()
    }

    fn call_back(&mut self, whole: &Active, parts: &Parts, callback: StepIndex) {
        let none =
            |slot| Arrival { step: whole.step.clone(), execution: whole.number, has_result: false, item: Some(slot) };
        let arrival = |slot| match parts.ended.iter().find(|end| end.slot == slot) {
            Some(end) => self.arrival_of(whole, end),
            None => none(slot),
        };
        let arrivals = (0..parts.total).map(arrival).collect();
        let place = Place::Callback { of: whole.number };
        self.activate(Activation { arrivals, place, ..Activation::of(callback) });
    }

    /// Ends the whole as succeeded with a result.
    pub(super) fn complete_group(&mut self, of: ExecutionNumber, result: Option<Json>) {
        let Some((whole, _)) = self.whole(of) else { return };
        let input = self.result_of(of);
        self.complete(&whole, Done { input, output: result.clone(), ..Done::default() });
        self.leave(Leaving::succeeded(whole, result));
    }

    /// Ends the whole as failed, and what still runs of it as canceled.
    pub(super) fn fail_group(&mut self, of: ExecutionNumber, failure: &Failure) {
        self.cancel_parts(of, "another part of its group has failed");
        if let Some((whole, _)) = self.whole(of) {
            let input = self.result_of(of);
            self.fail_and_tell(&whole, input, failure);
        }
    }
}

/// Members and items are bounded far below this.
fn count(parts: usize) -> u32 {
    u32::try_from(parts).unwrap_or(u32::MAX)
}
