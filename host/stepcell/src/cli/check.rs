//! `check`: holds every instance's rows against each other, and each component against its digest.
//!
//! What can be and what can not is said by [`stepcell::model::audit`]; here the rows are brought together, of one moment
//! although somebody may be moving the instance.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use clap::Args;
use serde_json::json;
use stepcell::model::audit::{Kept, Rule, Violation, audit};
use stepcell::model::history::HistoryEntry;
use stepcell::model::id::{ComponentDigest, DefinitionId, InstanceId};
use stepcell::model::instance::WorkflowInstance;
use stepcell::model::plan::Plan;
use stepcell::model::record::{DefinitionRecord, ExecutionRecord, TaskRecord};
use stepcell::store::{ComponentFilter, InstanceFilter, PageLimit, StoreError, TaskFilter, WorkflowStore};

use super::exit::Exit;
use super::instance::load_history;
use super::open::{Output, Settings};
use super::print::{self, counted, plain};
use super::progress::Waiting;

/// How often an instance that moves meanwhile is looked at again.
const LOOKS_MAX: u32 = 20;

/// Check that everything in the database fits together.
///
/// Holds every instance's state, history, executions and tasks against each other, and every component's bytes against
/// its digest. Ends with 0 if nothing is wrong, and with 2 if something is. Works beside a process that drives.
#[derive(Debug, Args)]
pub(crate) struct Check {}

/// Something that is wrong.
struct Fault {
    subject: String,
    message: String,
}

impl Check {
    pub(crate) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        let visit = settings.read()?;
        let waiting = Waiting::on("checking");
        let mut faults = Vec::new();
        let instances = check_instances(visit.store(), &mut faults).await?;
        let components = check_components(visit.store(), &mut faults).await?;
        drop(waiting);
        if settings.output == Output::Json {
            let told = |fault: &Fault| json!({ "subject": fault.subject, "message": fault.message });
            let problems: Vec<_> = faults.iter().map(told).collect();
            print::json(&json!({ "instances": instances, "components": components, "problems": problems }))?;
        } else {
            let what = format!("{} and {}", counted(instances, "instance"), counted(components, "component"));
            match faults.len() {
                0 => print::line(&format!("checked {what}: everything fits together"))?,
                wrong => print::line(&format!("checked {what}: {} found", counted(wrong, "fault")))?,
            }
            for fault in &faults {
                print::line(&plain(&format!("{}: {}", fault.subject, fault.message)))?;
            }
        }
        Ok(if faults.is_empty() { Exit::Done } else { Exit::Failed })
    }
}

async fn check_instances(store: &dyn WorkflowStore, faults: &mut Vec<Fault>) -> anyhow::Result<usize> {
    // Ids first: instances that start meanwhile move the pages, and each is to be looked at once.
    let mut ids = BTreeSet::new();
    let mut filter = InstanceFilter { limit: PageLimit::MAX, ..InstanceFilter::default() };
    loop {
        let page = store.list_instances(&filter).await?;
        ids.extend(page.items.iter().map(|summary| summary.identity.id));
        filter.offset += page.items.len() as u64;
        if page.items.is_empty() {
            break;
        }
    }
    let mut plans = Plans::default();
    for id in &ids {
        let subject = format!("instance {id}");
        let messages = check_instance(store, *id, &mut plans).await?;
        let told = messages.into_iter().map(|violation| violation.message);
        faults.extend(told.map(|message| Fault { subject: subject.clone(), message }));
    }
    Ok(ids.len())
}

async fn check_components(store: &dyn WorkflowStore, faults: &mut Vec<Fault>) -> anyhow::Result<usize> {
    let components = store.list_components(&ComponentFilter::default()).await?.items;
    for record in &components {
        let subject = || format!("component {}@{}", record.name, record.version);
        match store.load_component_bytes(&record.digest).await? {
            None => faults.push(Fault { subject: subject(), message: "its bytes are missing".to_owned() }),
            Some(bytes) if ComponentDigest::of(&bytes) != record.digest => {
                faults.push(Fault { subject: subject(), message: "its bytes are not those of its digest".to_owned() });
            }
            Some(_) => {}
        }
    }
    Ok(components.len())
}

/// The definitions that were looked at, ready to be held against; none where one does not compile here.
///
/// One that names conditions of an embedding program can only be had in that program: then its steps and edges are
/// left out.
#[derive(Default)]
struct Plans(HashMap<DefinitionId, Option<Plan>>);

impl Plans {
    async fn find(&mut self, store: &dyn WorkflowStore, id: DefinitionId) -> Result<Option<&Plan>, StoreError> {
        let plan = match self.0.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(store.find_definition_by_id(id).await?.and_then(compiled)),
        };
        Ok(plan.as_ref())
    }
}

fn compiled(record: DefinitionRecord) -> Option<Plan> {
    let definition = serde_json::from_str(record.document.text()).ok()?;
    let plan = Plan::new(record.id, definition, &record.components.into_iter().collect()).ok()?;
    Some(plan.with_pure_steps(&record.pure_steps))
}

/// Everything that is kept of one instance.
struct Rows {
    instance: WorkflowInstance,
    history: Vec<HistoryEntry>,
    executions: Vec<ExecutionRecord>,
    tasks: Vec<TaskRecord>,
}

impl Rows {
    async fn load(store: &dyn WorkflowStore, instance: WorkflowInstance) -> anyhow::Result<Self> {
        let id = instance.identity.id;
        let history = load_history(store, id).await?;
        let executions = store.list_executions(id).await?;
        let mut tasks = Vec::new();
        loop {
            let offset = tasks.len() as u64;
            let filter = TaskFilter { instance: Some(id), limit: PageLimit::MAX, offset, ..TaskFilter::default() };
            let page = store.list_tasks(&filter).await?.items;
            if page.is_empty() {
                return Ok(Self { instance, history, executions, tasks });
            }
            tasks.extend(page);
        }
    }

    fn kept<'a>(&'a self, plan: Option<&'a Plan>) -> Kept<'a> {
        let Self { instance, history, executions, tasks } = self;
        Kept { instance, history, executions, tasks, plan }
    }
}

async fn check_instance(
    store: &dyn WorkflowStore,
    id: InstanceId,
    plans: &mut Plans,
) -> anyhow::Result<Vec<Violation>> {
    for _ in 0..LOOKS_MAX {
        let instance = match store.load_instance(id).await {
            Ok(Some(instance)) => instance,
            // It was pruned since it was listed.
            Ok(None) => return Ok(Vec::new()),
            Err(StoreError::Damaged { what }) => return Ok(vec![unreadable(format!("it is damaged: {what}"))]),
            Err(error) => return Err(error.into()),
        };
        let plan = plans.find(store, instance.identity.definition).await?;
        let rows = Rows::load(store, instance).await?;
        let kept = rows.kept(plan);
        let mut violations = audit(&kept);
        violations.extend(check_children(store, &kept).await?);
        let seq = store.find_instance(id).await?.map(|summary| summary.seq);
        if seq == Some(rows.instance.seq) {
            return Ok(violations);
        }
    }
    tracing::warn!(instance = %id, "moved whenever it was looked at, and was left out");
    Ok(Vec::new())
}

const fn unreadable(message: String) -> Violation {
    Violation { rule: Rule::State, message }
}

/// Whether the instances that an instance waits for will be told of.
///
/// Nothing is said as long as letters are under way. Where none is, and the instance is afterwards as it was, what it
/// should have been told was lost.
async fn check_children(store: &dyn WorkflowStore, kept: &Kept<'_>) -> Result<Vec<Violation>, StoreError> {
    let mut statuses = BTreeMap::new();
    for child in kept.instance.state.children() {
        statuses.extend(store.find_instance(child).await?.map(|found| (child, found.status)));
    }
    if kept.children(&statuses).is_empty() || !store.list_letters(1).await?.is_empty() {
        return Ok(Vec::new());
    }
    for child in kept.instance.state.children() {
        // It may have been started since.
        if let Some(found) = store.find_instance(child).await? {
            statuses.entry(child).or_insert(found.status);
        }
    }
    Ok(kept.children(&statuses))
}

#[cfg(test)]
mod tests {
    use stepcell::model::definition::WorkflowDefinition;
    use stepcell::model::status::{StepStatus, WorkflowStatus};
    use stepcell::{Host, StartRequest};

    use super::*;

    type Damage = fn(&mut Rows);

    /// The rows of an instance that waits for its second person.
    async fn rows() -> Rows {
        let host = Host::in_memory().concurrency(1).open().await.unwrap();
        let definition = WorkflowDefinition::builder("two", "1.0.0").human("first", |_| {}).human("second", |_| {});
        let definition = definition.edge("first", "second").build().unwrap();
        let engine = host.engine();
        engine.registry().register_definition(definition).await.unwrap();
        let id = engine.start_workflow(StartRequest::new("two".parse().unwrap())).await.unwrap().identity.id;
        let task = engine.wait_until_settled(id).await.map(|_| stepcell::model::id::ExecutionNumber(1).task_id(id));
        let actor = stepcell::model::transition::Actor::user("ada".parse().unwrap());
        engine.complete_task(task.unwrap(), actor, stepcell::model::json::Json::from(json!({})), None).await.unwrap();
        engine.wait_until_settled(id).await.unwrap();
        let store = host.store();
        let instance = store.load_instance(id).await.unwrap().unwrap();
        Rows::load(store.as_ref(), instance).await.unwrap()
    }

    fn told(rows: &Rows) -> Vec<String> {
        audit(&rows.kept(None)).into_iter().map(|violation| violation.message).collect()
    }

    #[tokio::test]
    async fn rows_that_fit_together_have_no_faults_and_each_damage_is_told() {
        assert_eq!(told(&rows().await), Vec::<String>::new());
        let damages: [(&str, Damage); 7] = [
            ("history holds 1 of them", |rows| drop(rows.history.remove(0))),
            ("its history ends with", |rows| rows.instance.state.status = WorkflowStatus::Running),
            ("executions were activated", |rows| rows.instance.state.control.executions = 3),
            ("executions ended, and their records say", |rows| rows.executions[0].ended_order = Some(2)),
            ("has not ended and is not active", |rows| {
                rows.executions[1].number = stepcell::model::id::ExecutionNumber(9);
                rows.executions[1].status = StepStatus::Waiting;
            }),
            ("no step waits for it", |rows| rows.instance.state.control.active.clear()),
            ("which is not pending", |rows| rows.tasks.clear()),
        ];
        for (told, damage) in damages {
            let mut rows = rows().await;
            damage(&mut rows);

            let faults = self::told(&rows);

            assert!(faults.iter().any(|fault| fault.contains(told)), "{told}: {faults:?}");
        }
    }
}
