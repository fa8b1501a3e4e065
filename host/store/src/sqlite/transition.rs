//! Writes one transition. Texts are made on the caller's thread; the writer only binds them.

use rusqlite::{Connection, OptionalExtension, Row, params};
use stepcell_model::chain::ChainHash;
use stepcell_model::guard::Usage;
use stepcell_model::id::InstanceId;
use stepcell_model::json::Json;
use stepcell_model::record::{ExecutionRecord, MessageChange, TaskRecord};
use stepcell_model::time::Timestamp;
use stepcell_model::transition::Transition;
use uuid::Uuid;

use super::{Role, guard, statements};
use crate::error::StoreError;
use crate::query::Committed;
use crate::sizes::stored_bytes;
pub(super) use crate::text::text_of;

/// A transition, and the texts of what is kept as JSON.
pub(super) struct EncodedTransition {
    transition: Transition,
    control: String,
    error: Option<String>,
    events: String,
    chain: ChainHash,
    stored_bytes: u64,
    /// Only for the first transition.
    metadata: Option<String>,
    /// One for each execution.
    failures: Vec<Option<String>>,
    letters: Vec<String>,
    usage: Option<Usage>,
    role: Role,
}

impl EncodedTransition {
    pub(super) fn new(transition: Transition, role: Role) -> Result<Self, StoreError> {
        let failures =
            transition.executions.iter().map(|execution| execution.failure.as_ref().map(text_of).transpose());
        let events = text_of(&transition.events)?;
        Ok(Self {
            control: text_of(&transition.state.control)?,
            error: transition.state.error.as_ref().map(text_of).transpose()?,
            chain: transition.link(&events),
            stored_bytes: stored_bytes(&transition, &events),
            events,
            metadata: (transition.seq == 1).then(|| text_of(&*transition.identity.metadata)).transpose()?,
            failures: failures.collect::<Result<_, _>>()?,
            letters: transition.letters.iter().map(text_of).collect::<Result<_, _>>()?,
            usage: transition.usage(),
            transition,
            role,
        })
    }

    /// Writes everything, or finds out why not before it has written anything.
    pub(super) fn write(&self, connection: &Connection) -> Result<Committed, StoreError> {
        let instance = match self.metadata.as_deref() {
            Some(metadata) => self.insert_instance(connection, metadata)?,
            None => self.update_instance(connection)?,
        };
        for (execution, failure) in self.transition.executions.iter().zip(&self.failures) {
            upsert_execution(connection, instance, execution, failure.as_deref())?;
        }
        self.write_context(connection, instance)?;
        for task in &self.transition.tasks {
            upsert_task(connection, instance, task)?;
        }
        for message in &self.transition.messages {
            change_message(connection, instance, message)?;
        }
        for letter in &self.letters {
            connection.prepare_cached(statements::INSERT_LETTER)?.execute([letter])?;
        }
        if let Some(usage) = &self.usage {
            guard::add_usage(connection, &self.transition, usage)?;
        }
        if self.role == Role::Visitor {
            connection.prepare_cached(statements::INSERT_NUDGE)?.execute([instance])?;
        }
        let (seq, at) = (signed(self.transition.seq), self.transition.at.unix_ms());
        let row = params![instance, seq, at, self.events, self.chain.as_bytes()];
        let position = connection.prepare_cached(statements::INSERT_HISTORY)?.insert(row)?;
        Ok(Committed { position: position.unsigned_abs(), chain: self.chain })
    }

    fn insert_instance(&self, connection: &Connection, metadata: &str) -> Result<i64, StoreError> {
        let Transition { identity, state, .. } = &self.transition;
        let row = params![
            identity.id.as_uuid().as_bytes(),
            identity.definition.as_uuid().as_bytes(),
            state.status.as_str(),
            text(state.current_step.as_ref()),
            ms(state.completed_at),
            ms(state.wake_at),
            identity.started_at.unix_ms(),
            text(identity.tenant.as_ref()),
            text(identity.created_by.as_ref()),
            identity.correlation_id,
            identity.idempotency_key,
            self.control,
            self.error,
            state.result.as_ref().map(Json::text),
            self.chain.as_bytes(),
            signed(self.stored_bytes),
        ];
        let mut statement = connection.prepare_cached(statements::INSERT_INSTANCE)?;
        let Some(key) = statement.query_row(row, key_of).optional()? else {
            return Err(self.why_not(connection)?);
        };
        let start = params![
            key,
            identity.input.text(),
            metadata,
            identity.parent.as_ref().map(|parent| parent.instance.as_uuid().as_bytes()),
            identity.parent.map(|parent| parent.execution.0),
            identity.parent.map(|parent| parent.depth),
            identity.callback_secret.as_bytes(),
        ];
        connection.prepare_cached(statements::INSERT_START)?.execute(start)?;
        Ok(key)
    }

    fn update_instance(&self, connection: &Connection) -> Result<i64, StoreError> {
        let Transition { identity, seq, state, .. } = &self.transition;
        let row = params![
            identity.id.as_uuid().as_bytes(),
            signed(*seq),
            signed(*seq) - 1,
            state.status.as_str(),
            text(state.current_step.as_ref()),
            ms(state.completed_at),
            ms(state.wake_at),
            self.control,
            self.error,
            state.result.as_ref().map(Json::text),
            self.chain.as_bytes(),
            signed(self.stored_bytes),
        ];
        let mut statement = connection.prepare_cached(statements::UPDATE_INSTANCE)?;
        match statement.query_row(row, key_of).optional()? {
            Some(key) => Ok(key),
            None => Err(self.why_not(connection)?),
        }
    }

    /// Finds out why the instance's row did not change.
    fn why_not(&self, connection: &Connection) -> Result<StoreError, StoreError> {
        let Transition { identity, seq, .. } = &self.transition;
        let mut by_id = connection.prepare_cached(statements::FIND_INSTANCE_SEQ)?;
        let found = by_id.query_row([identity.id.as_uuid().as_bytes()], |row| row.get::<_, i64>(0)).optional()?;
        if found.is_some() || *seq != 1 {
            let found = found.unwrap_or(0).unsigned_abs();
            return Ok(StoreError::Stale { instance: identity.id, expected: seq.saturating_sub(1), found });
        }
        let start_key = params![text(identity.tenant.as_ref()), identity.idempotency_key];
        let mut by_key = connection.prepare_cached(statements::FIND_INSTANCE_BY_IDEMPOTENCY_KEY)?;
        let existing = by_key.query_row(start_key, |row| row.get::<_, [u8; 16]>(0)).optional()?;
        Ok(match existing {
            Some(existing) => {
                StoreError::DuplicateStart { existing: InstanceId::from_uuid(Uuid::from_bytes(existing)) }
            }
            None => StoreError::UnknownDefinition { definition: identity.definition },
        })
    }

    fn write_context(&self, connection: &Connection, instance: i64) -> Result<(), StoreError> {
        for (key, value) in &self.transition.writes {
            match value {
                Some(value) => connection.prepare_cached(statements::UPSERT_CONTEXT_VALUE)?.execute(params![
                    instance,
                    key.as_str(),
                    value.text()
                ])?,
                None => connection
                    .prepare_cached(statements::DELETE_CONTEXT_VALUE)?
                    .execute(params![instance, key.as_str()])?,
            };
        }
        Ok(())
    }
}

fn upsert_execution(
    connection: &Connection,
    instance: i64,
    execution: &ExecutionRecord,
    failure: Option<&str>,
) -> Result<(), StoreError> {
    let row = params![
        instance,
        execution.number.0,
        execution.step.as_str(),
        execution.step_type.as_str(),
        execution.status.as_str(),
        execution.attempts,
        execution.started_at.unix_ms(),
        ms(execution.completed_at),
        execution.ended_order,
        text(execution.assigned_to.as_ref()),
        text(execution.completed_by.as_ref()),
        failure,
        execution.input.as_ref().map(Json::text),
        execution.output.as_ref().map(Json::text),
        execution.part_of.map(|number| number.0),
        execution.item,
    ];
    connection.prepare_cached(statements::UPSERT_EXECUTION)?.execute(row)?;
    Ok(())
}

fn upsert_task(connection: &Connection, instance: i64, task: &TaskRecord) -> Result<(), StoreError> {
    let row = params![
        task.id.as_uuid().as_bytes(),
        instance,
        task.execution.0,
        task.step.as_str(),
        text(task.tenant.as_ref()),
        task.title,
        task.description,
        task.form_schema.as_ref().map(Json::text),
        text(task.assignee.as_ref()),
        text(task.group.as_ref()),
        ms(task.due_at),
        ms(task.reminder_at),
        task.status.as_str(),
        task.created_at.unix_ms(),
        ms(task.completed_at),
        text(task.completed_by.as_ref()),
        task.comment,
    ];
    connection.prepare_cached(statements::UPSERT_TASK)?.execute(row)?;
    Ok(())
}

fn change_message(connection: &Connection, instance: i64, change: &MessageChange) -> Result<(), StoreError> {
    match change {
        MessageChange::Kept(message) => connection.prepare_cached(statements::UPSERT_MESSAGE)?.execute(params![
            instance,
            message.number,
            message.step.as_str(),
            message.payload.text(),
        ])?,
        MessageChange::Removed(number) => {
            connection.prepare_cached(statements::DELETE_MESSAGE)?.execute(params![instance, number])?
        }
    };
    Ok(())
}

fn key_of(row: &Row<'_>) -> rusqlite::Result<i64> {
    row.get(0)
}

fn ms(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::unix_ms)
}

fn text<T: AsRef<str>>(name: Option<&T>) -> Option<&str> {
    name.map(AsRef::as_ref)
}

/// Numbers that count up from 1 never come near the end of an `i64`.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
