//! What rows mean: each kind is read into its type here, and nowhere else.
//!
//! Whatever does not read back is [`StoreError::Damaged`], with the column that it stands in.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use rusqlite::types::FromSql;
use rusqlite::{Connection, Params, Row};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use stepcell_model::attempt::ContextData;
use stepcell_model::chain::ChainHash;
use stepcell_model::history::HistoryEntry;
use stepcell_model::id::{ComponentDigest, DefinitionId, ExecutionNumber, InstanceId, TaskId};
use stepcell_model::instance::InstanceState;
use stepcell_model::json::Json;
use stepcell_model::letter::Letter;
use stepcell_model::name::{ContextKey, TenantId};
use stepcell_model::record::{
    CallbackSecret, ComponentRecord, DefinitionRecord, DefinitionSummary, DefinitionVersion, ExecutionRecord,
    InstanceIdentity, InstanceSummary, KeptMessage, ParentLink, TaskRecord,
};
use stepcell_model::time::Timestamp;
use uuid::Uuid;

use crate::error::StoreError;
use crate::query::{CatalogKey, LetterKey};

/// Runs a statement and reads every row.
pub(super) fn list<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Columns<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut list = Vec::new();
    while let Some(row) = rows.next()? {
        list.push(read(&Columns(row))?);
    }
    Ok(list)
}

/// Runs a statement and reads its first row, if there is one.
pub(super) fn find<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Columns<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(|row| read(&Columns(row))).transpose()
}

/// A row, read by the names of its columns.
pub(super) struct Columns<'r>(&'r Row<'r>);

impl<'r> Columns<'r> {
    pub(super) const fn of(row: &'r Row<'r>) -> Self {
        Self(row)
    }
}

impl Columns<'_> {
    pub(super) fn value<T: FromSql>(&self, column: &str) -> Result<T, StoreError> {
        Ok(self.0.get(column)?)
    }

    pub(super) fn uuid(&self, column: &str) -> Result<Uuid, StoreError> {
        Ok(Uuid::from_bytes(self.value(column)?))
    }

    pub(super) fn count(&self, column: &str) -> Result<u64, StoreError> {
        u64::try_from(self.value::<i64>(column)?).map_err(|error| misread(column, error))
    }

    pub(super) fn chain(&self, column: &str) -> Result<ChainHash, StoreError> {
        Ok(ChainHash::from_bytes(self.value(column)?))
    }

    /// A text that is a name, a version or a word.
    pub(super) fn word<T: FromStr<Err: Display>>(&self, column: &str) -> Result<T, StoreError> {
        self.value::<String>(column)?.parse().map_err(|error| misread(column, error))
    }

    pub(super) fn word_maybe<T: FromStr<Err: Display>>(&self, column: &str) -> Result<Option<T>, StoreError> {
        let text = self.value::<Option<String>>(column)?;
        text.map(|text| text.parse().map_err(|error| misread(column, error))).transpose()
    }

    pub(super) fn time(&self, column: &str) -> Result<Timestamp, StoreError> {
        Ok(Timestamp::from_unix_ms(self.value(column)?))
    }

    pub(super) fn time_maybe(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.value::<Option<i64>>(column)?.map(Timestamp::from_unix_ms))
    }

    /// A document of a user's, whose text is kept as it is.
    pub(super) fn json(&self, column: &str) -> Result<Json, StoreError> {
        Ok(Json::trusted(self.value(column)?))
    }

    pub(super) fn json_maybe(&self, column: &str) -> Result<Option<Json>, StoreError> {
        Ok(self.value::<Option<String>>(column)?.map(Json::trusted))
    }

    /// A document of our own.
    pub(super) fn document<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        serde_json::from_str(&self.value::<String>(column)?).map_err(|error| misread(column, error))
    }

    fn document_maybe<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, StoreError> {
        let text = self.value::<Option<String>>(column)?;
        text.map(|text| serde_json::from_str(&text).map_err(|error| misread(column, error))).transpose()
    }
}

fn misread(column: &str, error: impl Display) -> StoreError {
    StoreError::damaged(format!("column `{column}` does not read back: {error}"))
}

pub(super) fn identity(row: &Columns<'_>) -> Result<InstanceIdentity, StoreError> {
    let metadata: BTreeMap<ContextKey, Box<RawValue>> = row.document("metadata")?;
    let metadata = metadata.into_iter().map(|(key, raw)| (key, Json::trusted(raw.get().to_owned())));
    Ok(InstanceIdentity {
        id: InstanceId::from_uuid(row.uuid("id")?),
        definition: DefinitionId::from_uuid(row.uuid("definition")?),
        workflow_name: row.word("workflow_name")?,
        workflow_version: row.word("workflow_version")?,
        input: row.json("input")?,
        metadata: Arc::new(metadata.collect::<ContextData>()),
        tenant: row.word_maybe("tenant")?,
        created_by: row.word_maybe("created_by")?,
        correlation_id: row.value("correlation_id")?,
        idempotency_key: row.value("idempotency_key")?,
        parent: parent(row)?,
        callback_secret: CallbackSecret::from_bytes(row.value("callback_secret")?),
        started_at: row.time("started_at")?,
    })
}

fn parent(row: &Columns<'_>) -> Result<Option<ParentLink>, StoreError> {
    let Some(instance) = row.value::<Option<[u8; 16]>>("parent")? else { return Ok(None) };
    Ok(Some(ParentLink {
        instance: InstanceId::from_uuid(Uuid::from_bytes(instance)),
        execution: ExecutionNumber(row.value("parent_execution")?),
        depth: row.value("parent_depth")?,
    }))
}

pub(super) fn state(row: &Columns<'_>) -> Result<InstanceState, StoreError> {
    Ok(InstanceState {
        status: row.word("status")?,
        current_step: row.word_maybe("current_step")?,
        error: row.document_maybe("error")?,
        result: row.json_maybe("result")?,
        completed_at: row.time_maybe("completed_at")?,
        wake_at: row.time_maybe("wake_at")?,
        control: row.document("control")?,
    })
}

pub(super) fn summary(row: &Columns<'_>) -> Result<InstanceSummary, StoreError> {
    Ok(InstanceSummary {
        identity: Arc::new(identity(row)?),
        seq: row.count("seq")?,
        status: row.word("status")?,
        current_step: row.word_maybe("current_step")?,
        error: row.document_maybe("error")?,
        result: row.json_maybe("result")?,
        completed_at: row.time_maybe("completed_at")?,
    })
}

pub(super) fn context_value(row: &Columns<'_>) -> Result<(ContextKey, Json), StoreError> {
    Ok((row.word("key")?, row.json("value")?))
}

/// What an execution returned, or was given as long as it has not ended; none where there is neither.
pub(super) fn result(row: &Columns<'_>) -> Result<(ExecutionNumber, Option<Json>), StoreError> {
    Ok((ExecutionNumber(row.value("number")?), row.json_maybe("result")?))
}

pub(super) fn message(row: &Columns<'_>) -> Result<KeptMessage, StoreError> {
    Ok(KeptMessage { number: row.value("number")?, step: row.word("step")?, payload: row.json("payload")? })
}

pub(super) fn letter(row: &Columns<'_>) -> Result<(LetterKey, Letter), StoreError> {
    Ok((LetterKey(row.count("key")?), row.document("letter")?))
}

pub(super) fn execution(row: &Columns<'_>) -> Result<ExecutionRecord, StoreError> {
    Ok(ExecutionRecord {
        number: ExecutionNumber(row.value("number")?),
        step: row.word("step")?,
        step_type: row.word("step_type")?,
        status: row.word("status")?,
        attempts: row.value("attempts")?,
        input: row.json_maybe("input")?,
        output: row.json_maybe("output")?,
        failure: row.document_maybe("failure")?,
        started_at: row.time("started_at")?,
        completed_at: row.time_maybe("completed_at")?,
        ended_order: row.value("ended_order")?,
        assigned_to: row.word_maybe("assigned_to")?,
        completed_by: row.word_maybe("completed_by")?,
        part_of: row.value::<Option<u32>>("part_of")?.map(ExecutionNumber),
        item: row.value("item")?,
    })
}

pub(super) fn task(row: &Columns<'_>) -> Result<TaskRecord, StoreError> {
    Ok(TaskRecord {
        id: TaskId::from_uuid(row.uuid("id")?),
        instance: InstanceId::from_uuid(row.uuid("instance_id")?),
        execution: ExecutionNumber(row.value("execution")?),
        step: row.word("step")?,
        tenant: row.word_maybe("tenant")?,
        title: row.value("title")?,
        description: row.value("description")?,
        form_schema: row.json_maybe("form_schema")?,
        assignee: row.word_maybe("assignee")?,
        group: row.word_maybe("group")?,
        due_at: row.time_maybe("due_at")?,
        reminder_at: row.time_maybe("reminder_at")?,
        status: row.word("status")?,
        created_at: row.time("created_at")?,
        completed_at: row.time_maybe("completed_at")?,
        completed_by: row.word_maybe("completed_by")?,
        comment: row.value("comment")?,
    })
}

pub(super) fn history(row: &Columns<'_>) -> Result<HistoryEntry, StoreError> {
    Ok(HistoryEntry {
        position: row.count("position")?,
        instance: InstanceId::from_uuid(row.uuid("id")?),
        seq: row.count("seq")?,
        at: row.time("at")?,
        events: row.document("events")?,
    })
}

/// Whose a definition or component is; the empty owner is none, so that it is unique like the others.
fn owner(row: &Columns<'_>) -> Result<Option<TenantId>, StoreError> {
    if row.value::<String>("owner")?.is_empty() { Ok(None) } else { row.word("owner").map(Some) }
}

/// The place of a definition or component, and the key of its row.
pub(super) fn catalog_key<N: FromStr<Err: Display>>(row: &Columns<'_>) -> Result<(CatalogKey<N>, i64), StoreError> {
    let place = CatalogKey { name: row.word("name")?, version: row.word("version")?, tenant: owner(row)? };
    Ok((place, row.value("key")?))
}

pub(super) fn component(row: &Columns<'_>) -> Result<ComponentRecord, StoreError> {
    Ok(ComponentRecord {
        digest: ComponentDigest::from_bytes(row.value("digest")?),
        name: row.word("name")?,
        version: row.word("version")?,
        manifest: row.json_maybe("manifest")?,
        size_bytes: row.count("size_bytes")?,
        created_at: row.time("created_at")?,
        exports: row.word("exports")?,
        capabilities: row.document("capabilities")?,
        tenant: owner(row)?,
    })
}

pub(super) fn definition(row: &Columns<'_>) -> Result<DefinitionRecord, StoreError> {
    Ok(DefinitionRecord {
        id: DefinitionId::from_uuid(row.uuid("id")?),
        tenant: owner(row)?,
        name: row.word("name")?,
        version: row.word("version")?,
        description: row.value("description")?,
        document: row.json("document")?,
        components: row.document("components")?,
        pure_steps: row.document("pure_steps")?,
        is_active: row.value("is_active")?,
        created_at: row.time("created_at")?,
    })
}

pub(super) fn definition_summary(row: &Columns<'_>) -> Result<DefinitionSummary, StoreError> {
    Ok(DefinitionSummary {
        id: DefinitionId::from_uuid(row.uuid("id")?),
        tenant: owner(row)?,
        name: row.word("name")?,
        version: row.word("version")?,
        description: row.value("description")?,
        is_active: row.value("is_active")?,
        created_at: row.time("created_at")?,
    })
}

pub(super) fn definition_version(row: &Columns<'_>) -> Result<DefinitionVersion, StoreError> {
    Ok(DefinitionVersion {
        id: DefinitionId::from_uuid(row.uuid("id")?),
        tenant: owner(row)?,
        name: row.word("name")?,
        version: row.word("version")?,
        is_active: row.value("is_active")?,
    })
}
