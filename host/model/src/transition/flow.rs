//! Edges and gateways: where an execution that ended leads to.

use super::draft::{Done, Draft};
use crate::definition::{GatewayMode, Outcome};
use crate::failure::{EngineCode, Failure};
use crate::history::{EdgeDecision, Event};
use crate::instance::{Active, Place};
use crate::json::{JSON_DEPTH_MAX, Json};
use crate::name::{ContextKey, StepName};
use crate::plan::{PlannedEdge, PlannedKind, PlannedStep};

/// The most bytes that the results of the branches of one join, or of the parts of one group, may have together.
///
/// Protects memory and store: each join hands on all that came to it, so joins in a row or a loop would double it
/// again and again.
pub const JOINED_LEN_BYTES_MAX: usize = 4 << 20;

/// An execution that has ended and that something follows.
#[derive(Clone)]
pub(super) struct Leaving {
    pub(super) active: Active,
    pub(super) result: Option<Json>,
    pub(super) outcome: Outcome,
}

impl Leaving {
    pub(super) const fn succeeded(active: Active, result: Option<Json>) -> Self {
        Self { active, result, outcome: Outcome::Success }
    }
}

/// What became of the edges of an execution that failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FailureWay {
    /// One was taken, or the instance failed over them.
    Taken,
    /// There is none, or none could be taken.
    None,
}

impl Draft<'_> {
    /// Goes on from an execution that succeeded or was skipped: along its edges, or with its group.
    pub(super) fn leave(&mut self, leaving: Leaving) {
        match leaving.active.place {
            Place::Graph => self.leave_step(leaving),
            Place::Member { of, slot } => self.part_succeeded(of, slot, &leaving),
            Place::Callback { of } => self.complete_group(of, leaving.result),
            Place::Undo { .. } => self.undone(&leaving.active.step, None),
        }
    }

    /// Goes on from an execution that failed for good and is recorded so.
    pub(super) fn leave_failed(&mut self, active: &Active, failure: &Failure) {
        match active.place {
            Place::Graph => self.leave_failed_step(active, failure),
            Place::Member { of, .. } => self.part_failed(of, active, failure),
            Place::Callback { of } => self.fail_group(of, &failure.of_part(&active.step)),
            Place::Undo { .. } => self.undone(&active.step, Some(failure)),
        }
    }

    /// If a step has edges, one must be taken.
    fn leave_step(&mut self, mut leaving: Leaving) {
        let (_, step) = self.planned(&leaving.active);
        if step.terminates {
            self.cancel_active(&format!("the step `{}` ended the workflow", step.name));
        }
        if step.terminates || step.is_terminal || step.outgoing(Outcome::Success).next().is_none() {
            self.state.result = leaving.result;
            return;
        }
        let Ok(taken) = self.decide(step, &leaving) else { return };
        if taken.is_empty() {
            return self.fail_without_way(step, &leaving.active);
        }
        for edge in taken {
            self.arrive(&mut leaving, edge);
        }
    }

    fn leave_failed_step(&mut self, active: &Active, failure: &Failure) {
        let (_, step) = self.planned(active);
        let outcomes = Outcome::of_failure(failure);
        if outcomes.iter().any(|outcome| step.outgoing(*outcome).next().is_some()) {
            self.show_failure(&active.step, failure);
        }
        let is_taken = outcomes.iter().any(|&outcome| {
            let leaving = Leaving { active: active.clone(), result: None, outcome };
            self.take_failure_edges(step, leaving) == FailureWay::Taken
        });
        if !is_taken {
            self.fail_instance_at(active, failure);
        }
    }

    fn take_failure_edges(&mut self, step: &PlannedStep, mut leaving: Leaving) -> FailureWay {
        if step.outgoing(leaving.outcome).next().is_none() {
            return FailureWay::None;
        }
        let Ok(taken) = self.decide(step, &leaving) else { return FailureWay::Taken };
        if taken.is_empty() {
            return FailureWay::None;
        }
        for edge in taken {
            self.arrive(&mut leaving, edge);
        }
        FailureWay::Taken
    }

    /// Puts a failure into the context under the step's name, for the steps that handle it.
    fn show_failure(&mut self, step: &StepName, failure: &Failure) {
        let key = ContextKey::new(step.as_str()).expect("every step's name can be a key");
        let whole = serde_json::to_value(failure).expect("a failure is text, numbers and JSON");
        let short = serde_json::json!({ "code": failure.code, "message": null, "retryable": failure.retryable });
        for shown in [whole, short] {
            let writes = [(key.clone(), Some(shown.into()))].into();
            // A context that is full shows as much of it as it can hold.
            if self.check_context_size(&writes).is_ok() {
                return self.write_all(writes);
            }
        }
    }

    fn fail_without_way(&mut self, step: &PlannedStep, active: &Active) {
        let looked_at = step.outgoing(Outcome::Success).count();
        let why = match step.kind {
            PlannedKind::GatewayComponent(_) => "its component named none of them".to_owned(),
            _ => format!("none of its {looked_at} conditions held"),
        };
        let message = format!(
            "no edge out of `{}` could be taken: {why} and it has no default edge; add one with `default: true`",
            step.name
        );
        self.fail_instance_by(EngineCode::Expression, active, message);
    }

    /// Looks at the edges of one outcome in order and says which are taken.
    ///
    /// An error in a condition fails the instance here, naming the edge.
    fn decide<'p>(&mut self, step: &'p PlannedStep, leaving: &Leaving) -> Result<Vec<&'p PlannedEdge>, ()> {
        let mode = match step.kind {
            PlannedKind::Gateway(mode) if leaving.outcome.is_success() => mode,
            _ => GatewayMode::Inclusive,
        };
        let mut decisions = Vec::new();
        let mut taken = Vec::new();
        for edge in step.outgoing(leaving.outcome).filter(|edge| !edge.is_default || mode == GatewayMode::Parallel) {
            if mode == GatewayMode::Exclusive && !taken.is_empty() {
                break;
            }
            let (holds, read) = match &edge.condition {
                Some(condition) if mode != GatewayMode::Parallel => {
                    let looked = self.with_scope(leaving.result.as_ref(), |scope| {
                        (condition.evaluate(scope), condition.values_read(scope))
                    });
                    let holds =
                        looked.0.map_err(|error| self.fail_by_condition(step, edge, &leaving.active, &error))?;
                    (holds, looked.1)
                }
                Some(_) | None => (true, Vec::new()),
            };
            decisions.push(EdgeDecision { read, taken: holds, ..self.looked_at(edge) });
            if holds {
                taken.push(edge);
            }
        }
        if taken.is_empty() {
            taken.extend(step.outgoing(leaving.outcome).find(|edge| edge.is_default));
            decisions.extend(taken.iter().map(|edge| EdgeDecision { taken: true, ..self.looked_at(edge) }));
        }
        self.tell_decisions(&leaving.active, decisions);
        Ok(taken)
    }

    fn tell_decisions(&mut self, active: &Active, edges: Vec<EdgeDecision>) {
        self.events.push(Event::EdgesDecided { execution: active.number, step: active.step.clone(), edges });
    }

    /// An edge that was looked at and passed by.
    fn looked_at(&self, edge: &PlannedEdge) -> EdgeDecision {
        let target = self.plan.step(edge.target).name.clone();
        EdgeDecision { edge: edge.index, target, taken: false, read: Vec::new() }
    }

    fn fail_by_condition(&mut self, step: &PlannedStep, edge: &PlannedEdge, active: &Active, error: &str) {
        let target = &self.plan.step(edge.target).name;
        let message =
            format!("the condition of edge {} from `{}` to `{target}` failed: {error}", edge.index, step.name);
        self.fail_instance_by(EngineCode::Expression, active, message);
    }

    /// Ends an execution that hands on what came to it, as gateways and timers do.
    pub(super) fn pass_on(&mut self, active: &Active) {
        let result = self.incoming(active);
        self.complete(active, Done { input: result.clone(), output: result.clone(), ..Done::default() });
        self.leave(Leaving::succeeded(active.clone(), result));
    }

    /// Goes on from a gateway whose component has named its targets; what came to it is handed on.
    ///
    /// A name that no edge leads to is a failure of the gateway.
    pub(super) fn leave_gateway(&mut self, active: &Active, done: Done, names: &Json) -> Result<(), Failure> {
        let (_, step) = self.planned(active);
        let edges: Vec<_> = step.outgoing(Outcome::Success).collect();
        let named = self.targets_named(step, &edges, names)?;
        let result = self.incoming(active);
        self.complete(active, Done { output: result.clone(), ..done });
        let mut decisions = Vec::new();
        let mut taken = Vec::new();
        for edge in &edges {
            let is_taken = match named.is_empty() {
                true => edge.is_default,
                false => named.contains(&self.plan.step(edge.target).name),
            };
            decisions.push(EdgeDecision { taken: is_taken, ..self.looked_at(edge) });
            if is_taken {
                taken.push(*edge);
            }
        }
        self.tell_decisions(active, decisions);
        if taken.is_empty() {
            self.fail_without_way(step, active);
        }
        let mut leaving = Leaving::succeeded(active.clone(), result);
        for edge in taken {
            self.arrive(&mut leaving, edge);
        }
        Ok(())
    }

    fn targets_named(
        &self,
        step: &PlannedStep,
        edges: &[&PlannedEdge],
        names: &Json,
    ) -> Result<Vec<StepName>, Failure> {
        let plan = self.plan;
        let targets: Vec<_> = edges.iter().map(|edge| &plan.step(edge.target).name).collect();
        let wrong = |what: String| {
            let known = targets.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let message = format!("the component of gateway `{}` answered {what}; it may name {known}", step.name);
            Failure::engine(EngineCode::Contract, message)
        };
        let list = names.tree().as_array().ok_or_else(|| wrong("with no list of names".to_owned()))?;
        list.iter()
            .map(|name| {
                let found = targets.iter().find(|target| name.as_str() == Some(target.as_str()));
                found
                    .map(|target| (*target).clone())
                    .ok_or_else(|| wrong(format!("`{}`, which no edge from it leads to", shown(name))))
            })
            .collect()
    }

    /// Checks that results stay within bounds when they are put together; `why` says where.
    pub(super) fn check_together<'j>(
        &self,
        results: impl Iterator<Item = &'j Json> + Clone,
        why: &str,
    ) -> Result<(), (EngineCode, String)> {
        let bytes: usize = results.clone().map(Json::len_bytes).sum();
        if bytes > JOINED_LEN_BYTES_MAX {
            let message = format!(
                "the results that {why} have {bytes} bytes together; at most {JOINED_LEN_BYTES_MAX}: let the steps \
                 before it return less"
            );
            return Err((EngineCode::Output, message));
        }
        if results.into_iter().any(|result| result.depth() >= JSON_DEPTH_MAX) {
            let message = format!(
                "the results that {why} would nest deeper than {JSON_DEPTH_MAX} when they are put together; let the \
                 steps before it return flatter ones"
            );
            return Err((EngineCode::InvalidOutput, message));
        }
        Ok(())
    }
}

fn shown(name: &serde_json::Value) -> String {
    crate::problem::shorten(name.as_str().map_or_else(|| name.to_string(), str::to_owned).as_str(), 80)
}
