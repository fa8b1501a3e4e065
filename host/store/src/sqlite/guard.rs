//! Safety in SQL: policy, blocks, signatures, secrets, usage.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rusqlite::{Connection, params};
use stepcell_model::guard::{ComponentBlock, SealedSecret, SecretRecord, TenantUsage, Usage};
use stepcell_model::id::ComponentDigest;
use stepcell_model::json::Json;
use stepcell_model::name::{SecretName, TenantId, UserId};
use stepcell_model::signature::ComponentSignature;
use stepcell_model::transition::Transition;

use super::access::and_of;
use super::lists::Conditions;
use super::rows::{self, Columns};
use super::transition::signed;
use super::{SqliteStore, statements};
use crate::error::StoreError;
use crate::guard::{GuardState, GuardStore, SecretFilter, UsageFilter};
use crate::query::{Admitted, Inserted, Page};

pub(super) fn revision(connection: &Connection) -> Result<u64, StoreError> {
    let revision = rows::find(connection, statements::SELECT_GUARD, [], |row| row.count("revision"))?;
    revision.ok_or_else(|| StoreError::damaged("the row of `guard` is gone"))
}

pub(super) fn load(connection: &Connection) -> Result<GuardState, StoreError> {
    let read = |row: &Columns<'_>| Ok((row.count("revision")?, row.json_maybe("policy")?));
    let found = rows::find(connection, statements::SELECT_GUARD, [], read)?;
    let (revision, policy) = found.ok_or_else(|| StoreError::damaged("the row of `guard` is gone"))?;
    Ok(GuardState {
        revision,
        policy,
        blocks: rows::list(connection, statements::SELECT_BLOCKS, [], block)?,
        signatures: rows::list(connection, statements::SELECT_SIGNATURES, [], signature)?,
    })
}

fn block(row: &Columns<'_>) -> Result<ComponentBlock, StoreError> {
    Ok(ComponentBlock {
        digest: ComponentDigest::from_bytes(row.value("digest")?),
        kind: row.word("kind")?,
        reason: row.value("reason")?,
        by: row.word_maybe("blocked_by")?,
        at: row.time("blocked_at")?,
    })
}

fn signature(row: &Columns<'_>) -> Result<ComponentSignature, StoreError> {
    Ok(ComponentSignature {
        digest: ComponentDigest::from_bytes(row.value("digest")?),
        key: row.word("key")?,
        signature: row.value("signature")?,
    })
}

/// Tells everybody who keeps what is here at hand that it changed.
fn raise(connection: &Connection) -> Result<(), StoreError> {
    connection.prepare_cached(statements::RAISE_GUARD)?.execute([])?;
    Ok(())
}

pub(super) fn put_policy(connection: &Connection, policy: &Json) -> Result<(), StoreError> {
    connection.execute(statements::UPDATE_POLICY, [policy.text()])?;
    raise(connection)
}

pub(super) fn insert_block(connection: &Connection, block: &ComponentBlock) -> Result<Inserted, StoreError> {
    let row = params![
        block.digest.as_bytes(),
        block.kind.as_str(),
        block.reason,
        block.by.as_ref().map(UserId::as_str),
        block.at.unix_ms(),
    ];
    if connection.execute(statements::INSERT_BLOCK, row)? == 0 {
        return Ok(Inserted::AlreadyThere);
    }
    raise(connection)?;
    Ok(Inserted::New)
}

fn find_block(connection: &Connection, digest: &ComponentDigest) -> Result<Option<ComponentBlock>, StoreError> {
    rows::find(connection, statements::SELECT_BLOCK, [digest.as_bytes()], block)
}

pub(super) fn remove_block(connection: &Connection, digest: &ComponentDigest) -> Result<bool, StoreError> {
    connection.execute(statements::DELETE_HOST_FAULTS, [digest.as_bytes()])?;
    let was_there = connection.execute(statements::DELETE_BLOCK, [digest.as_bytes()])? > 0;
    if was_there {
        raise(connection)?;
    }
    Ok(was_there)
}

pub(super) fn count_host_fault(connection: &Connection, digest: &ComponentDigest) -> Result<u32, StoreError> {
    Ok(connection.query_row(statements::COUNT_HOST_FAULT, [digest.as_bytes()], |row| row.get(0))?)
}

pub(super) fn insert_signature(
    connection: &Connection,
    signature: &ComponentSignature,
    max: u64,
) -> Result<Admitted, StoreError> {
    let (digest, key) = (signature.digest.as_bytes(), signature.key.to_string());
    let kept = rows::find(connection, statements::COUNT_SIGNATURES, params![digest, key], |row| {
        Ok((row.count("count")?, row.count("own")?))
    })?;
    match kept.unwrap_or_default() {
        (_, own) if own > 0 => Ok(Admitted::AlreadyThere),
        (count, _) if count >= max => Ok(Admitted::Full),
        _ => {
            connection.execute(statements::INSERT_SIGNATURE, params![digest, key, signature.signature])?;
            raise(connection)?;
            Ok(Admitted::New)
        }
    }
}

/// How a tenant stands in a key; instances without one have the empty text, which no tenant is called.
pub(super) fn tenant_key(tenant: Option<&TenantId>) -> &str {
    tenant.map_or("", TenantId::as_str)
}

pub(super) fn tenant(row: &Columns<'_>) -> Result<Option<TenantId>, StoreError> {
    let is_none = row.value::<String>("tenant")?.is_empty();
    if is_none { Ok(None) } else { row.word("tenant").map(Some) }
}

fn secret_record(row: &Columns<'_>) -> Result<SecretRecord, StoreError> {
    Ok(SecretRecord { tenant: tenant(row)?, name: row.word("name")?, updated_at: row.time("updated_at")? })
}

pub(super) fn put_secret(connection: &Connection, secret: &SealedSecret, max: u64) -> Result<bool, StoreError> {
    let SecretRecord { tenant, name, updated_at } = &secret.record;
    let tenant = tenant_key(tenant.as_ref());
    let others =
        rows::find(connection, statements::COUNT_OTHER_SECRETS, [tenant, name.as_str()], |row| row.count("count"));
    if others?.unwrap_or_default() >= max {
        return Ok(false);
    }
    connection
        .execute(statements::UPSERT_SECRET, params![tenant, name.as_str(), secret.sealed, updated_at.unix_ms()])?;
    raise(connection)?;
    Ok(true)
}

pub(super) fn delete_secret(
    connection: &Connection,
    tenant: Option<&TenantId>,
    name: &SecretName,
) -> Result<bool, StoreError> {
    let was_there = connection.execute(statements::DELETE_SECRET, [tenant_key(tenant), name.as_str()])? > 0;
    if was_there {
        raise(connection)?;
    }
    Ok(was_there)
}

pub(super) fn find_secret(
    connection: &Connection,
    tenant: Option<&TenantId>,
    name: &SecretName,
) -> Result<Option<SealedSecret>, StoreError> {
    let read = |row: &Columns<'_>| Ok(SealedSecret { record: secret_record(row)?, sealed: row.value("sealed")? });
    rows::find(connection, statements::SELECT_SECRET, [tenant_key(tenant), name.as_str()], read)
}

fn list_secrets(connection: &Connection, filter: &SecretFilter) -> Result<Page<SecretRecord>, StoreError> {
    let mut wanted = Conditions::default();
    and_of(&mut wanted, &filter.whose);
    let total = wanted.count(connection, statements::COUNT_SECRETS)?;
    if let Some((tenant, name)) = &filter.after {
        let last = [tenant_key(tenant.as_ref()).to_owned().into(), name.as_str().to_owned().into()];
        wanted.and_all(statements::SECRETS_AFTER, last);
    }
    let sql = [statements::SELECT_SECRETS, statements::SECRETS_BY_NAME];
    Ok(Page { items: wanted.first(connection, sql, filter.limit, secret_record)?, total })
}

/// Adds what a transition's attempts used to the sums of its tenant's day.
pub(super) fn add_usage(connection: &Connection, transition: &Transition, used: &Usage) -> Result<(), StoreError> {
    let (tenant, day) = (tenant_key(transition.identity.tenant.as_ref()), transition.day());
    // Far above what one transition can come to, and far below where a sum of many would leave the integers.
    let signed = |amount: u64| signed(amount.min(1 << 50));
    let row = params![
        tenant,
        day,
        signed(used.attempts),
        signed(used.cpu_us),
        signed(used.guest_us),
        signed(used.wall_us),
        signed(used.memory_bytes_peak),
        signed(used.host_calls),
        signed(used.bytes_in),
        signed(used.bytes_out),
        signed(used.denials),
        signed(used.http_requests),
        signed(used.log_lines_dropped),
    ];
    connection.prepare_cached(statements::ADD_USAGE)?.execute(row)?;
    for (code, count) in &used.codes {
        let row = params![tenant, day, code.as_str(), signed(*count)];
        connection.prepare_cached(statements::ADD_USAGE_CODE)?.execute(row)?;
    }
    Ok(())
}

fn list_usage(connection: &Connection, filter: &UsageFilter) -> Result<Page<TenantUsage>, StoreError> {
    let mut wanted = Conditions::default();
    wanted.and(statements::USAGE_SINCE, Some(filter.since_day.into()));
    and_of(&mut wanted, &filter.whose);
    let total = wanted.count(connection, statements::COUNT_USERS)?;
    wanted.and(statements::USAGE_AFTER, filter.after.as_ref().map(|last| tenant_key(last.as_ref()).to_owned().into()));
    let sql = [statements::SELECT_USERS, statements::USERS_BY_NAME];
    let tenants = wanted.first(connection, sql, filter.limit, |row| row.value::<String>("tenant"))?;
    let (Some(first), Some(last)) = (tenants.first(), tenants.last()) else {
        return Ok(Page { items: Vec::new(), total });
    };
    let these = params![filter.since_day, first, last];
    let mut sums: BTreeMap<_, _> =
        rows::list(connection, statements::SELECT_USAGE, these, usage)?.into_iter().collect();
    let code = |row: &Columns<'_>| {
        Ok(((tenant(row)?, row.value::<i64>("day")?), row.value::<String>("code")?, row.count("count")?))
    };
    for (key, code, count) in rows::list(connection, statements::SELECT_USAGE_CODES, these, code)? {
        sums.entry(key).or_default().codes.insert(code, count);
    }
    let items = sums.into_iter().map(|((tenant, day), usage)| TenantUsage { tenant, day, usage }).collect();
    Ok(Page { items, total })
}

fn usage(row: &Columns<'_>) -> Result<((Option<TenantId>, i64), Usage), StoreError> {
    let usage = Usage {
        attempts: row.count("attempts")?,
        cpu_us: row.count("cpu_us")?,
        guest_us: row.count("guest_us")?,
        wall_us: row.count("wall_us")?,
        memory_bytes_peak: row.count("memory_bytes_peak")?,
        host_calls: row.count("host_calls")?,
        bytes_in: row.count("bytes_in")?,
        bytes_out: row.count("bytes_out")?,
        denials: row.count("denials")?,
        http_requests: row.count("http_requests")?,
        log_lines_dropped: row.count("log_lines_dropped")?,
        codes: BTreeMap::new(),
    };
    Ok(((tenant(row)?, row.value("day")?), usage))
}

#[async_trait]
impl GuardStore for SqliteStore {
    async fn guard_revision(&self) -> Result<u64, StoreError> {
        self.readers.run(revision).await
    }

    async fn load_guard(&self) -> Result<GuardState, StoreError> {
        self.readers.run(load).await
    }

    async fn put_policy(&self, policy: Json) -> Result<(), StoreError> {
        self.writer()?.run(move |connection| put_policy(connection, &policy)).await
    }

    async fn insert_block(&self, block: ComponentBlock) -> Result<Inserted, StoreError> {
        self.writer()?.run(move |connection| insert_block(connection, &block)).await
    }

    async fn find_block(&self, digest: &ComponentDigest) -> Result<Option<ComponentBlock>, StoreError> {
        let digest = *digest;
        self.readers.run(move |connection| find_block(connection, &digest)).await
    }

    async fn remove_block(&self, digest: &ComponentDigest) -> Result<bool, StoreError> {
        let digest = *digest;
        self.writer()?.run(move |connection| remove_block(connection, &digest)).await
    }

    async fn count_host_fault(&self, digest: &ComponentDigest) -> Result<u32, StoreError> {
        let digest = *digest;
        self.writer()?.run(move |connection| count_host_fault(connection, &digest)).await
    }

    async fn insert_signature(&self, signature: ComponentSignature, max: u64) -> Result<Admitted, StoreError> {
        self.writer()?.run(move |connection| insert_signature(connection, &signature, max)).await
    }

    async fn put_secret(&self, secret: SealedSecret, max: u64) -> Result<bool, StoreError> {
        self.writer()?.run(move |connection| put_secret(connection, &secret, max)).await
    }

    async fn delete_secret(&self, tenant: Option<&TenantId>, name: &SecretName) -> Result<bool, StoreError> {
        let (tenant, name) = (tenant.cloned(), name.clone());
        self.writer()?.run(move |connection| delete_secret(connection, tenant.as_ref(), &name)).await
    }

    async fn find_secret(
        &self,
        tenant: Option<&TenantId>,
        name: &SecretName,
    ) -> Result<Option<SealedSecret>, StoreError> {
        let (tenant, name) = (tenant.cloned(), name.clone());
        self.readers.run(move |connection| find_secret(connection, tenant.as_ref(), &name)).await
    }

    async fn list_secrets(&self, filter: &SecretFilter) -> Result<Page<SecretRecord>, StoreError> {
        let filter = filter.clone();
        self.readers.run(move |connection| list_secrets(connection, &filter)).await
    }

    async fn list_usage(&self, filter: &UsageFilter) -> Result<Page<TenantUsage>, StoreError> {
        let filter = filter.clone();
        self.readers.run(move |connection| list_usage(connection, &filter)).await
    }
}
