//! Every step of a definition, members of groups included, with the name and the place that it has.

use super::{ComponentRef, StepDefinition, WorkflowDefinition};
use crate::component::Export;
use crate::grants::Grants;
use crate::name::StepName;
use crate::problem::PathPart;

/// A step, wherever it stands.
#[derive(Clone, Debug)]
pub struct Visited<'a> {
    /// Its name; a member of a group is `group/member`.
    pub name: StepName,
    /// Where it stands in the document.
    pub path: Vec<PathPart>,
    /// What it is.
    pub step: &'a StepDefinition,
}

/// A component that a definition names.
#[derive(Clone, Debug)]
pub struct ComponentUse<'a> {
    /// The step that runs it, or `step/compensate`.
    pub step: StepName,
    /// Where it is named in the document.
    pub path: Vec<PathPart>,
    /// How it is named.
    pub component: &'a ComponentRef,
    /// What it must export.
    pub needs: Export,
    /// What the step asks to reach beyond its cell; what undoes it may reach the same.
    pub grants: &'a Grants,
}

fn key(text: &str) -> PathPart {
    PathPart::Key(text.to_owned())
}

impl WorkflowDefinition {
    /// Shows every step, a group before its members. What can not be named, as it lies too deep, is left out.
    pub fn visit_steps<'a>(&'a self, visit: &mut impl FnMut(Visited<'a>)) {
        for (name, step) in &self.steps {
            let path = vec![key("steps"), key(name.as_str())];
            visit_step(Visited { name: name.clone(), path, step }, visit);
        }
    }

    /// Every component that the definition names.
    #[must_use]
    pub fn components(&self) -> Vec<ComponentUse<'_>> {
        let mut found = Vec::new();
        self.visit_steps(&mut |visited| {
            let at = |field: &str| visited.path.iter().cloned().chain([key(field)]).collect();
            let own = match visited.step {
                StepDefinition::Machine(machine) => Some((&machine.component, Export::Step)),
                StepDefinition::Gateway(gateway) => {
                    gateway.component.as_ref().map(|component| (component, Export::Gateway))
                }
                _ => None,
            };
            let grants = visited.step.grants().unwrap_or(const { &Grants::NONE });
            if let Some((component, needs)) = own {
                found.push(ComponentUse {
                    step: visited.name.clone(),
                    path: at("component"),
                    component,
                    needs,
                    grants,
                });
            }
            if let Some((component, Ok(step))) =
                visited.step.compensate().map(|component| (component, visited.name.part(StepName::COMPENSATE)))
            {
                let (path, needs) = (at("compensate"), Export::Step);
                found.push(ComponentUse { step, path, component, needs, grants });
            }
        });
        found
    }

    /// Lets every reference to a component be replaced.
    pub fn for_each_component_mut(&mut self, change: &mut impl FnMut(&mut ComponentRef)) {
        self.steps.values_mut().for_each(|step| step.for_each_component_mut(change));
    }
}

fn visit_step<'a>(visited: Visited<'a>, visit: &mut impl FnMut(Visited<'a>)) {
    let Visited { name, path, step } = visited.clone();
    visit(visited);
    for (member, step) in step.members().into_iter().flatten() {
        if let Ok(name) = name.part(member.as_str()) {
            let path = path.iter().cloned().chain([key("steps"), key(member.as_str())]).collect();
            visit_step(Visited { name, path, step }, visit);
        }
    }
    if let Some((step, Ok(name))) = step.callback().map(|step| (step, name.part(StepName::CALLBACK))) {
        let path = path.iter().cloned().chain([key(StepName::CALLBACK)]).collect();
        visit_step(Visited { name, path, step }, visit);
    }
}

impl StepDefinition {
    fn for_each_component_mut(&mut self, change: &mut impl FnMut(&mut ComponentRef)) {
        let (own, compensate, members, callback) = match self {
            Self::Machine(step) => (Some(&mut step.component), &mut step.compensate, None, None),
            Self::Gateway(step) => (step.component.as_mut(), &mut None, None, None),
            Self::Timer(_) => return,
            Self::Human(step) => (None, &mut step.compensate, None, None),
            Self::Webhook(step) => (None, &mut step.compensate, None, None),
            Self::Signal(step) => (None, &mut step.compensate, None, None),
            Self::Workflow(step) => (None, &mut step.compensate, None, None),
            Self::Sequential(step) => (None, &mut step.compensate, Some(&mut step.steps), None),
            Self::Conditional(step) => (None, &mut step.compensate, Some(&mut step.steps), None),
            Self::Parallel(step) => (None, &mut step.compensate, Some(&mut step.steps), step.callback.as_mut()),
        };
        own.into_iter().chain(compensate.as_mut()).for_each(&mut *change);
        members
            .into_iter()
            .flat_map(|members| members.values_mut())
            .for_each(|step| step.for_each_component_mut(change));
        if let Some(callback) = callback {
            callback.for_each_component_mut(change);
        }
    }
}
