//! The rules of groups and of steps for each item, as plain as those of the graph.
//!
//! Nothing is remembered of a group: how many of its members were begun, ended well or failed is counted anew each time.

use serde_json::Value;
use stepcell_model::definition::{CompleteWhen, OnMemberFailure, StepDefinition};
use stepcell_model::name::StepName;
use stepcell_model::status::StepStatus;

use crate::interpreter::{Came, Execution, Interpreter, Kind, Place, Role};

impl Interpreter<'_> {
    /// Begins a group, or a step for each item.
    pub(crate) fn begin_whole(&mut self, of: usize) {
        let given = match self.kind(&self.of(of).step) {
            Kind::Each(step) => Some(self.data[step.for_each().unwrap().0.as_str()].clone()),
            _ => self.incoming(of),
        };
        let execution = self.of_mut(of);
        execution.place = Place::Inside;
        execution.given = given;
        let is_conditional = matches!(self.kind(&self.of(of).step), Kind::Group(StepDefinition::Conditional(_)));
        if is_conditional && self.slots(of).is_empty() {
            return self.complete(of, Some(Value::Null));
        }
        self.go_on(of);
    }

    /// Which members or items there are to run, by place.
    fn slots(&self, of: usize) -> Vec<usize> {
        match self.kind(&self.of(of).step) {
            Kind::Each(_) => (0..self.of(of).given.as_ref().unwrap().as_array().unwrap().len()).collect(),
            Kind::Group(StepDefinition::Conditional(group)) => {
                let names: Vec<_> = group.steps.keys().map(StepName::as_str).collect();
                let picked = self.data[group.key.as_str()].as_str().unwrap();
                let default = || group.default.as_ref().map(StepName::as_str);
                let by_name = |name: &str| names.iter().position(|known| *known == name);
                by_name(picked).or_else(|| by_name(default()?)).into_iter().collect()
            }
            Kind::Group(group) => (0..members(group).len()).collect(),
            other => panic!("{other:?} has no parts"),
        }
    }

    /// How many must end well.
    fn quorum(&self, of: usize) -> usize {
        match self.kind(&self.of(of).step) {
            Kind::Group(StepDefinition::Parallel(group)) => match group.complete_when {
                CompleteWhen::All => group.steps.len(),
                CompleteWhen::Any => 1,
                CompleteWhen::Count(count) => count as usize,
            },
            _ => self.slots(of).len(),
        }
    }

    fn at_once_max(&self, of: usize) -> usize {
        let max = match self.kind(&self.of(of).step) {
            Kind::Group(StepDefinition::Parallel(group)) => group.max_concurrency,
            Kind::Each(step) => step.for_each().unwrap().1,
            _ => Some(1),
        };
        max.map_or(usize::MAX, |max| max as usize)
    }

    /// The members that were begun, in that order.
    fn begun(&self, of: usize) -> Vec<usize> {
        let is_member = |number: &usize| matches!(self.of(*number).role, Role::Member { of: whole, .. } if whole == of);
        (1..=self.executions.len()).filter(is_member).collect()
    }

    /// The members that ended well, in the order of their ends.
    fn ended_well(&self, of: usize) -> Vec<usize> {
        let is_well = |number: &&usize| {
            matches!(self.of(**number).place, Place::Ended(StepStatus::Succeeded | StepStatus::Skipped))
                && self.begun(of).contains(number)
        };
        self.ends.iter().filter(is_well).copied().collect()
    }

    fn failed(&self, of: usize) -> usize {
        let begun = self.begun(of);
        begun.iter().filter(|number| self.of(**number).place == Place::Ended(StepStatus::Failed)).count()
    }

    fn running(&self, of: usize) -> usize {
        self.begun(of).iter().filter(|number| !matches!(self.of(**number).place, Place::Ended(_))).count()
    }

    /// Whether too few can still end well, had so many failed.
    fn is_lost(&self, of: usize, failed: usize) -> bool {
        self.slots(of).len() - failed < self.quorum(of)
    }

    /// Begins as many members as may run, and ends the whole where none is left.
    fn go_on(&mut self, of: usize) {
        let slots = self.slots(of);
        loop {
            let begun = self.begun(of).len();
            let is_lost = self.is_lost(of, self.failed(of));
            if is_lost || begun >= slots.len() || self.running(of) >= self.at_once_max(of) {
                break;
            }
            let part = self.part(of, slots[begun]);
            if self.activate(part).is_none() {
                return;
            }
        }
        if self.running(of) > 0 {
            return;
        }
        if self.is_lost(of, self.failed(of)) {
            self.fail_whole(of);
        } else {
            self.gather(of);
        }
    }

    fn part(&self, of: usize, slot: usize) -> Execution {
        let whole = self.of(of);
        let (name, mut came) = match self.kind(&whole.step) {
            Kind::Each(_) => ("item".to_owned(), whole.given.as_ref().map(|items| items[slot].clone())),
            Kind::Group(group) => (members(group)[slot].clone(), whole.given.clone()),
            other => panic!("{other:?} has no parts"),
        };
        let is_sequential = matches!(self.kind(&whole.step), Kind::Group(StepDefinition::Sequential(_)));
        if let (true, Some(before)) = (is_sequential, self.ended_well(of).last()) {
            came = self.of(*before).result.clone();
        }
        let came = vec![Came { from: of, step: whole.step.clone(), value: came }];
        Execution::new(format!("{}/{name}", whole.step), Role::Member { of, slot }, came)
    }

    pub(crate) fn part_ended_well(&mut self, of: usize) {
        let is_lost = self.is_lost(of, self.failed(of));
        if !is_lost && self.ended_well(of).len() >= self.quorum(of) {
            self.cancel_parts(of);
            return self.gather(of);
        }
        self.go_on(of);
    }

    pub(crate) fn part_failed(&mut self, of: usize) {
        let failed = self.failed(of);
        let is_lost_now = self.is_lost(of, failed) && !self.is_lost(of, failed - 1);
        let waits = match self.kind(&self.of(of).step) {
            Kind::Group(StepDefinition::Parallel(group)) => group.on_member_failure == OnMemberFailure::Wait,
            _ => false,
        };
        if is_lost_now && !waits { self.fail_whole(of) } else { self.go_on(of) }
    }

    /// What the whole returns, or its callback is given.
    fn gather(&mut self, of: usize) {
        let ended = self.ended_well(of);
        let result = |number: &usize| self.of(*number).result.clone();
        let kind = self.kind(&self.of(of).step);
        let in_order = || {
            let of_slot = |slot: usize| {
                let here =
                    |number: &&usize| matches!(self.of(**number).role, Role::Member { slot: at, .. } if at == slot);
                ended.iter().find(here).and_then(result)
            };
            self.slots(of).into_iter().map(of_slot).collect::<Vec<_>>()
        };
        let outcome = match kind {
            Kind::Group(StepDefinition::Parallel(group)) if group.callback.is_some() => {
                let step = &self.of(of).step;
                let came = in_order().into_iter().map(|value| Came { from: of, step: step.clone(), value }).collect();
                let callback = Execution::new(format!("{step}/callback"), Role::Callback { of }, came);
                self.activate(callback);
                return;
            }
            Kind::Group(StepDefinition::Parallel(group)) if group.complete_when == CompleteWhen::Any => {
                ended.first().and_then(result)
            }
            Kind::Group(StepDefinition::Conditional(_)) => ended.first().and_then(result),
            Kind::Group(StepDefinition::Sequential(_)) => {
                ended.last().map_or_else(|| self.of(of).given.clone(), result)
            }
            _ => Some(in_order().into_iter().map(Option::unwrap_or_default).collect()),
        };
        self.complete(of, outcome);
    }

    /// The whole fails, and what still runs of it is canceled.
    pub(crate) fn fail_whole(&mut self, of: usize) {
        self.cancel_parts(of);
        self.leave_failed(of);
    }

    pub(crate) fn cancel_with_parts(&mut self, number: usize) {
        self.cancel_parts(number);
        self.record(number, StepStatus::Canceled);
    }

    fn cancel_parts(&mut self, of: usize) {
        for part in self.active().filter(|number| self.of(*number).whole() == Some(of)).collect::<Vec<_>>() {
            self.cancel_with_parts(part);
        }
    }
}

fn members(group: &StepDefinition) -> Vec<String> {
    group.members().unwrap().keys().map(ToString::to_string).collect()
}
