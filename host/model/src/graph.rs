//! The shape of a definition: who comes after whom, as data for people and for joins.

use std::collections::VecDeque;

use serde::Serialize;

use crate::definition::{Outcome, StepDefinition, WorkflowDefinition};
use crate::name::{PredicateName, StepName};
use crate::plan::StepIndex;
use crate::status::StepType;

/// Which step can come to which, as one bit a pair.
#[derive(Debug)]
pub(crate) struct Reachability {
    words_per_step: usize,
    bits: Vec<u64>,
}

impl Reachability {
    /// Computes it by one search from each step.
    pub(crate) fn of(steps: usize, edges: &[(StepIndex, StepIndex)]) -> Self {
        let words_per_step = steps.div_ceil(64);
        let mut targets = vec![Vec::new(); steps];
        for (source, target) in edges {
            targets[source.0].push(target.0);
        }
        let mut this = Self { words_per_step, bits: vec![0; steps * words_per_step] };
        for from in 0..steps {
            let mut open = targets[from].clone();
            while let Some(to) = open.pop() {
                if this.set(from, to) {
                    open.extend(&targets[to]);
                }
            }
        }
        this
    }

    /// Whether at least one edge leads, over however many steps, from one to the other.
    pub(crate) fn reaches(&self, from: StepIndex, to: StepIndex) -> bool {
        self.bits[from.0 * self.words_per_step + to.0 / 64] & (1 << (to.0 % 64)) != 0
    }

    fn set(&mut self, from: usize, to: usize) -> bool {
        let word = &mut self.bits[from * self.words_per_step + to / 64];
        let bit = 1 << (to % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

/// A definition's graph, for programs that draw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkflowGraph {
    /// The steps in declared order.
    pub nodes: Vec<GraphNode>,
    /// The edges in declared order.
    pub edges: Vec<GraphEdge>,
}

/// One step of a graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GraphNode {
    /// The step.
    pub id: StepName,
    /// Its name for people: words in title case.
    pub label: String,
    /// What kind of step.
    #[serde(rename = "type")]
    pub step_type: StepType,
    /// Whether an instance begins with it.
    pub is_initial: bool,
    /// Whether it ends its branch.
    pub is_terminal: bool,
    /// What it is made of: the members of a group and its callback, or what runs for each item. None for other steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<GraphNode>,
}

/// One edge of a graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GraphEdge {
    /// Where it leads from.
    pub source: StepName,
    /// Where it leads to.
    pub target: StepName,
    /// The text of its condition.
    pub condition: Option<String>,
    /// The predicate of the embedding program that must hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicate: Option<PredicateName>,
    /// Whether it is taken when no other is.
    pub default: bool,
    /// How the source must have ended.
    pub outcome: Outcome,
}

impl WorkflowDefinition {
    /// The definition's graph.
    #[must_use]
    pub fn graph(&self) -> WorkflowGraph {
        let node = |(name, step): (&StepName, &StepDefinition)| GraphNode {
            is_initial: *name == self.initial_step,
            is_terminal: self.is_terminal(name),
            ..GraphNode::of(name.clone(), step)
        };
        let edge = |edge: &crate::definition::Edge| GraphEdge {
            source: edge.source.clone(),
            target: edge.target.clone(),
            condition: edge.condition.clone(),
            predicate: edge.predicate.clone(),
            default: edge.default,
            outcome: edge.outcome,
        };
        WorkflowGraph { nodes: self.steps.iter().map(node).collect(), edges: self.edges.iter().map(edge).collect() }
    }
}

impl GraphNode {
    /// A step with everything that it is made of, as one that edges neither begin nor end at.
    fn of(name: StepName, step: &StepDefinition) -> Self {
        if step.for_each().is_none() {
            return Self::of_one(name, step);
        }
        let item = name.part(StepName::ITEM).ok().map(|item| Self::of_one(item, step));
        Self { step_type: StepType::ForEach, members: item.into_iter().collect(), ..Self::leaf(name, step) }
    }

    fn of_one(name: StepName, step: &StepDefinition) -> Self {
        let member = |(member, step): (&str, &StepDefinition)| Some(Self::of(name.part(member).ok()?, step));
        let own = step.members().into_iter().flatten().map(|(name, step)| (name.as_str(), step));
        let callback = step.callback().map(|step| (StepName::CALLBACK, step));
        let members = own.chain(callback).filter_map(member).collect();
        Self { members, ..Self::leaf(name, step) }
    }

    fn leaf(name: StepName, step: &StepDefinition) -> Self {
        let (label, step_type) = (label_of(&name), step.step_type());
        Self { id: name, label, step_type, is_initial: false, is_terminal: false, members: Vec::new() }
    }

    /// The node and everything that it is made of, a whole before its parts.
    pub fn with_members(&self) -> impl Iterator<Item = &Self> {
        let mut open = vec![self];
        std::iter::from_fn(move || {
            let next = open.pop()?;
            open.extend(next.members.iter().rev());
            Some(next)
        })
    }
}

impl WorkflowGraph {
    /// The ways from one step to another that visit no step twice, at most `paths_max`. Several edges between the same
    /// two steps are one way.
    ///
    /// Finite for graphs with cycles; the cost is bounded by `paths_max` times the number of edges for each way found,
    /// and by a million looks in all.
    #[must_use]
    pub fn simple_paths(&self, from: &StepName, to: &StepName, paths_max: usize) -> Vec<Vec<StepName>> {
        const LOOKS_MAX: usize = 1_000_000;
        let mut found = Vec::new();
        let mut open = vec![vec![from]];
        let mut looks = 0;
        while let Some(path) = open.pop() {
            looks += 1;
            if found.len() >= paths_max || looks > LOOKS_MAX {
                break;
            }
            let last = *path.last().expect("a path begins with one step");
            if last == to {
                found.push(path.into_iter().cloned().collect());
                continue;
            }
            let mut onward: Vec<&StepName> = Vec::new();
            for edge in self.edges.iter().filter(|edge| edge.source == *last) {
                if !path.contains(&&edge.target) && !onward.contains(&&edge.target) {
                    onward.push(&edge.target);
                }
            }
            open.extend(onward.into_iter().rev().map(|next| path.iter().copied().chain([next]).collect::<Vec<_>>()));
        }
        found
    }

    /// The fewest edges from one step to another; -1 where no way leads.
    #[must_use]
    pub fn depth(&self, from: &StepName, to: &StepName) -> i64 {
        let mut seen = vec![from];
        let mut open = VecDeque::from([(from, 0)]);
        while let Some((step, depth)) = open.pop_front() {
            if step == to {
                return depth;
            }
            for edge in self.edges.iter().filter(|edge| edge.source == *step) {
                if !seen.contains(&&edge.target) {
                    seen.push(&edge.target);
                    open.push_back((&edge.target, depth + 1));
                }
            }
        }
        -1
    }
}

/// A step's name for people: `_` and `-` become spaces, words begin with a capital; a part's is its own alone.
pub(crate) fn label_of(name: &StepName) -> String {
    let own = name.as_str().rsplit('/').next().unwrap_or_default();
    let capitalised = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    own.split(['_', '-']).filter(|word| !word.is_empty()).map(capitalised).collect::<Vec<_>>().join(" ")
}
