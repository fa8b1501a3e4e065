//! What an operator does for safety: policy, blocks, signatures, secrets, and what tenants used.

use std::sync::Arc;

use stepcell_model::guard::{BlockKind, ComponentBlock, SecretRecord, TenantUsage};
use stepcell_model::id::ComponentDigest;
use stepcell_model::json::Json;
use stepcell_model::name::{SecretName, TenantId, UserId};
use stepcell_model::policy::{EffectivePolicy, Policy};
use stepcell_model::secret::{SECRET_BYTES_MAX, SECRET_BYTES_MIN, SecretText};
use stepcell_model::signature::ComponentSignature;
use stepcell_store::{Inserted, Page, SecretFilter, UsageFilter};

use crate::engine::{Inner, WorkflowEngine};
use crate::error::EngineError;

/// The longest reason of a block, in bytes. Protects the store.
const REASON_BYTES_MAX: usize = 1_024;

/// How many secrets one tenant, or instances without one, may have. Protects the store.
pub const SECRETS_LEN_MAX: u64 = 1_000;

impl WorkflowEngine {
    /// The policy that holds.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn policy(&self) -> Result<Policy, EngineError> {
        self.inner.refresh_guard().await?;
        Ok(self.inner.guard.decided().policy.clone())
    }

    /// What the policy says of a tenant, or of instances without one.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn policy_of(&self, tenant: Option<&TenantId>) -> Result<Arc<EffectivePolicy>, EngineError> {
        self.inner.refresh_guard().await?;
        Ok(Arc::clone(self.inner.guard.decided().of(tenant)))
    }

    /// Puts a policy in place of the one that holds. Attempts that begin from now on are held to it, in every process.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be written to.
    pub async fn apply_policy(&self, policy: &Policy) -> Result<(), EngineError> {
        self.inner.store.put_policy(Json::from(policy.to_json())).await?;
        self.inner.refresh_guard().await
    }

    /// Lets a component run no more: what runs is stopped, what is queued is held back, and nothing names it any more.
    /// Returns whether it was not blocked before.
    ///
    /// # Errors
    /// [`EngineError::InvalidData`] if the reason is empty or too long; [`EngineError::Store`] if the store can not be
    /// written to.
    pub async fn revoke_component(
        &self,
        digest: ComponentDigest,
        reason: &str,
        by: Option<UserId>,
    ) -> Result<Inserted, EngineError> {
        let reason = reason.trim();
        if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
            let what = "the reason for revoking a component".to_owned();
            return Err(EngineError::refused_value(what, format!("write 1 to {REASON_BYTES_MAX} bytes")));
        }
        let (kind, reason, at) = (BlockKind::Revoked, reason.to_owned(), self.inner.clock.now());
        let inserted = self.inner.store.insert_block(ComponentBlock { digest, kind, reason, by, at }).await?;
        self.inner.refresh_guard().await?;
        Ok(inserted)
    }

    /// Lets a component run again that was revoked or put in quarantine: what was held back goes on. Returns whether it
    /// was blocked.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be written to.
    pub async fn restore_component(&self, digest: &ComponentDigest) -> Result<bool, EngineError> {
        let was_blocked = self.inner.store.remove_block(digest).await?;
        self.inner.refresh_guard().await?;
        Ok(was_blocked)
    }

    /// The components that may not run.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn list_blocks(&self) -> Result<Vec<ComponentBlock>, EngineError> {
        Ok(self.inner.store.load_guard().await?.blocks)
    }

    /// Why a component may not run; none if it may.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn find_block(&self, digest: &ComponentDigest) -> Result<Option<ComponentBlock>, EngineError> {
        Ok(self.inner.store.find_block(digest).await?)
    }

    /// Keeps a signature of a component, once it holds.
    ///
    /// # Errors
    /// [`EngineError::ComponentRefused`] if it was not made for what it names.
    pub async fn add_signature(&self, signature: ComponentSignature) -> Result<(), EngineError> {
        signature.check(signature.digest).map_err(|bad| EngineError::ComponentRefused {
            what: signature.digest.to_string(),
            reason: bad.to_string(),
        })?;
        self.inner.store.put_signature(signature).await?;
        self.inner.refresh_guard().await
    }

    /// The signatures that are kept of a component; whether their keys are trusted is for the policy to say.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn list_signatures(&self, digest: &ComponentDigest) -> Result<Vec<ComponentSignature>, EngineError> {
        let all = self.inner.store.load_guard().await?.signatures;
        Ok(all.into_iter().filter(|signature| signature.digest == *digest).collect())
    }

    /// Keeps a secret of a tenant, or of instances without one, in place of the value that it has.
    ///
    /// # Errors
    /// [`EngineError::NoHostKey`] without a key to encrypt it with; [`EngineError::InvalidData`] if it is too short or too
    /// long; [`EngineError::TooMany`] if it is one more than [`SECRETS_LEN_MAX`].
    pub async fn set_secret(
        &self,
        tenant: Option<TenantId>,
        name: SecretName,
        value: SecretText,
    ) -> Result<(), EngineError> {
        let len = value.expose().len();
        if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&len) {
            let what = format!("the value of secret `{name}`");
            return Err(EngineError::refused_value(
                what,
                format!("it has {len} bytes, and may have {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}"),
            ));
        }
        let record = SecretRecord { tenant, name, updated_at: self.inner.clock.now() };
        let sealed = self.inner.guard.vault()?.seal(record, &value)?;
        if !self.inner.store.put_secret(sealed, SECRETS_LEN_MAX).await? {
            return Err(EngineError::TooMany {
                what: "secrets",
                max: SECRETS_LEN_MAX,
                helps: "delete one that is not needed",
            });
        }
        self.inner.refresh_guard().await
    }

    /// Deletes a secret. Returns whether there was one.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be written to.
    pub async fn delete_secret(&self, tenant: Option<&TenantId>, name: &SecretName) -> Result<bool, EngineError> {
        let was_there = self.inner.store.delete_secret(tenant, name).await?;
        self.inner.refresh_guard().await?;
        Ok(was_there)
    }

    /// A page of the secrets there are. Nobody is told a value but the steps that it is granted to.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn list_secrets(&self, filter: &SecretFilter) -> Result<Page<SecretRecord>, EngineError> {
        Ok(self.inner.store.list_secrets(filter).await?)
    }

    /// What tenants used, by tenant and day: a page of tenants.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn list_usage(&self, filter: &UsageFilter) -> Result<Page<TenantUsage>, EngineError> {
        Ok(self.inner.store.list_usage(filter).await?)
    }
}

impl Inner {
    /// Loads what the operator decided, and lets go on what was held back for nothing any more.
    pub(crate) async fn refresh_guard(self: &Arc<Self>) -> Result<(), EngineError> {
        self.guard.refresh().await?;
        if self.is_driving() && self.guard.take_released() {
            let inner = Arc::clone(self);
            tokio::spawn(async move { inner.poke_running().await });
        }
        Ok(())
    }
}
