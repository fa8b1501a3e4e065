//! Holds everything that is kept of one instance against everything else of it.
//!
//! It decides nothing anew: it asks whether what was stored can have come from the transitions that history tells, and
//! whether the instance can still come to an end. It is written from what a transition promises and shares no code with
//! the transition function, so that each can show where the other is wrong. Reading order: [`audit`], then `path.rs`
//! (history alone, event by event), `rows.rs` (state and rows against it) and `stuck.rs` (what is still to move it).
//!
//! It knows one instance at a time; [`Kept::children`] is where others come in.

mod path;
mod rows;
mod stuck;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::path::Path;
use crate::history::HistoryEntry;
use crate::id::InstanceId;
use crate::instance::WorkflowInstance;
use crate::plan::Plan;
use crate::record::{ExecutionRecord, TaskRecord};
use crate::status::{UnknownWord, WorkflowStatus, words};

/// Everything that is kept of one instance, all of one moment.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// The instance as it is loaded.
    pub instance: &'a WorkflowInstance,
    /// Its whole history, in order.
    pub history: &'a [HistoryEntry],
    /// Its executions, in the order of their ends; what has not ended comes after.
    pub executions: &'a [ExecutionRecord],
    /// Its tasks.
    pub tasks: &'a [TaskRecord],
    /// Its definition, where it can be had: without it nothing is said of steps and edges.
    pub plan: Option<&'a Plan>,
}

words! {
    /// What was broken.
    Rule {
        /// Transitions are numbered from 1 without a gap, and stand in the order in which they were written.
        Numbers = "numbers",
        /// Each event can follow those before it.
        Path = "path",
        /// Each way from step to step is one of the definition, and was decided on.
        Edges = "edges",
        /// An instance ends once, unless it is retried, and nothing of it is active then.
        End = "end",
        /// Attempts are numbered without a gap, within what their step allows.
        Attempts = "attempts",
        /// What is due once happens once.
        Timers = "timers",
        /// Tasks are what history tells of them.
        Tasks = "tasks",
        /// Executions are what history tells of them.
        Executions = "executions",
        /// The state is what history tells of it.
        State = "state",
        /// Whatever is not finished has something that can move it.
        Stuck = "stuck",
    }
}

/// Something that can not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What was broken.
    pub rule: Rule,
    /// What was found and what was expected.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Everything about an instance that can not be; nothing where all of it fits together.
#[must_use]
pub fn audit(kept: &Kept<'_>) -> Vec<Violation> {
    let mut found = Found::default();
    let path = Path::of(kept, &mut found);
    rows::check(kept, &path, &mut found);
    stuck::check(kept, &mut found);
    found.0
}

impl Kept<'_> {
    /// Holds the instances that it waits for against what is known of them.
    ///
    /// `statuses` has every instance that was started. No letter may be under way: then each child that it waits for was
    /// started, and each that has ended was told of.
    #[must_use]
    pub fn children(&self, statuses: &BTreeMap<InstanceId, WorkflowStatus>) -> Vec<Violation> {
        let mut found = Found::default();
        for child in self.instance.state.children() {
            match statuses.get(&child) {
                None => found.note(Rule::Stuck, format!("it waits for instance {child}, which nobody has started")),
                Some(status) if status.is_finished() => {
                    found.note(Rule::Stuck, format!("it waits for instance {child}, which is {status}"));
                }
                Some(_) => {}
            }
        }
        found.0
    }
}

/// The violations so far.
#[derive(Debug, Default)]
struct Found(Vec<Violation>);

impl Found {
    fn note(&mut self, rule: Rule, message: impl Into<String>) {
        self.0.push(Violation { rule, message: message.into() });
    }

    /// Notes what `message` says unless `holds`.
    fn expect(&mut self, rule: Rule, holds: bool, message: impl FnOnce() -> String) {
        if !holds {
            self.note(rule, message());
        }
    }
}
