//! Safety in memory: policy, blocks, signatures, secrets, usage.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use stepcell_model::guard::{ComponentBlock, SealedSecret, SecretRecord, TenantUsage, Usage};
use stepcell_model::id::ComponentDigest;
use stepcell_model::json::Json;
use stepcell_model::name::{SecretName, TenantId};
use stepcell_model::signature::ComponentSignature;
use stepcell_model::transition::Transition;

use super::MemoryStore;
use crate::error::StoreError;
use crate::guard::{GuardState, GuardStore, SecretFilter, UsageFilter};
use crate::query::{Admitted, Inserted, Page};

#[derive(Debug, Default)]
pub(super) struct Guard {
    revision: u64,
    policy: Option<Json>,
    blocks: BTreeMap<ComponentDigest, ComponentBlock>,
    faults: BTreeMap<ComponentDigest, u32>,
    signatures: BTreeMap<(ComponentDigest, String), ComponentSignature>,
    secrets: BTreeMap<(Option<TenantId>, SecretName), SealedSecret>,
    usage: BTreeMap<(Option<TenantId>, i64), Usage>,
}

impl Guard {
    pub(super) const fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn state(&self) -> GuardState {
        GuardState {
            revision: self.revision,
            policy: self.policy.clone(),
            blocks: self.blocks.values().cloned().collect(),
            signatures: self.signatures.values().cloned().collect(),
        }
    }

    pub(super) fn put_policy(&mut self, policy: Json) {
        self.revision += 1;
        self.policy = Some(policy);
    }

    pub(super) fn insert_block(&mut self, block: ComponentBlock) -> Inserted {
        if self.blocks.contains_key(&block.digest) {
            return Inserted::AlreadyThere;
        }
        self.revision += 1;
        self.blocks.insert(block.digest, block);
        Inserted::New
    }

    pub(super) fn remove_block(&mut self, digest: &ComponentDigest) -> bool {
        self.faults.remove(digest);
        let was_there = self.blocks.remove(digest).is_some();
        self.revision += u64::from(was_there);
        was_there
    }

    pub(super) fn count_host_fault(&mut self, digest: &ComponentDigest) -> u32 {
        let count = self.faults.entry(*digest).or_default();
        *count += 1;
        *count
    }

    pub(super) fn insert_signature(&mut self, signature: ComponentSignature, max: u64) -> Admitted {
        let place = (signature.digest, signature.key.to_string());
        if self.signatures.contains_key(&place) {
            return Admitted::AlreadyThere;
        }
        if self.signatures.keys().filter(|(digest, _)| *digest == place.0).count() as u64 >= max {
            return Admitted::Full;
        }
        self.revision += 1;
        self.signatures.insert(place, signature);
        Admitted::New
    }

    pub(super) fn put_secret(&mut self, secret: SealedSecret, max: u64) -> bool {
        let is_other = |kept: &&SecretRecord| kept.tenant == secret.record.tenant && kept.name != secret.record.name;
        if self.secrets.values().map(|kept| &kept.record).filter(is_other).count() as u64 >= max {
            return false;
        }
        self.revision += 1;
        self.secrets.insert((secret.record.tenant.clone(), secret.record.name.clone()), secret);
        true
    }

    pub(super) fn delete_secret(&mut self, tenant: Option<&TenantId>, name: &SecretName) -> bool {
        let was_there = self.secrets.remove(&(tenant.cloned(), name.clone())).is_some();
        self.revision += u64::from(was_there);
        was_there
    }

    pub(super) fn find_secret(&self, tenant: Option<&TenantId>, name: &SecretName) -> Option<SealedSecret> {
        self.secrets.get(&(tenant.cloned(), name.clone())).cloned()
    }

    pub(super) fn secrets(&self, filter: &SecretFilter) -> Page<SecretRecord> {
        let wanted = || self.secrets.iter().filter(|((tenant, _), _)| filter.whose.matches(tenant.as_ref()));
        let rest = wanted().filter(|(key, _)| filter.after.as_ref().is_none_or(|after| *key > after));
        let page = rest.take(filter.limit.rows() as usize).map(|(_, secret)| secret.record.clone());
        Page { items: page.collect(), total: wanted().count() as u64 }
    }

    pub(super) fn add_usage(&mut self, transition: &Transition) {
        if let Some(used) = transition.usage() {
            let key = (transition.identity.tenant.clone(), transition.day());
            self.usage.entry(key).or_default().add(&used);
        }
    }

    pub(super) fn cpu_us(&self, tenant: &TenantId, day: i64) -> u64 {
        self.usage.get(&(Some(tenant.clone()), day)).map_or(0, |usage| usage.cpu_us)
    }

    pub(super) fn usage(&self, filter: &UsageFilter) -> Page<TenantUsage> {
        let is_wanted =
            |tenant: &Option<TenantId>, day| filter.whose.matches(tenant.as_ref()) && day >= filter.since_day;
        let wanted = || self.usage.iter().filter(|((tenant, day), _)| is_wanted(tenant, *day));
        let tenants: BTreeSet<_> = wanted().map(|((tenant, _), _)| tenant).collect();
        let rest = tenants.iter().filter(|tenant| filter.after.as_ref().is_none_or(|after| **tenant > after));
        let page: BTreeSet<_> = rest.take(filter.limit.rows() as usize).copied().collect();
        let items = wanted().filter(|((tenant, _), _)| page.contains(tenant));
        let used = |((tenant, day), usage): (&(Option<TenantId>, i64), &Usage)| TenantUsage {
            tenant: tenant.clone(),
            day: *day,
            usage: usage.clone(),
        };
        Page { items: items.map(used).collect(), total: tenants.len() as u64 }
    }
}

#[async_trait]
impl GuardStore for MemoryStore {
    async fn guard_revision(&self) -> Result<u64, StoreError> {
        Ok(self.state().guard.revision())
    }

    async fn load_guard(&self) -> Result<GuardState, StoreError> {
        Ok(self.state().guard.state())
    }

    async fn put_policy(&self, policy: Json) -> Result<(), StoreError> {
        self.state().guard.put_policy(policy);
        Ok(())
    }

    async fn insert_block(&self, block: ComponentBlock) -> Result<Inserted, StoreError> {
        Ok(self.state().guard.insert_block(block))
    }

    async fn find_block(&self, digest: &ComponentDigest) -> Result<Option<ComponentBlock>, StoreError> {
        Ok(self.state().guard.blocks.get(digest).cloned())
    }

    async fn remove_block(&self, digest: &ComponentDigest) -> Result<bool, StoreError> {
        Ok(self.state().guard.remove_block(digest))
    }

    async fn count_host_fault(&self, digest: &ComponentDigest) -> Result<u32, StoreError> {
        Ok(self.state().guard.count_host_fault(digest))
    }

    async fn insert_signature(&self, signature: ComponentSignature, max: u64) -> Result<Admitted, StoreError> {
        Ok(self.state().guard.insert_signature(signature, max))
    }

    async fn put_secret(&self, secret: SealedSecret, max: u64) -> Result<bool, StoreError> {
        Ok(self.state().guard.put_secret(secret, max))
    }

    async fn delete_secret(&self, tenant: Option<&TenantId>, name: &SecretName) -> Result<bool, StoreError> {
        Ok(self.state().guard.delete_secret(tenant, name))
    }

    async fn find_secret(
        &self,
        tenant: Option<&TenantId>,
        name: &SecretName,
    ) -> Result<Option<SealedSecret>, StoreError> {
        Ok(self.state().guard.find_secret(tenant, name))
    }

    async fn list_secrets(&self, filter: &SecretFilter) -> Result<Page<SecretRecord>, StoreError> {
        Ok(self.state().guard.secrets(filter))
    }

    async fn list_usage(&self, filter: &UsageFilter) -> Result<Page<TenantUsage>, StoreError> {
        Ok(self.state().guard.usage(filter))
    }
}
