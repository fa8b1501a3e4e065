//! What can be wrong with a group and its members.

use indexmap::IndexMap;

use super::step::at;
use super::{Check, key};
use crate::definition::{CompleteWhen, ConditionalGroup, ParallelGroup, StepDefinition};
use crate::name::StepName;
use crate::problem::{PathPart, did_you_mean};

/// How deep groups may nest.
pub(crate) const GROUP_DEPTH_MAX: usize = 8;

impl Check<'_> {
    /// Checks a group: what it says itself, and each member.
    pub(super) fn group(&mut self, path: &[PathPart], name: &StepName, group: &StepDefinition) {
        if name.as_str().matches('/').count() >= GROUP_DEPTH_MAX {
            return self.find(
                path.to_vec(),
                format!("groups nest deeper than {GROUP_DEPTH_MAX}; use a step of type workflow"),
            );
        }
        for (member, step) in group.members().into_iter().flatten() {
            let within = [at(path, "steps"), vec![key(member.as_str())]].concat();
            if member.is_part() || StepName::RESERVED.contains(&member.as_str()) {
                let message = format!("`{member}` can not name a member: the engine shows its own parts so");
                self.find(within, message);
                continue;
            }
            self.member(&within, name, member.as_str(), step);
        }
        if let Some(callback) = group.callback() {
            self.member(&at(path, "callback"), name, StepName::CALLBACK, callback);
        }
        match group {
            StepDefinition::Parallel(parallel) if self.reads_members(path) => self.parallel(path, parallel),
            StepDefinition::Conditional(conditional) if self.reads_members(path) => self.conditional(path, conditional),
            _ => {}
        }
    }

    fn member(&mut self, path: &[PathPart], group: &StepName, member: &str, step: &StepDefinition) {
        let name = match group.part(member) {
            Ok(name) => name,
            Err(error) => return self.find(path.to_vec(), error.to_string()),
        };
        if matches!(step, StepDefinition::Gateway(_)) {
            let message = "a gateway chooses between edges, and a group has none inside; use a conditional group";
            return self.find(path.to_vec(), message);
        }
        if !step.join().is_all() {
            self.find(at(path, "join"), "no edges lead to a member of a group, so it joins nothing");
        }
        if step.terminates() {
            self.find(at(path, "terminate"), "only a step of the graph can end all branches; set it on the group");
        }
        self.step(path, &name, step);
    }

    /// Whether every member of the group at `path` could be read by its name.
    fn reads_members(&self, path: &[PathPart]) -> bool {
        let members = at(path, "steps");
        let is_of_members = |at: &[PathPart]| at.starts_with(&members) && at.len() <= members.len() + 1;
        !self.unread.iter().any(|finding| finding.path == path || is_of_members(&finding.path))
    }

    fn parallel(&mut self, path: &[PathPart], group: &ParallelGroup) {
        if let CompleteWhen::Count(count) = group.complete_when
            && count as usize > group.steps.len()
        {
            let message = format!("{count} members can not succeed: the group has {}", group.steps.len());
            self.find(at(path, "complete_when"), message);
        }
        if group.complete_when == CompleteWhen::Any && group.steps.is_empty() {
            self.find(at(path, "complete_when"), "none can come first in a group without members");
        }
    }

    fn conditional(&mut self, path: &[PathPart], group: &ConditionalGroup) {
        if let Some(default) = group.default.as_ref().filter(|default| !group.steps.contains_key(*default)) {
            let hint = did_you_mean(default.as_str(), names(&group.steps));
            self.find(at(path, "default"), format!("`{default}` is no member of the group{hint}"));
        }
    }
}

fn names(steps: &IndexMap<StepName, StepDefinition>) -> impl Iterator<Item = &str> {
    steps.keys().map(StepName::as_str)
}
