//! What must hold once everything has come to its end.

use std::collections::{BTreeMap, BTreeSet};

use stepcell_model::audit::{Kept, audit};
use stepcell_model::chain::{ChainCheck, CheckedChain};
use stepcell_model::history::{Event, HistoryEntry};
use stepcell_model::id::InstanceId;
use stepcell_model::plan::Plan;
use stepcell_model::record::DefinitionRecord;
use stepcell_model::status::{StepStatus, StepType, WorkflowStatus};
use stepcell_store::{InstanceFilter, LIST_LEN_MAX, PageLimit, TaskFilter, WorkflowStore};

use crate::world::{Acknowledged, World};

/// How long a timer of these definitions runs at least.
const TIMER_MS_MIN: i64 = 2_000;

/// Holds everything that is kept against itself, and against what was acknowledged.
pub async fn judge(world: &World, store: &dyn WorkflowStore) {
    let filter = InstanceFilter { limit: PageLimit::MAX, ..InstanceFilter::default() };
    let instances = store.list_instances(&filter).await.unwrap().items;
    let statuses: BTreeMap<_, _> = instances.iter().map(|found| (found.identity.id, found.status)).collect();
    let mut histories = BTreeMap::new();
    for id in statuses.keys() {
        let history = judge_instance(world, store, *id, &statuses).await;
        histories.insert(*id, history);
    }
    judge_acknowledged(world, store, &statuses, &histories).await;
    judge_told(world, store).await;
}

/// Whoever read the events was told each once, in order, as it was kept.
async fn judge_told(world: &World, store: &dyn WorkflowStore) {
    let told = std::mem::take(&mut world.seen().told);
    let mut kept: Vec<HistoryEntry> = Vec::new();
    while let Ok(page) = store.list_history_after(kept.last().map_or(0, |entry| entry.position), LIST_LEN_MAX).await
        && !page.is_empty()
    {
        kept.extend(page);
    }
    // One that tells nothing is passed over.
    kept.retain(|entry| !entry.events.is_empty());
    if told != kept {
        let differs =
            told.iter().zip(&kept).find(|(told, kept)| told != kept).map(|(told, kept)| (told.position, kept.position));
        world.violated(format!(
            "{} entries were told of {}; the first that differs: {differs:?}",
            told.len(),
            kept.len()
        ));
    }
}

fn plan_of(record: DefinitionRecord) -> Plan {
    let definition = serde_json::from_str(record.document.text()).unwrap();
    let plan = Plan::new(record.id, definition, &record.components.into_iter().collect()).unwrap();
    plan.with_pure_steps(&record.pure_steps)
}

async fn judge_instance(
    world: &World,
    store: &dyn WorkflowStore,
    id: InstanceId,
    statuses: &BTreeMap<InstanceId, WorkflowStatus>,
) -> Vec<HistoryEntry> {
    let instance = store.load_instance(id).await.unwrap().unwrap();
    let mut history: Vec<HistoryEntry> = Vec::new();
    loop {
        let after = history.last().map_or(0, |entry| entry.seq);
        let page = store.list_history(id, after, LIST_LEN_MAX).await.unwrap();
        if page.is_empty() {
            break;
        }
        history.extend(page);
    }
    let executions = store.list_executions(id).await.unwrap();
    let filter = TaskFilter { instance: Some(id), limit: PageLimit::MAX, ..TaskFilter::default() };
    let tasks = store.list_tasks(&filter).await.unwrap().items;
    let record = store.find_definition_by_id(instance.identity.definition).await.unwrap().unwrap();
    let plan = plan_of(record);
    let kept =
        Kept { instance: &instance, history: &history, executions: &executions, tasks: &tasks, plan: Some(&plan) };
    let name = world.name(id);
    for violation in audit(&kept).into_iter().chain(kept.children(statuses)) {
        world.violated(format!("{name}: {violation}"));
    }
    for broken in chain_of(store, id).await.breaks {
        world.violated(format!("{name}: {broken:?}"));
    }
    for record in executions.iter().filter(|record| record.step_type == StepType::Machine) {
        let told = record.output.as_ref().and_then(|output| output.tree()["step"].as_str().map(str::to_owned));
        if told.is_some_and(|told| told != record.step.as_str()) {
            world.violated(format!("{name}: `{}` has the output of another step: {:?}", record.step, record.output));
        }
    }
    for record in executions.iter().filter(|record| record.step_type == StepType::Timer) {
        let took = record.completed_at.map(|at| at.unix_ms() - record.started_at.unix_ms());
        if record.status == StepStatus::Succeeded && took.is_none_or(|took| took < TIMER_MS_MIN) {
            world.violated(format!("{name}: the timer of `{}` rang after {took:?} ms", record.step));
        }
    }
    history
}

/// The chain over an instance's history, checked.
async fn chain_of(store: &dyn WorkflowStore, id: InstanceId) -> CheckedChain {
    let mut check = ChainCheck::new(id);
    let mut after = 0;
    loop {
        let page = store.list_links_of(id, after, LIST_LEN_MAX).await.unwrap();
        let head = page.last().unwrap().head;
        let links: Vec<_> = page.into_iter().filter_map(|kept| kept.link).collect();
        let Some(last) = links.last() else { return check.finish(&head) };
        after = last.seq;
        links.iter().for_each(|link| check.take(link));
    }
}

async fn judge_acknowledged(
    world: &World,
    store: &dyn WorkflowStore,
    statuses: &BTreeMap<InstanceId, WorkflowStatus>,
    histories: &BTreeMap<InstanceId, Vec<HistoryEntry>>,
) {
    let acknowledged = world.seen().acknowledged.clone();
    let mut starts: BTreeMap<&str, InstanceId> = BTreeMap::new();
    let mut completed = BTreeSet::new();
    let mut delivered = BTreeSet::new();
    for what in &acknowledged {
        let holds = match what {
            Acknowledged::Started { instance, key } => {
                statuses.contains_key(instance) && *starts.entry(key).or_insert(*instance) == *instance
            }
            Acknowledged::Completed { task, user } => {
                let record = store.find_task(*task).await.unwrap();
                let by = record.and_then(|record| record.completed_by);
                by.is_some_and(|by| by.as_str() == user) && completed.insert(*task)
            }
            Acknowledged::Claimed { task, user } => {
                let record = store.find_task(*task).await.unwrap();
                record.and_then(|record| record.assignee).is_some_and(|assignee| assignee.as_str() == user)
            }
            Acknowledged::Canceled { instance } => statuses.get(instance) == Some(&WorkflowStatus::Canceled),
            Acknowledged::Delivered { instance, id } => delivered.insert((*instance, id.clone())),
            Acknowledged::Paused { .. } | Acknowledged::Retried { .. } | Acknowledged::Sent { .. } => true,
        };
        if !holds {
            world.violated(format!("{what:?} was acknowledged, and is not so"));
        }
    }
    for (id, history) in histories {
        judge_counts(world, *id, history, &acknowledged);
    }
}

/// Each of these that was acknowledged is an event of its own.
fn judge_counts(world: &World, id: InstanceId, history: &[HistoryEntry], acknowledged: &[Acknowledged]) {
    let told =
        |is_it: fn(&Event) -> bool| history.iter().flat_map(|entry| &entry.events).filter(|event| is_it(event)).count();
    let asked = |is_it: &dyn Fn(&Acknowledged) -> bool| acknowledged.iter().filter(|what| is_it(what)).count();
    let counts = [
        (
            "pauses",
            asked(&|what| *what == Acknowledged::Paused { instance: id }),
            told(|event| matches!(event, Event::WorkflowPaused { .. })),
        ),
        (
            "retries",
            asked(&|what| *what == Acknowledged::Retried { instance: id }),
            told(|event| matches!(event, Event::WorkflowRetried { .. })),
        ),
        (
            "messages",
            asked(&|what| match what {
                Acknowledged::Sent { instance } | Acknowledged::Delivered { instance, .. } => *instance == id,
                _ => false,
            }),
            told(|event| matches!(event, Event::MessageKept { .. } | Event::MessageTaken { message: None, .. })),
        ),
    ];
    for (what, asked, told) in counts {
        if asked > told {
            let name = world.name(id);
            world.violated(format!("{name}: {asked} {what} were acknowledged, and history tells of {told}"));
        }
    }
}
