//! What administrators do: tenants and what they may have, and the keys that let people in.

use stepcell_model::access::{ApiKey, ApiKeyId, KEY_RANDOM_BYTES, KeyText, Scopes, TenantRecord};
use stepcell_model::name::{GroupId, Label, TenantId, UserId};
use stepcell_model::time::Timestamp;
use stepcell_store::{Admitted, Inserted, KeyRoom};

use crate::engine::WorkflowEngine;
use crate::error::EngineError;

/// How often another key is drawn because the prefix is taken. Two are the same once in a million million.
const DRAWS_MAX: u32 = 8;

/// The most groups of a key's user. Protects the store, and whoever looks for tasks of them.
pub const KEY_GROUPS_LEN_MAX: usize = 64;

/// How many keys one tenant, or the platform, may have: live ones, so that nobody makes themselves endlessly many callers, and
/// in all, which protects the store. Of what was done with those that went, the audit log tells.
pub const KEY_ROOM: KeyRoom = KeyRoom { live_max: 1_000, kept_max: 10_000 };

/// An API key that somebody wants.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What people call it.
    pub name: Label,
    /// Whose it is; the platform's where there is none.
    pub tenant: Option<TenantId>,
    /// Who comes in with it.
    pub user: UserId,
    /// The groups of that user.
    pub groups: Vec<GroupId>,
    /// What it allows.
    pub scopes: Scopes,
    /// From when on it lets nobody in.
    pub expires_at: Option<Timestamp>,
    /// Who makes it.
    pub created_by: Option<UserId>,
}

impl WorkflowEngine {
    /// Keeps a new tenant; one that is there already stays as it is.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be written to.
    pub async fn add_tenant(&self, tenant: TenantRecord) -> Result<Inserted, EngineError> {
        let inserted = self.inner.store.insert_tenant(tenant).await?;
        self.inner.quotas.look_again();
        Ok(inserted)
    }

    /// The record of a tenant.
    ///
    /// # Errors
    /// [`EngineError::TenantNotFound`].
    pub async fn get_tenant(&self, id: &TenantId) -> Result<TenantRecord, EngineError> {
        let found = self.inner.store.find_tenant(id).await?;
        found.ok_or_else(|| EngineError::TenantNotFound { tenant: id.clone() })
    }

    /// Changes the record of a tenant; what it may have holds from now on, in other processes within 100 ms. Of several changes
    /// at once each sees what the one before it left; `change` may be asked more than once.
    ///
    /// # Errors
    /// [`EngineError::TenantNotFound`].
    pub async fn change_tenant(
        &self,
        id: &TenantId,
        change: impl Fn(&mut TenantRecord) + Send + Sync + 'static,
    ) -> Result<TenantRecord, EngineError> {
        let changed = self.inner.store.change_tenant(id, Box::new(change)).await?;
        self.inner.quotas.look_again();
        changed.ok_or_else(|| EngineError::TenantNotFound { tenant: id.clone() })
    }

    /// Refuses a tenant that is suspended, or without a record.
    ///
    /// # Errors
    /// [`EngineError::TenantSuspended`], [`EngineError::TenantNotFound`].
    pub async fn check_known_tenant(&self, id: &TenantId) -> Result<(), EngineError> {
        self.inner.quotas.check_known_tenant(id).await
    }

    /// How often this process changed tenants or keys, for whoever keeps them at hand; what other processes changed shows in
    /// the store's revision of access.
    #[must_use]
    pub fn access_changes(&self) -> u64 {
        self.inner.quotas.changes()
    }

    /// Makes a key. Its text is told here and never again.
    ///
    /// # Errors
    /// [`EngineError::TenantNotFound`] if it is for a tenant without a record; [`EngineError::InvalidData`] if it would let
    /// nobody in, or has too many groups; [`EngineError::TooMany`] if there are as many as [`KEY_ROOM`] says.
    pub async fn create_key(&self, new: NewKey) -> Result<(ApiKey, KeyText), EngineError> {
        let now = self.inner.clock.now();
        check(&new, now)?;
        if let Some(tenant) = &new.tenant {
            self.get_tenant(tenant).await?;
        }
        for _ in 0..DRAWS_MAX {
            let text = self.draw_key();
            let key = ApiKey {
                id: ApiKeyId::from_uuid(self.inner.ids.next_id()),
                prefix: text.prefix(),
                hash: text.hash(),
                name: new.name.clone(),
                tenant: new.tenant.clone(),
                user: new.user.clone(),
                groups: new.groups.clone(),
                scopes: new.scopes,
                created_at: now,
                created_by: new.created_by.clone(),
                expires_at: new.expires_at,
                last_used_at: None,
                revoked_at: None,
            };
            match self.inner.store.insert_key(key.clone(), KEY_ROOM).await? {
                Admitted::New => {
                    self.inner.quotas.look_again();
                    return Ok((key, text));
                }
                Admitted::AlreadyThere => {}
                Admitted::Full => {
                    return Err(EngineError::TooMany {
                        what: "API keys that let somebody in",
                        max: KEY_ROOM.live_max,
                        helps: "revoke one that is not needed",
                    });
                }
            }
        }
        Err(EngineError::refused_value("the key".to_owned(), "no free prefix was drawn; try again".to_owned()))
    }

    /// The record of a key.
    ///
    /// # Errors
    /// [`EngineError::KeyNotFound`].
    pub async fn get_key(&self, id: ApiKeyId) -> Result<ApiKey, EngineError> {
        self.inner.store.find_key_by_id(id).await?.ok_or(EngineError::KeyNotFound { id })
    }

    /// Revokes a key; one that was revoked before stays so since then.
    ///
    /// # Errors
    /// [`EngineError::KeyNotFound`].
    pub async fn revoke_key(&self, id: ApiKeyId) -> Result<ApiKey, EngineError> {
        self.inner.store.revoke_key(id, self.inner.clock.now()).await?;
        self.inner.quotas.look_again();
        self.get_key(id).await
    }

    fn draw_key(&self) -> KeyText {
        let (secret, more) = (self.inner.ids.next_secret(), self.inner.ids.next_secret());
        let mut random = [0; KEY_RANDOM_BYTES];
        let (of_prefix, of_secret) = random.split_at_mut(KEY_RANDOM_BYTES - secret.len());
        of_prefix.copy_from_slice(&more[..of_prefix.len()]);
        of_secret.copy_from_slice(&secret);
        KeyText::from_random(&mut random)
    }
}

fn check(new: &NewKey, now: Timestamp) -> Result<(), EngineError> {
    let refused = |what: &str, why: String| Err(EngineError::refused_value(format!("the key's {what}"), why));
    if new.scopes.is_empty() {
        return refused("scopes", "name at least one: viewer, worker, author, operator or admin".to_owned());
    }
    if new.groups.len() > KEY_GROUPS_LEN_MAX {
        return refused("groups", format!("there may be at most {KEY_GROUPS_LEN_MAX}"));
    }
    if new.expires_at.is_some_and(|at| at <= now) {
        return refused("expiry", "it is over already; name a time to come".to_owned());
    }
    Ok(())
}
