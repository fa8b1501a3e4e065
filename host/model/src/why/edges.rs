//! Which edges were taken after a step, which were passed by, and why.

use super::{EdgeReason, Past};
use crate::definition::{Edge, GatewayMode};
use crate::history::EdgeDecision;
use crate::plan::{Plan, PlannedEdge, PlannedKind, PlannedStep};

/// Every edge that counted when the step ended as it did, in declared order.
pub(super) fn told(plan: &Plan, step: &PlannedStep, decisions: &[EdgeDecision]) -> Vec<Past> {
    let written = |index: u32| plan.definition.edges.get(index as usize);
    let Some(outcome) = decisions.first().and_then(|first| Some(written(first.edge)?.outcome)) else {
        return Vec::new();
    };
    let tell = |planned: &PlannedEdge| {
        let edge = written(planned.index)?;
        let decision = decisions.iter().find(|decision| decision.edge == planned.index);
        Some(Past::Edge {
            edge: planned.index,
            target: edge.target.clone(),
            outcome,
            taken: decision.is_some_and(|decision| decision.taken),
            reason: reason(step, edge, decision, decisions),
            condition: edge.condition.clone(),
            predicate: edge.predicate.clone(),
            read: decision.map(|decision| decision.read.clone()).unwrap_or_default(),
        })
    };
    step.outgoing(outcome).filter_map(tell).collect()
}

fn reason(step: &PlannedStep, edge: &Edge, decision: Option<&EdgeDecision>, all: &[EdgeDecision]) -> EdgeReason {
    let Some(decision) = decision else {
        return if edge.default { EdgeReason::DefaultNotNeeded } else { EdgeReason::NotLookedAt };
    };
    match step.kind {
        PlannedKind::Gateway(GatewayMode::Parallel) if edge.outcome.is_success() => EdgeReason::Parallel,
        PlannedKind::GatewayComponent(_) if edge.outcome.is_success() => {
            let is_only = all.iter().filter(|other| other.taken).count() == 1;
            match (decision.taken, edge.default) {
                (true, true) if is_only => EdgeReason::Default,
                (true, _) => EdgeReason::Named,
                (false, _) => EdgeReason::NotNamed,
            }
        }
        _ => match (decision.taken, edge.condition.is_some() || edge.predicate.is_some()) {
            (true, true) => EdgeReason::Held,
            (false, _) => EdgeReason::NotHeld,
            (true, false) if edge.default => EdgeReason::Default,
            (true, false) => EdgeReason::Unconditional,
        },
    }
}
