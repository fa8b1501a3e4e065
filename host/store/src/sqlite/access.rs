//! Who may come in, who did what, and what tenants have, in SQL.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rusqlite::{Connection, params};
use stepcell_model::access::{
    ApiKey, ApiKeyId, AuditEntry, AuditRecord, Fingerprint, IdempotencyClaim, IdempotencyRecord, IdempotencyRoom,
    KeptAnswer, KeyHash, KeyPrefix, Reservation, TenantRecord, TenantUse,
};
use stepcell_model::id::InstanceId;
use stepcell_model::json::Json;
use stepcell_model::name::{TenantId, UserId};
use stepcell_model::time::Timestamp;
use uuid::Uuid;

use super::guard::{tenant, tenant_key};
use super::instances::where_;
use super::lists::{Conditions, text};
use super::rows::{self, Columns};
use super::statements::access as statements;
use super::transition::{signed, text_of};
use super::{SqliteStore, letters};
use crate::access::{AccessStore, AuditFilter, KeyFilter, KeyRoom, StoreStats, TenantChange, TenantFilter, Whose};
use crate::error::StoreError;
use crate::query::{Admitted, Inserted, LIST_LEN_MAX, Page};

fn revision(connection: &Connection) -> Result<u64, StoreError> {
    let revision = rows::find(connection, statements::SELECT_REVISION, [], |row| row.count("revision"))?;
    revision.ok_or_else(|| StoreError::damaged("the row of `access` is gone"))
}

/// Tells everybody who keeps tenants and keys at hand that they changed, if rows did.
fn raise_if(connection: &Connection, changed_rows: usize) -> Result<bool, StoreError> {
    if changed_rows > 0 {
        connection.prepare_cached(statements::RAISE_REVISION)?.execute([])?;
    }
    Ok(changed_rows > 0)
}

fn insert_tenant(connection: &Connection, tenant: &TenantRecord) -> Result<Inserted, StoreError> {
    let row = params![
        tenant.id.as_str(),
        tenant.display_name.as_str(),
        tenant.status.as_str(),
        text_of(&tenant.quotas)?,
        tenant.created_at.unix_ms(),
    ];
    let is_new = raise_if(connection, connection.execute(statements::INSERT_TENANT, row)?)?;
    Ok(if is_new { Inserted::New } else { Inserted::AlreadyThere })
}

fn find_tenant(connection: &Connection, id: &TenantId) -> Result<Option<TenantRecord>, StoreError> {
    let sql = where_(statements::SELECT_TENANTS, statements::TENANT_BY_ID);
    rows::find(connection, &sql, [id.as_str()], tenant_record)
}

fn change_tenant(
    connection: &Connection,
    id: &TenantId,
    change: &TenantChange,
) -> Result<Option<TenantRecord>, StoreError> {
    let Some(found) = find_tenant(connection, id)? else { return Ok(None) };
    let mut changed = found.clone();
    change(&mut changed);
    let changed = TenantRecord { id: found.id, created_at: found.created_at, ..changed };
    let row = params![id.as_str(), changed.display_name.as_str(), changed.status.as_str(), text_of(&changed.quotas)?];
    raise_if(connection, connection.execute(statements::UPDATE_TENANT, row)?)?;
    Ok(Some(changed))
}

fn tenant_record(row: &Columns<'_>) -> Result<TenantRecord, StoreError> {
    Ok(TenantRecord {
        id: row.word("id")?,
        display_name: row.word("display_name")?,
        status: row.word("status")?,
        quotas: row.document("quotas")?,
        created_at: row.time("created_at")?,
    })
}

fn list_tenants(connection: &Connection, filter: &TenantFilter) -> Result<Page<TenantRecord>, StoreError> {
    let mut wanted = Conditions::default();
    wanted.and(statements::TENANTS_WITH_STATUS, filter.status.map(|status| status.as_str().to_owned().into()));
    let total = wanted.count(connection, statements::COUNT_TENANTS)?;
    wanted.and(statements::TENANTS_AFTER, text(filter.after.as_ref()));
    let sql = [statements::SELECT_TENANTS, statements::TENANTS_BY_ID];
    Ok(Page { items: wanted.first(connection, sql, filter.limit, tenant_record)?, total })
}

fn insert_key(connection: &Connection, key: &ApiKey, room: KeyRoom) -> Result<Admitted, StoreError> {
    let (tenant, now) = (tenant_key(key.tenant.as_ref()), key.created_at.unix_ms());
    if count(connection, statements::COUNT_LIVE_KEYS, params![tenant, now])? >= room.live_max {
        return Ok(Admitted::Full);
    }
    let row = params![
        key.id.as_uuid().as_bytes(),
        key.prefix.as_str(),
        key.hash.as_bytes(),
        key.name.as_str(),
        tenant_key(key.tenant.as_ref()),
        key.user.as_str(),
        text_of(&key.groups)?,
        key.scopes.to_string(),
        key.created_at.unix_ms(),
        key.created_by.as_ref().map(UserId::as_str),
        key.expires_at.map(Timestamp::unix_ms),
        key.last_used_at.map(Timestamp::unix_ms),
        key.revoked_at.map(Timestamp::unix_ms),
    ];
    if !raise_if(connection, connection.execute(statements::INSERT_KEY, row)?)? {
        return Ok(Admitted::AlreadyThere);
    }
    connection.execute(statements::FORGET_DEAD_KEYS, params![tenant, now, signed(room.kept_max)])?;
    Ok(Admitted::New)
}

fn api_key(row: &Columns<'_>) -> Result<ApiKey, StoreError> {
    Ok(ApiKey {
        id: ApiKeyId::from_uuid(row.uuid("id")?),
        prefix: row.word("prefix")?,
        hash: KeyHash::from_bytes(row.value("hash")?),
        name: row.word("name")?,
        tenant: tenant(row)?,
        user: row.word("user")?,
        groups: row.document("groups")?,
        scopes: row.word("scopes")?,
        created_at: row.time("created_at")?,
        created_by: row.word_maybe("created_by")?,
        expires_at: row.time_maybe("expires_at")?,
        last_used_at: row.time_maybe("last_used_at")?,
        revoked_at: row.time_maybe("revoked_at")?,
    })
}

/// The condition that things are of whoever is meant.
pub(super) fn and_of(wanted: &mut Conditions, whose: &Whose) {
    let key = match whose {
        Whose::Anybody => None,
        Whose::Platform => Some(String::new()),
        Whose::Of(tenant) => Some(tenant.to_string()),
    };
    wanted.and(statements::OF_TENANT, key.map(Into::into));
}

fn list_keys(connection: &Connection, filter: &KeyFilter) -> Result<Page<ApiKey>, StoreError> {
    let mut wanted = Conditions::default();
    and_of(&mut wanted, &filter.whose);
    let total = wanted.count(connection, statements::COUNT_KEYS)?;
    wanted.and(statements::KEYS_BEFORE, filter.after.map(|id| id.as_uuid().as_bytes().to_vec().into()));
    let sql = [statements::SELECT_KEYS, statements::KEYS_NEWEST_FIRST];
    Ok(Page { items: wanted.first(connection, sql, filter.limit, api_key)?, total })
}

fn note_key_uses(connection: &Connection, uses: &[(ApiKeyId, Timestamp)]) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(statements::NOTE_KEY_USE)?;
    for (id, at) in uses {
        statement.execute(params![id.as_uuid().as_bytes(), at.unix_ms()])?;
    }
    Ok(())
}

fn append_audit(connection: &Connection, records: &[AuditRecord]) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(statements::INSERT_AUDIT)?;
    for record in records {
        statement.execute(params![
            record.at.unix_ms(),
            tenant_key(record.tenant.as_ref()),
            record.user.as_ref().map(UserId::as_str),
            record.key.as_ref().map(|key| key.as_uuid().as_bytes()),
            record.action.as_str(),
            record.target,
            record.outcome.as_str(),
            record.request_id,
            record.details.as_ref().map(Json::text),
        ])?;
    }
    Ok(())
}

fn audit_entry(row: &Columns<'_>) -> Result<AuditEntry, StoreError> {
    let key = row.value::<Option<[u8; 16]>>("key")?;
    let record = AuditRecord {
        at: row.time("at")?,
        tenant: tenant(row)?,
        user: row.word_maybe("user")?,
        key: key.map(|key| ApiKeyId::from_uuid(Uuid::from_bytes(key))),
        action: row.word("action")?,
        target: row.value("target")?,
        outcome: row.word("outcome")?,
        request_id: row.value("request_id")?,
        details: row.json_maybe("details")?,
    };
    Ok(AuditEntry { number: row.count("number")?, record })
}

fn list_audit(connection: &Connection, filter: &AuditFilter) -> Result<Page<AuditEntry>, StoreError> {
    let mut wanted = Conditions::default();
    and_of(&mut wanted, &filter.whose);
    wanted.and(statements::AUDIT_OF_ACTION, text(filter.action.as_ref()));
    wanted.and(statements::AUDIT_OF_USER, text(filter.user.as_ref()));
    wanted.and(statements::AUDIT_SINCE, filter.since.map(|at| at.unix_ms().into()));
    wanted.and(statements::AUDIT_UNTIL, filter.until.map(|at| at.unix_ms().into()));
    let total = wanted.count(connection, statements::COUNT_AUDIT)?;
    wanted.and(statements::AUDIT_BEFORE, filter.after.map(|number| signed(number).into()));
    let sql = [statements::SELECT_AUDIT, statements::AUDIT_NEWEST_FIRST];
    Ok(Page { items: wanted.first(connection, sql, filter.limit, audit_entry)?, total })
}

fn claim(connection: &Connection, claim: &IdempotencyClaim, room: IdempotencyRoom) -> Result<Reservation, StoreError> {
    let tenant = tenant_key(claim.tenant.as_ref());
    let kept = rows::find(connection, statements::SELECT_CLAIM, params![tenant, claim.key], idempotency_record)?;
    let read = |row: &Columns<'_>| Ok(IdempotencyRoom { requests: row.count("requests")?, bytes: row.count("bytes")? });
    let held = rows::find(connection, statements::SELECT_CLAIMS_HELD, [tenant], read)?.unwrap_or_default();
    let reservation = claim.judge(kept.as_ref(), held, room);
    if reservation == Reservation::New {
        let row = params![tenant, claim.key, claim.fingerprint.as_bytes(), claim.at.unix_ms()];
        connection.prepare_cached(statements::UPSERT_CLAIM)?.execute(row)?;
    }
    Ok(reservation)
}

fn idempotency_record(row: &Columns<'_>) -> Result<IdempotencyRecord, StoreError> {
    let answer = match row.value::<Option<u16>>("status")? {
        Some(status) => Some(KeptAnswer { status, location: row.value("location")?, body: row.value("body")? }),
        None => None,
    };
    let fingerprint = Fingerprint::from_bytes(row.value("fingerprint")?);
    Ok(IdempotencyRecord { fingerprint, at: row.time("at")?, answer })
}

fn answer(connection: &Connection, claim: &IdempotencyClaim, answer: &KeptAnswer) -> Result<bool, StoreError> {
    let tenant = tenant_key(claim.tenant.as_ref());
    let row = params![tenant, claim.key, claim.at.unix_ms(), answer.status, answer.location, answer.body];
    Ok(connection.prepare_cached(statements::ANSWER_CLAIM)?.execute(row)? > 0)
}

fn release(connection: &Connection, claim: &IdempotencyClaim) -> Result<(), StoreError> {
    let key = params![tenant_key(claim.tenant.as_ref()), claim.key, claim.at.unix_ms()];
    connection.execute(statements::DELETE_CLAIM, key)?;
    Ok(())
}

/// How many of something there are, and how many bytes they have.
fn sum(connection: &Connection, sql: &str, tenant: Option<&str>) -> Result<(u64, u64), StoreError> {
    let read = |row: &Columns<'_>| Ok((row.count("count")?, row.count("bytes")?));
    Ok(rows::find(connection, sql, [tenant], read)?.unwrap_or_default())
}

fn count(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<u64, StoreError> {
    let count: i64 = connection.prepare_cached(sql)?.query_row(params, |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

fn tenant_use(connection: &Connection, tenant: &TenantId, day: i64) -> Result<TenantUse, StoreError> {
    let id = tenant.as_str();
    let (components, component_bytes) = sum(connection, statements::SUM_COMPONENTS, Some(id))?;
    let (definitions, definition_bytes) = sum(connection, statements::SUM_DEFINITIONS, Some(id))?;
    Ok(TenantUse {
        open_instances: count(connection, statements::COUNT_OPEN_INSTANCES, [id])?,
        components,
        definitions,
        stored_bytes: count(connection, statements::SUM_STORED_BYTES, [id])? + component_bytes + definition_bytes,
        cpu_us_of_day: count(connection, statements::SUM_CPU_OF_DAY, params![id, day])?,
    })
}

fn find_started(
    connection: &Connection,
    tenant: Option<&TenantId>,
    key: &str,
) -> Result<Option<InstanceId>, StoreError> {
    let params = params![tenant.map(TenantId::as_str), key];
    let read = |row: &Columns<'_>| Ok(InstanceId::from_uuid(row.uuid("id")?));
    rows::find(connection, super::statements::FIND_INSTANCE_BY_IDEMPOTENCY_KEY, params, read)
}

fn stats(connection: &Connection, tenant: Option<&TenantId>, now: Timestamp) -> Result<StoreStats, StoreError> {
    let id = tenant.map(TenantId::as_str);
    let (components, component_bytes) = sum(connection, statements::SUM_COMPONENTS, id)?;
    let (definitions, definition_bytes) = sum(connection, statements::SUM_DEFINITIONS, id)?;
    let read = |row: &Columns<'_>| Ok((row.word("status")?, row.count("count")?, row.count("bytes")?));
    let by_status = match id {
        Some(id) => rows::list(connection, statements::SUM_INSTANCES_OF, [id], read)?,
        None => rows::list(connection, statements::SUM_INSTANCES, [], read)?,
    };
    let read = |row: &Columns<'_>| Ok((row.count("count")?, row.count("overdue")?));
    let tasks = rows::find(connection, statements::COUNT_PENDING_TASKS, params![id, now.unix_ms()], read)?;
    let (tasks_pending, tasks_overdue) = tasks.unwrap_or_default();
    Ok(StoreStats {
        stored_bytes: by_status.iter().map(|(_, _, bytes)| bytes).sum::<u64>() + component_bytes + definition_bytes,
        instances: by_status.into_iter().map(|(status, count, _)| (status, count)).collect::<BTreeMap<_, _>>(),
        tasks_pending,
        tasks_overdue,
        definitions,
        components,
        letters: if id.is_none() { Some(letters::count(connection)?) } else { None },
    })
}

#[async_trait]
impl AccessStore for SqliteStore {
    async fn access_revision(&self) -> Result<u64, StoreError> {
        self.readers.run(revision).await
    }

    async fn insert_tenant(&self, tenant: TenantRecord) -> Result<Inserted, StoreError> {
        self.writer()?.run(move |connection| insert_tenant(connection, &tenant)).await
    }

    async fn find_tenant(&self, id: &TenantId) -> Result<Option<TenantRecord>, StoreError> {
        let id = id.clone();
        self.readers.run(move |connection| find_tenant(connection, &id)).await
    }

    async fn list_tenants(&self, filter: &TenantFilter) -> Result<Page<TenantRecord>, StoreError> {
        let filter = filter.clone();
        self.readers.run(move |connection| list_tenants(connection, &filter)).await
    }

    async fn change_tenant(&self, id: &TenantId, change: TenantChange) -> Result<Option<TenantRecord>, StoreError> {
        let id = id.clone();
        self.writer()?.run(move |connection| change_tenant(connection, &id, &change)).await
    }

    async fn insert_key(&self, key: ApiKey, room: KeyRoom) -> Result<Admitted, StoreError> {
        self.writer()?.run(move |connection| insert_key(connection, &key, room)).await
    }

    async fn find_key(&self, prefix: KeyPrefix) -> Result<Option<ApiKey>, StoreError> {
        let sql = where_(statements::SELECT_KEYS, statements::KEY_BY_PREFIX);
        self.readers.run(move |connection| rows::find(connection, &sql, [prefix.as_str()], api_key)).await
    }

    async fn find_key_by_id(&self, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        let sql = where_(statements::SELECT_KEYS, statements::KEY_BY_ID);
        self.readers.run(move |connection| rows::find(connection, &sql, [id.as_uuid().as_bytes()], api_key)).await
    }

    async fn list_keys(&self, filter: &KeyFilter) -> Result<Page<ApiKey>, StoreError> {
        let filter = filter.clone();
        self.readers.run(move |connection| list_keys(connection, &filter)).await
    }

    async fn revoke_key(&self, id: ApiKeyId, at: Timestamp) -> Result<bool, StoreError> {
        let revoke = move |connection: &Connection| {
            let row = params![id.as_uuid().as_bytes(), at.unix_ms()];
            raise_if(connection, connection.execute(statements::REVOKE_KEY, row)?)
        };
        self.writer()?.run(revoke).await
    }

    async fn note_key_uses(&self, uses: &[(ApiKeyId, Timestamp)]) -> Result<(), StoreError> {
        let uses = uses.to_vec();
        self.writer()?.run(move |connection| note_key_uses(connection, &uses)).await
    }

    async fn append_audit(&self, records: Vec<AuditRecord>) -> Result<(), StoreError> {
        self.writer()?.run(move |connection| append_audit(connection, &records)).await
    }

    async fn list_audit(&self, filter: &AuditFilter) -> Result<Page<AuditEntry>, StoreError> {
        let filter = filter.clone();
        self.readers.run(move |connection| list_audit(connection, &filter)).await
    }

    async fn forget_audit(&self, before: Timestamp) -> Result<u64, StoreError> {
        let forget = move |connection: &Connection| {
            let forgotten = connection.execute(statements::FORGET_AUDIT, params![before.unix_ms(), LIST_LEN_MAX])?;
            Ok(forgotten as u64)
        };
        self.writer()?.run(forget).await
    }

    async fn claim_idempotency(
        &self,
        given: IdempotencyClaim,
        room: IdempotencyRoom,
    ) -> Result<Reservation, StoreError> {
        self.writer()?.run(move |connection| claim(connection, &given, room)).await
    }

    async fn answer_idempotency(&self, claim: &IdempotencyClaim, given: KeptAnswer) -> Result<bool, StoreError> {
        let claim = claim.clone();
        self.writer()?.run(move |connection| answer(connection, &claim, &given)).await
    }

    async fn release_idempotency(&self, claim: &IdempotencyClaim) -> Result<(), StoreError> {
        let claim = claim.clone();
        self.writer()?.run(move |connection| release(connection, &claim)).await
    }

    async fn forget_idempotency(&self, before: Timestamp) -> Result<u64, StoreError> {
        let forget = move |connection: &Connection| {
            let forgotten = connection.execute(statements::FORGET_CLAIMS, params![before.unix_ms(), LIST_LEN_MAX])?;
            Ok(forgotten as u64)
        };
        self.writer()?.run(forget).await
    }

    async fn load_tenant_use(&self, tenant: &TenantId, day: i64) -> Result<TenantUse, StoreError> {
        let tenant = tenant.clone();
        self.readers.run(move |connection| tenant_use(connection, &tenant, day)).await
    }

    async fn find_started(&self, tenant: Option<&TenantId>, key: &str) -> Result<Option<InstanceId>, StoreError> {
        let (tenant, key) = (tenant.cloned(), key.to_owned());
        self.readers.run(move |connection| find_started(connection, tenant.as_ref(), &key)).await
    }

    async fn load_stats(&self, tenant: Option<&TenantId>, now: Timestamp) -> Result<StoreStats, StoreError> {
        let tenant = tenant.cloned();
        self.readers.run(move |connection| stats(connection, tenant.as_ref(), now)).await
    }
}
