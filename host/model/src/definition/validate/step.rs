//! What can be wrong with one step.

use std::time::Duration;

use super::{Check, key};
use crate::definition::step::ATTEMPTS_MAX;
use crate::definition::{
    GatewayStep, HumanStep, MachineStep, RetryPolicy, StepDefinition, StepLimits, TimerStep, WorkflowStep,
};
use crate::expression::Mapping;
use crate::name::StepName;
use crate::problem::PathPart;
use crate::time::Span;

/// The shortest time-out. Anything less could only be a mistake.
const TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// The path of a field of the step at `step`.
pub(super) fn at(step: &[PathPart], field: &str) -> Vec<PathPart> {
    step.iter().cloned().chain([key(field)]).collect()
}

impl Check<'_> {
    /// Checks a step of the graph.
    pub(super) fn top_step(&mut self, name: &StepName, step: &StepDefinition) {
        let path = [key("steps"), key(name.as_str())];
        if name.is_part() {
            let message = "a name without `/`, please: `group/member` is how the members of a group are shown";
            self.find(path.to_vec(), message);
        }
        self.step(&path, name, step);
    }

    /// Checks what a step has by itself, wherever it stands.
    pub(super) fn step(&mut self, path: &[PathPart], name: &StepName, step: &StepDefinition) {
        match step {
            StepDefinition::Machine(machine) => self.machine(path, machine),
            StepDefinition::Human(human) => self.human(path, human),
            StepDefinition::Gateway(gateway) => self.gateway(path, gateway),
            StepDefinition::Timer(timer) => self.timer(path, timer),
            StepDefinition::Webhook(webhook) => self.timeout(path, webhook.timeout),
            StepDefinition::Signal(signal) => self.timeout(path, signal.timeout),
            StepDefinition::Workflow(child) => self.child(path, child),
            StepDefinition::Sequential(_) | StepDefinition::Parallel(_) | StepDefinition::Conditional(_) => {
                self.group(path, name, step);
            }
        }
        self.for_each(path, step);
    }

    fn for_each(&mut self, path: &[PathPart], step: &StepDefinition) {
        let max_concurrency = match step {
            StepDefinition::Machine(step) => step.max_concurrency,
            StepDefinition::Human(step) => step.max_concurrency,
            StepDefinition::Sequential(step) => step.max_concurrency,
            StepDefinition::Workflow(step) => step.max_concurrency,
            StepDefinition::Parallel(step) => {
                return self.concurrency(path, step.max_concurrency);
            }
            _ => None,
        };
        if max_concurrency.is_some() && step.for_each().is_none() && self.is_read(&at(path, "for_each")) {
            let message =
                "says how many items of a `for_each` run at once; name the list with `for_each`, or leave it out";
            self.find(at(path, "max_concurrency"), message);
        }
        if step.for_each().is_some() {
            self.concurrency(path, max_concurrency);
        }
    }

    fn concurrency(&mut self, path: &[PathPart], max_concurrency: Option<u32>) {
        if max_concurrency == Some(0) {
            self.find(at(path, "max_concurrency"), "must be at least 1");
        }
    }

    fn timeout(&mut self, path: &[PathPart], timeout: Option<Span>) {
        if timeout.is_some_and(|timeout| timeout.length() < TIMEOUT_MIN) {
            self.find(at(path, "timeout"), "must be at least 1ms");
        }
    }

    fn mapping(&mut self, path: &[PathPart], input: Option<&str>) {
        if let Some(Err(error)) = input.map(Mapping::compile) {
            self.find(at(path, "input"), error.to_string());
        }
    }

    fn machine(&mut self, path: &[PathPart], machine: &MachineStep) {
        self.mapping(path, machine.input.as_deref());
        self.timeout(path, machine.timeout);
        self.retry(path, &machine.retry);
        self.limits(path, machine.limits);
        if let Some((field, message)) = machine.grants.too_long() {
            let grants = at(path, "grants");
            let path = field.split('.').fold(grants, |path, field| at(&path, field));
            self.find(path, message);
        }
    }

    fn retry(&mut self, path: &[PathPart], retry: &RetryPolicy) {
        let within = |field: &str| at(&at(path, "retry"), field);
        if !(1..=ATTEMPTS_MAX).contains(&retry.max_attempts) {
            self.find(within("max_attempts"), format!("must be from 1 to {ATTEMPTS_MAX}"));
        }
        if !(1.0..=1_000.0).contains(&retry.backoff) {
            self.find(within("backoff"), "must be a number from 1 to 1000");
        }
        if retry.initial_delay > retry.max_delay {
            let message = format!("is longer than max_delay, {}; raise that or lower this", retry.max_delay);
            self.find(within("initial_delay"), message);
        }
    }

    fn limits(&mut self, path: &[PathPart], limits: StepLimits) {
        for (field, message) in limits.out_of_range() {
            self.find(at(&at(path, "limits"), field), message);
        }
    }

    fn human(&mut self, path: &[PathPart], human: &HumanStep) {
        self.schema("form_schema", human.form_schema.as_ref(), path);
        self.timeout(path, human.timeout);
        if human.assignee.is_some() && human.assignee_key.is_some() {
            self.find(at(path, "assignee_key"), "give either assignee or assignee_key, not both");
        }
        if let (Some(reminder), Some(due)) = (human.reminder_in, human.due_in)
            && reminder > due
        {
            let message = format!("the reminder would come after the task is due, {due}");
            self.find(at(path, "reminder_in"), message);
        }
    }

    fn gateway(&mut self, path: &[PathPart], gateway: &GatewayStep) {
        match (gateway.mode, gateway.as_machine()) {
            (Some(_), None) => {
                if *gateway != bare(gateway) {
                    let message = "config, input, retry, timeout, limits and grants are for a component, and this gateway has a mode";
                    self.find(path.to_vec(), message);
                }
            }
            (None, Some(component)) => self.machine(path, &component),
            (Some(_), Some(_)) => {
                self.find(at(path, "mode"), "give either a mode or a component that decides, not both");
            }
            // One that is written wrong is told so, and is not missing.
            (None, None) if !self.is_read(path) => {}
            (None, None) => {
                let message = "a gateway has a `mode` (exclusive, inclusive, parallel) or a `component` that decides";
                self.find(path.to_vec(), message);
            }
        }
    }

    fn timer(&mut self, path: &[PathPart], timer: &TimerStep) {
        let given = [timer.duration.is_some(), timer.until.is_some(), timer.duration_key.is_some()];
        let given = given.iter().filter(|given| **given).count();
        // One that is written wrong is told so, and is not missing.
        if given > 1 || (given == 0 && self.is_read(path)) {
            let message = "a timer has exactly one of `duration`, `until` and `duration_key`";
            self.find(path.to_vec(), message);
        }
    }

    fn child(&mut self, path: &[PathPart], child: &WorkflowStep) {
        self.mapping(path, child.input.as_deref());
        self.timeout(path, child.timeout);
    }
}

/// The same gateway without anything that only a component needs.
fn bare(gateway: &GatewayStep) -> GatewayStep {
    GatewayStep {
        mode: gateway.mode,
        description: gateway.description.clone(),
        join: gateway.join,
        ..GatewayStep::default()
    }
}
