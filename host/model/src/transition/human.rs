//! Human tasks: created, claimed, reassigned, completed.

use serde_json::Value;

use super::draft::{Done, Draft};
use super::flow::Leaving;
use super::{Actor, Refusal, Standing};
use crate::attempt::ContextWrites;
use crate::failure::{EngineCode, Failure};
use crate::history::Event;
use crate::id::{ExecutionNumber, TaskId};
use crate::instance::{Active, Phase};
use crate::json::Json;
use crate::name::{ContextKey, StepName, UserId};
use crate::plan::{PlannedHuman, PlannedKind};
use crate::record::{ExecutionRecord, TaskRecord};
use crate::schema::FieldError;
use crate::status::TaskStatus;

/// The longest title of a task once its placeholders are filled, in bytes.
const TITLE_LEN_BYTES_MAX: usize = 1 << 10;

/// The longest description of a task once its placeholders are filled, in bytes.
const DESCRIPTION_LEN_BYTES_MAX: usize = 16 << 10;

impl Draft<'_> {
    /// Creates the task of a human step that was reached.
    pub(super) fn create_task(&mut self, active: &Active, human: &PlannedHuman) {
        let step = &human.step;
        let assignee = match self.assignee_of(active, human) {
            Ok(assignee) => assignee,
            Err(failure) => return self.fail_unbegun(active, &failure),
        };
        let title = step.title.clone().unwrap_or_else(|| crate::graph::label_of(&active.step));
        let task = TaskRecord {
            id: active.number.task_id(self.instance.identity.id),
            instance: self.instance.identity.id,
            execution: active.number,
            step: active.step.clone(),
            tenant: self.instance.identity.tenant.clone(),
            title: self.filled(active, &title, TITLE_LEN_BYTES_MAX),
            description: step.description.as_ref().map(|text| self.filled(active, text, DESCRIPTION_LEN_BYTES_MAX)),
            form_schema: step.form_schema.clone(),
            assignee,
            group: step.assignee_group.clone(),
            due_at: step.due_in.map(|due| self.now.after(due.length())),
            reminder_at: step.reminder_in.map(|reminder| self.now.after(reminder.length())),
            status: TaskStatus::Pending,
            created_at: self.now,
            completed_at: None,
            completed_by: None,
            comment: None,
        };
        let phase = Phase::AwaitingTask {
            task: task.id,
            remind_at: task.reminder_at,
            overdue_at: task.due_at,
            timeout_at: step.timeout.map(|timeout| self.now.after(timeout.length())),
        };
        self.set_phase(active.number, phase);
        self.events.push(Event::TaskCreated {
            task: task.id,
            execution: active.number,
            step: active.step.clone(),
            assignee: task.assignee.clone(),
            group: task.group.clone(),
        });
        self.record_waiting(active.number, &task);
        self.put_task(task);
    }

    /// Records an execution that waits for its task, as the task stands.
    fn record_waiting(&mut self, number: ExecutionNumber, task: &TaskRecord) {
        if let Some(active) = self.state.control.find_active(number) {
            let (input, assigned_to) = (self.incoming(active), task.assignee.clone());
            let record = ExecutionRecord { input, assigned_to, ..self.record_of(active) };
            self.put_record(record);
        }
    }

    /// Gives a task to somebody.
    fn assign(&mut self, record: TaskRecord, to: UserId) {
        let record = TaskRecord { assignee: Some(to), ..record };
        self.record_waiting(record.execution, &record);
        self.put_task(record);
    }

    /// The user whom the definition, or the context key that it names, gives the task to.
    ///
    /// A key that names nobody is a failure: a task that was meant for one person must not be anybody's.
    fn assignee_of(&mut self, active: &Active, human: &PlannedHuman) -> Result<Option<UserId>, Failure> {
        let Some(key) = &human.step.assignee_key else { return Ok(human.step.assignee.clone()) };
        let value = self.value_at(active, key.as_str());
        let named = value.as_ref().and_then(|value| UserId::new(value.as_str()?).ok());
        named.map(Some).ok_or_else(|| {
            let found = if value.is_some() { "holds no user's id" } else { "has no value" };
            let message = format!("nobody can be asked at `{}`: the context key `{key}` {found}", active.step);
            Failure::engine(EngineCode::Input, message)
        })
    }

    /// A value of the context; in a `for_each`, `item` is what it runs for, and `item.name` a field of that.
    fn value_at(&mut self, active: &Active, key: &str) -> Option<Value> {
        let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
        if first == StepName::ITEM
            && let Some(item) = self.item_of(active)
        {
            return match rest {
                None => Some(item.tree().clone()),
                Some(field) => item.tree().get(field).cloned(),
            };
        }
        self.context().get(key).map(|value| value.tree().clone())
    }

    /// The item that an execution, or the group around it, runs for.
    fn item_of(&self, active: &Active) -> Option<Json> {
        let mut around = active;
        loop {
            if around.arrivals.iter().any(|arrival| arrival.item.is_some()) {
                return self.previous_result(around);
            }
            around = self.state.control.find_active(around.place.group()?)?;
        }
    }

    /// Replaces each `{context.key}` and `{item}` by its value; one without a value stays, so that the mistake is seen.
    fn filled(&mut self, active: &Active, text: &str, len_bytes_max: usize) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let named = after.split_once('}').and_then(|(name, after)| {
                let key = name.strip_prefix("context.").or_else(|| name.starts_with(StepName::ITEM).then_some(name))?;
                Some((self.value_at(active, key)?, after))
            });
            rest = match named {
                Some((Value::String(value), after)) => {
                    filled.push_str(&value);
                    after
                }
                Some((value, after)) => {
                    filled.push_str(&value.to_string());
                    after
                }
                None => {
                    filled.push('{');
                    after
                }
            };
            if filled.len() > len_bytes_max {
                break;
            }
        }
        filled.push_str(rest);
        let end = (0..=len_bytes_max.min(filled.len())).rev().find(|end| filled.is_char_boundary(*end));
        filled.truncate(end.unwrap_or(0));
        filled
    }

    pub(super) fn task_claimed(&mut self, task: TaskId, actor: Actor) -> Result<(), Refusal> {
        let record = self.authorized(task, &actor)?;
        if let Some(owner) = record.assignee {
            let why = if owner == actor.user {
                "it is already theirs".to_owned()
            } else {
                format!("it is already `{owner}`'s")
            };
            return Err(Refusal::TaskUnauthorized { user: actor.user, step: record.step, why });
        }
        self.events.push(Event::TaskClaimed { task, step: record.step.clone(), user: actor.user.clone() });
        self.assign(record, actor.user);
        Ok(())
    }

    pub(super) fn task_reassigned(
        &mut self,
        task: TaskId,
        to: UserId,
        reason: String,
        by: Option<UserId>,
    ) -> Result<(), Refusal> {
        let record = self.waiting_task(task)?;
        self.events.push(Event::TaskReassigned {
            task,
            step: record.step.clone(),
            from: record.assignee.clone(),
            to: to.clone(),
            reason,
            by,
        });
        self.assign(record, to);
        Ok(())
    }

    pub(super) fn task_completed(
        &mut self,
        task: TaskId,
        actor: Actor,
        data: Json,
        comment: Option<String>,
    ) -> Result<(), Refusal> {
        let record = self.authorized(task, &actor)?;
        let number = record.execution;
        let active = self.state.control.find_active(number).ok_or(Refusal::TaskNotPending { task })?.clone();
        let writes = self.checked_answer(&active, &data)?;
        self.write_all(writes);
        let record = TaskRecord {
            status: TaskStatus::Completed,
            completed_at: Some(self.now),
            completed_by: Some(actor.user.clone()),
            comment: comment.clone(),
            ..record
        };
        let step = active.step.clone();
        self.events.push(Event::TaskCompleted { task, step, user: actor.user.clone(), comment });
        self.put_task(record.clone());
        self.state.control.user = Some(actor.user);
        let input = self.incoming(&active);
        let wrote =
            data.tree().as_object().into_iter().flat_map(|map| map.keys()).filter_map(|key| ContextKey::new(key).ok());
        let (wrote, output) = (wrote.collect(), Some(data));
        self.complete(&active, Done { input, output: output.clone(), wrote, task: Some(record), trace: None });
        self.leave(Leaving::succeeded(active, output));
        Ok(())
    }

    /// Checks an answer against its form and takes it apart into context values.
    fn checked_answer(&self, active: &Active, data: &Json) -> Result<ContextWrites, Refusal> {
        let step = active.step.clone();
        if let PlannedKind::Human(human) = &self.planned(active).1.kind
            && let Some(form) = &human.form
        {
            let errors = form.check(data);
            if !errors.is_empty() {
                return Err(Refusal::InvalidData { step, errors });
            }
        }
        let wrong = |pointer: String, message: String| Refusal::InvalidData {
            step: step.clone(),
            errors: vec![FieldError { pointer, message }],
        };
        let Some(fields) = data.tree().as_object() else {
            return Err(wrong(String::new(), "must be a JSON object of context values".to_owned()));
        };
        let mut writes = ContextWrites::new();
        for (name, value) in fields {
            let key = ContextKey::new(name).map_err(|error| wrong(format!("/{name}"), error.to_string()))?;
            writes.insert(key, Some(value.clone().into()));
        }
        self.check_context_size(&writes).map_err(|failure| wrong(String::new(), failure.message))?;
        Ok(writes)
    }

    /// The task, if it waits and the actor may do it.
    fn authorized(&self, task: TaskId, actor: &Actor) -> Result<TaskRecord, Refusal> {
        let record = self.waiting_task(task)?;
        let why = match (&record.assignee, &record.group) {
            _ if actor.standing == Standing::Admin => return Ok(record),
            (Some(assignee), _) if *assignee == actor.user => return Ok(record),
            (None, None) => return Ok(record),
            (None, Some(group)) if actor.groups.contains(group) => return Ok(record),
            (Some(assignee), _) => format!("it is assigned to `{assignee}`; reassign it first"),
            (None, Some(group)) => format!("it is for members of `{group}`"),
        };
        Err(Refusal::TaskUnauthorized { user: actor.user.clone(), step: record.step, why })
    }

    fn waiting_task(&self, task: TaskId) -> Result<TaskRecord, Refusal> {
        self.instance.tasks.values().find(|known| known.id == task).cloned().ok_or(Refusal::TaskNotPending { task })
    }
}
