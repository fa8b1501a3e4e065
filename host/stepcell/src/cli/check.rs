//! `check`: holds every instance's rows against each other.
//!
//! It decides nothing anew: it asks whether what was stored can have come from the transitions that history tells.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::json;
use stepcell::WorkflowStatus;
use stepcell::model::history::{Event, HistoryEntry};
use stepcell::model::id::{ComponentDigest, InstanceId};
use stepcell::model::instance::{Phase, WorkflowInstance};
use stepcell::model::record::{ExecutionRecord, TaskRecord};
use stepcell::model::status::TaskStatus;
use stepcell::store::{InstanceFilter, PageLimit, StoreError, TaskFilter, WorkflowStore};

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
    for id in &ids {
        let subject = format!("instance {id}");
        let messages = check_instance(store, *id).await?;
        faults.extend(messages.into_iter().map(|message| Fault { subject: subject.clone(), message }));
    }
    Ok(ids.len())
}

async fn check_components(store: &dyn WorkflowStore, faults: &mut Vec<Fault>) -> anyhow::Result<usize> {
    let components = store.list_components(None).await?;
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

/// Everything that is kept of one instance.
struct Rows {
    instance: WorkflowInstance,
    history: Vec<HistoryEntry>,
    executions: Vec<ExecutionRecord>,
    tasks: Vec<TaskRecord>,
}

async fn check_instance(store: &dyn WorkflowStore, id: InstanceId) -> anyhow::Result<Vec<String>> {
    for _ in 0..LOOKS_MAX {
        let before = match store.load_instance(id).await {
            Ok(Some(instance)) => instance,
            Ok(None) => return Ok(vec!["it is listed and can not be loaded".to_owned()]),
            Err(StoreError::Damaged { what }) => return Ok(vec![format!("it is damaged: {what}")]),
            Err(error) => return Err(error.into()),
        };
        let history = load_history(store, id).await?;
        let executions = store.list_executions(id).await?;
        let filter = TaskFilter { instance: Some(id), limit: PageLimit::MAX, ..TaskFilter::default() };
        let tasks = store.list_tasks(&filter).await?.items;
        let seq = store.find_instance(id).await?.map(|summary| summary.seq);
        if seq == Some(before.seq) {
            return Ok(Rows { instance: before, history, executions, tasks }.faults());
        }
    }
    tracing::warn!(instance = %id, "moved whenever it was looked at, and was left out");
    Ok(Vec::new())
}

impl Rows {
    /// Everything about the rows that can not be.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        self.check_history(&mut faults);
        self.check_executions(&mut faults);
        self.check_tasks(&mut faults);
        self.check_end(&mut faults);
        faults
    }

    fn check_history(&self, faults: &mut Vec<String>) {
        let seqs: Vec<_> = self.history.iter().map(|entry| entry.seq).collect();
        if !seqs.iter().copied().eq(1..=self.instance.seq) {
            let (first, last) = (seqs.first().unwrap_or(&0), seqs.last().unwrap_or(&0));
            faults.push(format!(
                "its last transition is {}, and history holds {} of them, from {first} to {last}",
                self.instance.seq,
                seqs.len()
            ));
        }
        if !self.history.is_sorted_by(|a, b| a.position < b.position) {
            faults.push("its history is not in the order in which it was written".to_owned());
        }
        let told = self.history.iter().flat_map(|entry| &entry.events).filter_map(status_told).next_back();
        if told != Some(self.instance.state.status) {
            let told = told.map_or("nothing", WorkflowStatus::as_str);
            faults.push(format!("it is {}, and its history ends with {told}", self.instance.state.status));
        }
        let activated = self.history.iter().flat_map(|entry| &entry.events).filter_map(|event| match event {
            Event::StepActivated { execution, .. } => Some(execution.0),
            _ => None,
        });
        let activated: BTreeSet<_> = activated.collect();
        if !activated.iter().copied().eq(1..=self.instance.state.control.executions) {
            let known = self.instance.state.control.executions;
            faults.push(format!("{known} executions were activated, and history tells of {}", activated.len()));
        }
    }

    fn check_executions(&self, faults: &mut Vec<String>) {
        let control = &self.instance.state.control;
        let orders: Vec<_> = self.executions.iter().filter_map(|record| record.ended_order).collect();
        if !orders.iter().copied().eq(1..=control.ended) {
            faults.push(format!("{} executions ended, and their records say {orders:?}", control.ended));
        }
        if u64::from(control.ended) + control.active.len() as u64 != u64::from(control.executions) {
            faults.push(format!(
                "of {} executions {} ended and {} are active",
                control.executions,
                control.ended,
                control.active.len()
            ));
        }
        for record in &self.executions {
            let is_active = control.find_active(record.number).is_some();
            let (number, step) = (record.number, &record.step);
            if is_active == record.ended_order.is_some() {
                let word = if is_active { "is active and has ended" } else { "has not ended and is not active" };
                faults.push(format!("execution {number} of step `{step}` {word}"));
            }
            if record.completed_at.is_some() != record.ended_order.is_some() {
                faults.push(format!("execution {number} of step `{step}` has a time of its end or an order, not both"));
            }
        }
    }

    fn check_tasks(&self, faults: &mut Vec<String>) {
        let pending = self.tasks.iter().filter(|task| task.status == TaskStatus::Pending).map(|task| task.id);
        let pending: BTreeSet<_> = pending.collect();
        let awaited = self.instance.state.control.active.iter().filter_map(|active| match &active.phase {
            Phase::AwaitingTask { task, .. } => Some(*task),
            _ => None,
        });
        let awaited: BTreeSet<_> = awaited.collect();
        for task in pending.difference(&awaited) {
            faults.push(format!("task {task} is pending, and no step waits for it"));
        }
        for task in awaited.difference(&pending) {
            faults.push(format!("a step waits for task {task}, which is not pending"));
        }
    }

    fn check_end(&self, faults: &mut Vec<String>) {
        let state = &self.instance.state;
        let is_finished = state.status.is_finished();
        if is_finished && !state.control.active.is_empty() {
            faults.push(format!("it is {}, and {} executions are active", state.status, state.control.active.len()));
        }
        if !is_finished && state.control.active.is_empty() {
            faults.push(format!("it is {}, and nothing of it is active", state.status));
        }
        if is_finished != state.completed_at.is_some() {
            faults.push(format!("it is {}, and its time of completion says otherwise", state.status));
        }
        let has_error = matches!(state.status, WorkflowStatus::Failed | WorkflowStatus::Canceled);
        if has_error != state.error.is_some() {
            faults.push(format!("it is {}, and its error says otherwise", state.status));
        }
    }
}

/// The status that an event leaves an instance with, if it is about the instance.
fn status_told(event: &Event) -> Option<WorkflowStatus> {
    match event {
        Event::WorkflowStarted { .. } | Event::WorkflowResumed { .. } | Event::WorkflowRetried { .. } => {
            Some(WorkflowStatus::Running)
        }
        Event::WorkflowPaused { .. } => Some(WorkflowStatus::Paused),
        Event::WorkflowWaiting => Some(WorkflowStatus::Waiting),
        Event::WorkflowCompleted => Some(WorkflowStatus::Completed),
        Event::WorkflowFailed { .. } => Some(WorkflowStatus::Failed),
        Event::WorkflowCanceled { .. } => Some(WorkflowStatus::Canceled),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use stepcell::model::definition::WorkflowDefinition;
    use stepcell::model::status::StepStatus;
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
        let filter = TaskFilter { instance: Some(id), ..TaskFilter::default() };
        Rows {
            instance: store.load_instance(id).await.unwrap().unwrap(),
            history: load_history(store.as_ref(), id).await.unwrap(),
            executions: store.list_executions(id).await.unwrap(),
            tasks: store.list_tasks(&filter).await.unwrap().items,
        }
    }

    #[tokio::test]
    async fn rows_that_fit_together_have_no_faults_and_each_damage_is_told() {
        assert_eq!(rows().await.faults(), Vec::<String>::new());
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

            let faults = rows.faults();

            assert!(faults.iter().any(|fault| fault.contains(told)), "{told}: {faults:?}");
        }
    }
}
