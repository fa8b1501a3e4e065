//! Tenants, keys, the audit log and answers in memory.

use std::collections::BTreeMap;
use std::ops::Bound;

use async_trait::async_trait;
use stepcell_model::access::{
    ApiKey, ApiKeyId, AuditEntry, AuditRecord, IdempotencyClaim, IdempotencyRecord, IdempotencyRoom, KeptAnswer,
    KeyPrefix, KeyState, Reservation, TenantRecord, TenantUse,
};
use stepcell_model::id::InstanceId;
use stepcell_model::name::TenantId;
use stepcell_model::time::Timestamp;

use super::MemoryStore;
use crate::access::{AccessStore, AuditFilter, KeyFilter, KeyRoom, StoreStats, TenantChange, TenantFilter};
use crate::error::StoreError;
use crate::query::{Admitted, Inserted, LIST_LEN_MAX, Page};

#[derive(Debug, Default)]
pub(super) struct Access {
    revision: u64,
    tenants: BTreeMap<TenantId, TenantRecord>,
    keys: BTreeMap<ApiKeyId, ApiKey>,
    /// By number; after `audit_forgotten` older ones.
    audit: Vec<AuditRecord>,
    audit_forgotten: u64,
    answers: BTreeMap<(Option<TenantId>, String), IdempotencyRecord>,
}

impl Access {
    fn insert_tenant(&mut self, tenant: TenantRecord) -> Inserted {
        if self.tenants.contains_key(&tenant.id) {
            return Inserted::AlreadyThere;
        }
        self.revision += 1;
        self.tenants.insert(tenant.id.clone(), tenant);
        Inserted::New
    }

    fn list_tenants(&self, filter: &TenantFilter) -> Page<TenantRecord> {
        let is_wanted = |tenant: &&TenantRecord| filter.status.is_none_or(|status| tenant.status == status);
        let from = filter.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let after =
            self.tenants.range::<TenantId, _>((from, Bound::Unbounded)).map(|(_, tenant)| tenant).filter(is_wanted);
        Page {
            items: after.take(filter.limit.rows() as usize).cloned().collect(),
            total: self.tenants.values().filter(is_wanted).count() as u64,
        }
    }

    fn change_tenant(&mut self, id: &TenantId, change: &TenantChange) -> Option<TenantRecord> {
        let kept = self.tenants.get_mut(id)?;
        let created_at = kept.created_at;
        change(kept);
        (kept.id, kept.created_at) = (id.clone(), created_at);
        self.revision += 1;
        Some(kept.clone())
    }

    fn insert_key(&mut self, key: ApiKey, room: KeyRoom) -> Admitted {
        let (tenant, now) = (key.tenant.clone(), key.created_at);
        let is_live = |key: &ApiKey| key.state(now) == KeyState::Active;
        let of_tenant = |key: &&ApiKey| key.tenant == tenant;
        if self.keys.values().filter(of_tenant).filter(|key| is_live(key)).count() as u64 >= room.live_max {
            return Admitted::Full;
        }
        if self.keys.contains_key(&key.id) || self.find_key(key.prefix).is_some() {
            return Admitted::AlreadyThere;
        }
        self.revision += 1;
        self.keys.insert(key.id, key);
        let beyond = (self.keys.values().filter(of_tenant).count() as u64).saturating_sub(room.kept_max);
        let dead = self.keys.values().filter(of_tenant).filter(|key| !is_live(key)).map(|key| key.id);
        let dead: Vec<_> = dead.take(usize::try_from(beyond).unwrap_or(usize::MAX)).collect();
        self.keys.retain(|id, _| !dead.contains(id));
        Admitted::New
    }

    fn find_key(&self, prefix: KeyPrefix) -> Option<&ApiKey> {
        self.keys.values().find(|key| key.prefix == prefix)
    }

    fn list_keys(&self, filter: &KeyFilter) -> Page<ApiKey> {
        let is_wanted = |key: &&ApiKey| filter.whose.matches(key.tenant.as_ref());
        let until = filter.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let older = self.keys.range((Bound::Unbounded, until)).rev().map(|(_, key)| key).filter(is_wanted);
        Page {
            items: older.take(filter.limit.rows() as usize).cloned().collect(),
            total: self.keys.values().filter(is_wanted).count() as u64,
        }
    }

    fn revoke_key(&mut self, id: ApiKeyId, at: Timestamp) -> bool {
        let Some(key) = self.keys.get_mut(&id) else { return false };
        key.revoked_at.get_or_insert(at);
        self.revision += 1;
        true
    }

    fn note_key_uses(&mut self, uses: &[(ApiKeyId, Timestamp)]) {
        for (id, at) in uses {
            if let Some(key) = self.keys.get_mut(id) {
                key.last_used_at = key.last_used_at.max(Some(*at));
            }
        }
    }

    fn list_audit(&self, filter: &AuditFilter) -> Page<AuditEntry> {
        let newest_first = || self.audit.iter().enumerate().rev().filter(|(_, record)| is_wanted(record, filter));
        let entry = |(index, record): (usize, &AuditRecord)| AuditEntry {
            number: self.audit_forgotten + index as u64 + 1,
            record: record.clone(),
        };
        let older = newest_first().map(entry).filter(|entry| filter.after.is_none_or(|after| entry.number < after));
        Page { items: older.take(filter.limit.rows() as usize).collect(), total: newest_first().count() as u64 }
    }

    fn forget_audit(&mut self, before: Timestamp) -> u64 {
        let old = self.audit.iter().take(LIST_LEN_MAX as usize).take_while(|record| record.at < before).count();
        self.audit.drain(..old);
        self.audit_forgotten += old as u64;
        old as u64
    }

    /// How much is kept of a tenant.
    fn held_of(&self, tenant: Option<&TenantId>) -> IdempotencyRoom {
        let of_tenant = self.answers.iter().filter(|((of, _), _)| of.as_ref() == tenant);
        of_tenant.fold(IdempotencyRoom::default(), |held, ((_, key), record)| {
            let len = |answer: &KeptAnswer| answer.body.len() + answer.location.as_ref().map_or(0, String::len);
            let bytes = key.len() + record.answer.as_ref().map_or(0, len);
            IdempotencyRoom { requests: held.requests + 1, bytes: held.bytes + bytes as u64 }
        })
    }

    fn claim(&mut self, claim: &IdempotencyClaim, room: IdempotencyRoom) -> Reservation {
        let record = claim.unanswered();
        let key = (claim.tenant.clone(), claim.key.clone());
        let reservation = claim.judge(self.answers.get(&key), self.held_of(claim.tenant.as_ref()), room);
        if reservation == Reservation::New {
            self.answers.insert(key, record);
        }
        reservation
    }

    /// What is kept under the key of a claim that was new, if it is still its.
    fn held_by(&mut self, claim: &IdempotencyClaim) -> Option<&mut IdempotencyRecord> {
        let record = self.answers.get_mut(&(claim.tenant.clone(), claim.key.clone()));
        record.filter(|record| record.at == claim.at && record.answer.is_none())
    }

    fn answer(&mut self, claim: &IdempotencyClaim, answer: KeptAnswer) -> bool {
        self.held_by(claim).map(|record| record.answer = Some(answer)).is_some()
    }

    fn release(&mut self, claim: &IdempotencyClaim) {
        if self.held_by(claim).is_some() {
            self.answers.remove(&(claim.tenant.clone(), claim.key.clone()));
        }
    }

    fn forget(&mut self, before: Timestamp) -> u64 {
        let old = self.answers.iter().filter(|(_, record)| record.at < before).map(|(key, _)| key.clone());
        let old: Vec<_> = old.take(LIST_LEN_MAX as usize).collect();
        old.iter().filter(|key| self.answers.remove(*key).is_some()).count() as u64
    }
}

fn is_wanted(record: &AuditRecord, filter: &AuditFilter) -> bool {
    filter.whose.matches(record.tenant.as_ref())
        && filter.action.as_ref().is_none_or(|action| record.action == *action)
        && (filter.user.is_none() || record.user == filter.user)
        && filter.since.is_none_or(|since| record.at >= since)
        && filter.until.is_none_or(|until| record.at < until)
}

#[async_trait]
impl AccessStore for MemoryStore {
    async fn access_revision(&self) -> Result<u64, StoreError> {
        Ok(self.state().access.revision)
    }

    async fn insert_tenant(&self, tenant: TenantRecord) -> Result<Inserted, StoreError> {
        Ok(self.state().access.insert_tenant(tenant))
    }

    async fn find_tenant(&self, id: &TenantId) -> Result<Option<TenantRecord>, StoreError> {
        Ok(self.state().access.tenants.get(id).cloned())
    }

    async fn list_tenants(&self, filter: &TenantFilter) -> Result<Page<TenantRecord>, StoreError> {
        Ok(self.state().access.list_tenants(filter))
    }

    async fn change_tenant(&self, id: &TenantId, change: TenantChange) -> Result<Option<TenantRecord>, StoreError> {
        Ok(self.state().access.change_tenant(id, &change))
    }

    async fn insert_key(&self, key: ApiKey, room: KeyRoom) -> Result<Admitted, StoreError> {
        Ok(self.state().access.insert_key(key, room))
    }

    async fn find_key(&self, prefix: KeyPrefix) -> Result<Option<ApiKey>, StoreError> {
        Ok(self.state().access.find_key(prefix).cloned())
    }

    async fn find_key_by_id(&self, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        Ok(self.state().access.keys.get(&id).cloned())
    }

    async fn list_keys(&self, filter: &KeyFilter) -> Result<Page<ApiKey>, StoreError> {
        Ok(self.state().access.list_keys(filter))
    }

    async fn revoke_key(&self, id: ApiKeyId, at: Timestamp) -> Result<bool, StoreError> {
        Ok(self.state().access.revoke_key(id, at))
    }

    async fn note_key_uses(&self, uses: &[(ApiKeyId, Timestamp)]) -> Result<(), StoreError> {
        self.state().access.note_key_uses(uses);
        Ok(())
    }

    async fn append_audit(&self, records: Vec<AuditRecord>) -> Result<(), StoreError> {
        self.state().access.audit.extend(records);
        Ok(())
    }

    async fn list_audit(&self, filter: &AuditFilter) -> Result<Page<AuditEntry>, StoreError> {
        Ok(self.state().access.list_audit(filter))
    }

    async fn forget_audit(&self, before: Timestamp) -> Result<u64, StoreError> {
        Ok(self.state().access.forget_audit(before))
    }

    async fn claim_idempotency(
        &self,
        claim: IdempotencyClaim,
        room: IdempotencyRoom,
    ) -> Result<Reservation, StoreError> {
        Ok(self.state().access.claim(&claim, room))
    }

    async fn answer_idempotency(&self, claim: &IdempotencyClaim, answer: KeptAnswer) -> Result<bool, StoreError> {
        Ok(self.state().access.answer(claim, answer))
    }

    async fn release_idempotency(&self, claim: &IdempotencyClaim) -> Result<(), StoreError> {
        self.state().access.release(claim);
        Ok(())
    }

    async fn forget_idempotency(&self, before: Timestamp) -> Result<u64, StoreError> {
        Ok(self.state().access.forget(before))
    }

    async fn load_tenant_use(&self, tenant: &TenantId, day: i64) -> Result<TenantUse, StoreError> {
        let state = self.state();
        let stats = state.stats(Some(tenant), Timestamp::from_unix_ms(0));
        let open = stats.instances.iter().filter(|(status, _)| !status.is_finished());
        Ok(TenantUse {
            open_instances: open.map(|(_, count)| count).sum(),
            components: stats.components,
            definitions: stats.definitions,
            stored_bytes: stats.stored_bytes,
            cpu_us_of_day: state.guard.cpu_us(tenant, day),
        })
    }

    async fn find_started(&self, tenant: Option<&TenantId>, key: &str) -> Result<Option<InstanceId>, StoreError> {
        Ok(self.state().instances.find_started(tenant, key))
    }

    async fn load_stats(&self, tenant: Option<&TenantId>, now: Timestamp) -> Result<StoreStats, StoreError> {
        Ok(self.state().stats(tenant, now))
    }
}
