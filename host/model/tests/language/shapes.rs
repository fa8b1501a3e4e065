//! Random definitions of the whole language, small enough to shrink well.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses another part of the shapes")]

use std::fmt;

use proptest::prelude::*;
use serde_json::{Value, json};
use stepcell_model::definition::{Outcome, WorkflowDefinition};

/// Executions that one instance may have here: enough to turn in a loop a few times.
pub const ITERATIONS: u32 = 30;

/// What a step does.
#[derive(Clone, Debug)]
pub enum Body {
    Machine,
    Human,
    Timer,
    Webhook,
    Signal,
    Child,
    Gateway(&'static str),
    Sequential(Vec<Part>),
    Parallel { members: Vec<Part>, rules: ParallelRules, callback: Option<Box<Part>> },
    Conditional { members: Vec<Part>, picked: usize, has_default: bool },
}

/// How the members of a parallel group run.
#[derive(Clone, Copy, Debug)]
pub struct ParallelRules {
    pub complete_when: Enough,
    pub at_once_max: Option<u32>,
    pub on_member_failure: &'static str,
}

/// How many members are enough.
#[derive(Clone, Copy, Debug)]
pub enum Enough {
    All,
    Any,
    Two,
}

/// A step, of the graph or of a group.
#[derive(Clone, Debug)]
pub struct Part {
    pub body: Body,
    /// How many items it runs for, and how many of them at once.
    pub each: Option<(usize, Option<u32>)>,
    pub has_compensation: bool,
    pub has_timeout: bool,
}

/// A step of the graph.
#[derive(Clone, Debug)]
pub struct Step {
    pub part: Part,
    pub joins_any: bool,
    pub terminates: bool,
}

/// An edge.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    pub source: usize,
    pub target: usize,
    pub taken: Taken,
    pub outcome: Outcome,
}

/// When an edge is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Always,
    IfTrue,
    IfFalse,
    ByDefault,
}

/// A definition in numbers: steps, the way by which each but the first is reached from an earlier one, and more ways.
#[derive(Clone, Debug)]
pub struct Shape {
    pub steps: Vec<Step>,
    pub first_ways: Vec<Way>,
    pub ways: Vec<Way>,
    /// A step that ends its branch although edges lead on from it.
    pub terminal: Option<usize>,
}

/// How much of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// Without times, and without messages that any step of that name may take.
    Timeless,
}

/// Which edges a shape may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edges {
    /// Any, also back to earlier steps.
    Any,
    /// Only onward.
    Onward,
}

/// The data that every instance starts with: lists by their length, and what conditional groups pick.
pub fn data() -> Value {
    json!({"items0": [], "items1": ["x"], "items2": ["x", "y"], "items3": ["x", "y", "z"],
        "pick0": "m0", "pick1": "m1", "pick2": "nobody"})
}

/// A valid definition, shown as it is written.
#[derive(Clone)]
pub struct Written(pub WorkflowDefinition);

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_json().text())
    }
}

/// Definitions that are valid.
pub fn definition(extent: Extent, edges: Edges) -> impl Strategy<Value = Written> {
    shape(extent, edges).prop_filter_map("no definition", |shape| shape.definition().map(Written))
}

fn shape(extent: Extent, edges: Edges) -> impl Strategy<Value = Shape> {
    (1..7_usize).prop_flat_map(move |len| {
        let steps = prop::collection::vec(step(extent), len);
        let first = (1..len).map(|target| way(0..target, target..target + 1)).collect::<Vec<_>>();
        let ways = prop::collection::vec(way(0..len, 0..len), 0..7);
        let terminal = prop::option::weighted(0.1, 0..len);
        (steps, first, ways, terminal).prop_map(move |(steps, first_ways, ways, terminal)| {
            let onward =
                |way: Way| Way { source: way.source.min(way.target), target: way.source.max(way.target), ..way };
            let ways = match edges {
                Edges::Any => ways,
                Edges::Onward => ways.into_iter().map(onward).filter(|way| way.source < way.target).collect(),
            };
            Shape { steps, first_ways, ways, terminal }
        })
    })
}

fn step(extent: Extent) -> impl Strategy<Value = Step> {
    let mode = prop_oneof![Just("exclusive"), Just("inclusive"), Just("parallel")];
    let gateway = mode.prop_map(|mode| plain(Body::Gateway(mode)));
    let part = prop_oneof![9 => part(extent), 2 => gateway];
    (part, prop::bool::weighted(0.2), prop::bool::weighted(0.06)).prop_map(|(part, joins_any, terminates)| {
        let terminates = terminates && !matches!(part.body, Body::Gateway(_));
        Step { part, joins_any, terminates }
    })
}

const fn plain(body: Body) -> Part {
    Part { body, each: None, has_compensation: false, has_timeout: false }
}

fn part(extent: Extent) -> impl Strategy<Value = Part> {
    leaf(extent).prop_recursive(2, 8, 3, move |inner| with_rules(extent, group(inner).boxed()))
}

fn leaf(extent: Extent) -> BoxedStrategy<Part> {
    let always = prop_oneof![8 => Just(Body::Machine), 2 => Just(Body::Human), 1 => Just(Body::Child)];
    let body = match extent {
        Extent::Timeless => always.boxed(),
        Extent::Whole => {
            let waits = prop_oneof![2 => Just(Body::Timer), 1 => Just(Body::Webhook), 1 => Just(Body::Signal)];
            prop_oneof![8 => always, 3 => waits].boxed()
        }
    };
    with_rules(extent, body)
}

fn with_rules(extent: Extent, body: BoxedStrategy<Body>) -> BoxedStrategy<Part> {
    let each = prop::option::weighted(0.15, (0..4_usize, prop::option::of(1..3_u32)));
    let timeout = prop::bool::weighted(if extent == Extent::Whole { 0.3 } else { 0.0 });
    (body, each, prop::bool::weighted(0.3), timeout)
        .prop_map(|(body, each, has_compensation, has_timeout)| Part { body, each, has_compensation, has_timeout })
        .boxed()
}

fn group(inner: impl Strategy<Value = Part> + Clone + 'static) -> impl Strategy<Value = Body> {
    let members = prop::collection::vec(inner.clone(), 0..4);
    let enough = prop_oneof![3 => Just(Enough::All), 1 => Just(Enough::Any), 1 => Just(Enough::Two)];
    let rules = (enough, prop::option::weighted(0.4, 1..3_u32), prop_oneof![Just("cancel"), Just("wait")]);
    let callback = prop::option::weighted(0.25, inner.prop_map(Box::new));
    let parallel = (members.clone(), rules, callback).prop_map(|(members, rules, callback)| {
        let (complete_when, at_once_max, on_member_failure) = rules;
        Body::Parallel { members, rules: ParallelRules { complete_when, at_once_max, on_member_failure }, callback }
    });
    let conditional = (members.clone(), 0..3_usize, any::<bool>())
        .prop_map(|(members, picked, has_default)| Body::Conditional { members, picked, has_default });
    prop_oneof![2 => members.prop_map(Body::Sequential), 3 => parallel, 1 => conditional]
}

fn way(sources: std::ops::Range<usize>, targets: std::ops::Range<usize>) -> impl Strategy<Value = Way> {
    let taken = prop_oneof![
        6 => Just(Taken::Always),
        2 => Just(Taken::IfTrue),
        1 => Just(Taken::IfFalse),
        1 => Just(Taken::ByDefault),
    ];
    let outcome = prop_oneof![6 => Just(Outcome::Success), 2 => Just(Outcome::Failure), 1 => Just(Outcome::Timeout)];
    (sources, targets, taken, outcome).prop_map(|(source, target, taken, outcome)| Way {
        source,
        target,
        taken,
        outcome,
    })
}

impl Shape {
    /// The definition; none if the shape breaks a rule of definitions, such as a second default edge.
    fn definition(&self) -> Option<WorkflowDefinition> {
        let steps: serde_json::Map<_, _> =
            self.steps.iter().enumerate().map(|(index, step)| (format!("s{index}"), step.written())).collect();
        let edges: Vec<_> = self.all_ways().map(|way| self.edge(way)).collect();
        let mut definition = json!({"schema": "stepcell/v1", "name": "test", "version": "1.0.0", "initial_step": "s0",
            "limits": {"iterations": ITERATIONS}, "steps": steps, "edges": edges});
        if let Some(terminal) = self.terminal {
            // Every step without a way out has to be named then.
            let leaves = |step: &usize| self.all_ways().any(|way| way.source == *step && self.is_success(way));
            let named = (0..self.steps.len()).filter(|step| *step == terminal || !leaves(step));
            definition["terminal_steps"] = named.map(|step| format!("s{step}")).collect();
        }
        WorkflowDefinition::from_text(&definition.to_string()).ok()
    }

    fn all_ways(&self) -> impl Iterator<Item = &Way> {
        self.first_ways.iter().chain(&self.ways)
    }

    /// A gateway can not fail.
    fn is_success(&self, way: &Way) -> bool {
        way.outcome == Outcome::Success || matches!(self.steps[way.source].part.body, Body::Gateway(_))
    }

    fn edge(&self, way: &Way) -> Value {
        let mut edge = json!({"source": format!("s{}", way.source), "target": format!("s{}", way.target)});
        match way.taken {
            Taken::Always => {}
            Taken::IfTrue => edge["condition"] = json!("true"),
            Taken::IfFalse => edge["condition"] = json!("false"),
            Taken::ByDefault => edge["default"] = json!(true),
        }
        if !self.is_success(way) {
            edge["outcome"] = json!(way.outcome);
        }
        edge
    }
}

impl Step {
    fn written(&self) -> Value {
        let mut step = self.part.written();
        if self.joins_any {
            step["join"] = json!("any");
        }
        if self.terminates {
            step["terminate"] = json!(true);
        }
        step
    }
}

impl Part {
    fn written(&self) -> Value {
        let mut step = self.body.written();
        let may_repeat = matches!(self.body, Body::Machine | Body::Human | Body::Sequential(_) | Body::Child);
        if let Some((items, at_once_max)) = self.each.filter(|_| may_repeat) {
            step["for_each"] = json!(format!("items{items}"));
            if let Some(max) = at_once_max {
                step["max_concurrency"] = json!(max);
            }
        }
        if self.has_compensation && !matches!(self.body, Body::Gateway(_) | Body::Timer) {
            step["compensate"] = json!("undo@1");
        }
        if self.has_timeout && matches!(self.body, Body::Human | Body::Webhook | Body::Signal | Body::Child) {
            step["timeout"] = json!("20s");
        }
        step
    }
}

impl Body {
    fn written(&self) -> Value {
        match self {
            Self::Machine => json!({"type": "machine", "component": "a@1", "retry": {"max_attempts": 3}}),
            Self::Human => json!({"type": "human", "reminder_in": "4s", "due_in": "8s"}),
            Self::Timer => json!({"type": "timer", "duration": "6s"}),
            Self::Webhook => json!({"type": "webhook", "callback_key": "called"}),
            Self::Signal => json!({"type": "signal", "signal": "go"}),
            Self::Child => json!({"type": "workflow", "workflow": "other"}),
            Self::Gateway(mode) => json!({"type": "gateway", "mode": mode}),
            Self::Sequential(members) => json!({"type": "sequential", "steps": written(members)}),
            Self::Parallel { members, rules, callback } => {
                let mut group = json!({"type": "parallel", "steps": written(members),
                    "on_member_failure": rules.on_member_failure});
                match rules.complete_when {
                    Enough::Any if !members.is_empty() => group["complete_when"] = json!("any"),
                    Enough::Two if members.len() >= 2 => group["complete_when"] = json!(2),
                    Enough::All | Enough::Any | Enough::Two => {}
                }
                if let Some(max) = rules.at_once_max {
                    group["max_concurrency"] = json!(max);
                }
                if let Some(callback) = callback {
                    group["callback"] = callback.written();
                }
                group
            }
            Self::Conditional { members, picked, has_default } => {
                let mut group =
                    json!({"type": "conditional", "key": format!("pick{picked}"), "steps": written(members)});
                if *has_default && !members.is_empty() {
                    group["default"] = json!("m0");
                }
                group
            }
        }
    }
}

fn written(members: &[Part]) -> Value {
    let members = members.iter().enumerate().map(|(index, member)| (format!("m{index}"), member.written()));
    Value::Object(members.collect())
}
