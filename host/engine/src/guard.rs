//! What may run, and what it may reach: the operator's decisions, kept at hand.
//!
//! The store has them; every process asks it for their revision and loads them anew when that has grown, so that what one
//! process decides holds in all of them. An attempt is given what its definition asks for and the policy allows at the
//! moment when it begins; one whose component is blocked while it runs is stopped.

mod operate;
mod vault;

pub use self::operate::SECRETS_LEN_MAX;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use stepcell_model::attempt::StepCall;
use stepcell_model::failure::{EngineCode, Failure};
use stepcell_model::guard::{BlockKind, ComponentBlock, HOST_FAULTS_MAX};
use stepcell_model::host_key::HostKey;
use stepcell_model::id::ComponentDigest;
use stepcell_model::name::{SecretName, TenantId};
use stepcell_model::policy::{EffectivePolicy, Policy, SignaturePolicy};
use stepcell_model::secret::{GrantedSecrets, SecretText};
use stepcell_model::signature::{BadSignature, ComponentSignature, PublicKey};
use stepcell_model::time::Timestamp;
use stepcell_store::{GuardState, StoreError, WorkflowStore};
use tokio::sync::watch;

use self::vault::Vault;
use crate::driver::host_failure;
use crate::error::EngineError;

/// How many keys may have signed a component when one more signs it that its owner does not trust. Such a signature counts only if
/// a policy trusts its key later; protects what every process keeps at hand, and loads anew whenever one more is kept.
const SIGNERS_LEN_MAX: u64 = 8;

/// What may run, and what it may reach.
pub(crate) struct Guard {
    store: Arc<dyn WorkflowStore>,
    vault: Option<Vault>,
    decided: watch::Sender<Arc<Decided>>,
    /// Secrets that were opened since the last change; bounded by what steps ask for.
    opened: Mutex<Opened>,
    /// Whether something that is held back may go on, and nobody has seen to it yet.
    released: AtomicBool,
}

/// The values of secrets by tenant and name; none where there is none such.
type Opened = HashMap<(Option<TenantId>, SecretName), Option<SecretText>>;

/// The operator's decisions at one revision.
#[derive(Debug, Default)]
pub(crate) struct Decided {
    revision: u64,
    pub(crate) policy: Policy,
    everybody: Arc<EffectivePolicy>,
    tenants: HashMap<TenantId, Arc<EffectivePolicy>>,
    pub(crate) blocks: HashMap<ComponentDigest, Arc<ComponentBlock>>,
    /// Whose signatures there are; each was checked before it was kept.
    signers: HashMap<ComponentDigest, Vec<PublicKey>>,
}

impl Decided {
    fn new(state: GuardState) -> Result<Self, StoreError> {
        let damaged = |error| StoreError::Damaged { what: format!("the policy does not read: {error}") };
        let policy = match &state.policy {
            Some(policy) => serde_json::from_str::<Policy>(policy.text()).map_err(damaged)?,
            None => Policy::default(),
        };
        let mut signers = HashMap::<_, Vec<_>>::new();
        for signature in state.signatures {
            signers.entry(signature.digest).or_default().push(signature.key);
        }
        Ok(Self {
            revision: state.revision,
            everybody: Arc::new(policy.of(None)),
            tenants: policy.tenants.keys().map(|name| (name.clone(), Arc::new(policy.of(Some(name))))).collect(),
            blocks: state.blocks.into_iter().map(|block| (block.digest, Arc::new(block))).collect(),
            signers,
            policy,
        })
    }

    pub(crate) fn of(&self, tenant: Option<&TenantId>) -> &Arc<EffectivePolicy> {
        tenant.and_then(|tenant| self.tenants.get(tenant)).unwrap_or(&self.everybody)
    }

    /// How many keys may have signed a component for one more signature of it to be kept.
    ///
    /// # Errors
    /// Says why if it may not be kept.
    pub(crate) fn signers_max(&self, policy: &EffectivePolicy, signature: &ComponentSignature) -> Result<u64, String> {
        if policy.trusted_keys.contains(&signature.key) {
            return Ok(u64::MAX);
        }
        let signers = self.signers.get(&signature.digest).map_or(&[][..], Vec::as_slice);
        if signers.contains(&signature.key) || (signers.len() as u64) < SIGNERS_LEN_MAX {
            return Ok(SIGNERS_LEN_MAX);
        }
        Err(format!(
            "{} keys have signed it, and {SIGNERS_LEN_MAX} may before one more that nobody trusts; add the key {} to `trusted_keys` \
             of the policy first, or leave the signature out",
            signers.len(),
            signature.key
        ))
    }

    /// The trusted key that signed a component, if one did.
    ///
    /// # Errors
    /// [`BadSignature`] if the policy wants a signature and none counts.
    pub(crate) fn signed_by(
        &self,
        digest: ComponentDigest,
        policy: &EffectivePolicy,
        more: Option<&ComponentSignature>,
    ) -> Result<Option<PublicKey>, BadSignature> {
        let mut why_not = BadSignature::Missing;
        for key in self.signers.get(&digest).into_iter().flatten() {
            if policy.trusted_keys.contains(key) {
                return Ok(Some(*key));
            }
            why_not = BadSignature::Untrusted { key: *key };
        }
        if let Some(signature) = more {
            match signature.check_trusted(digest, &policy.trusted_keys) {
                Ok(()) => return Ok(Some(signature.key)),
                Err(error) => why_not = error,
            }
        }
        if policy.signatures == SignaturePolicy::Required { Err(why_not) } else { Ok(None) }
    }
}

impl Guard {
    pub(crate) fn new(store: Arc<dyn WorkflowStore>, key: Option<&HostKey>) -> Self {
        let decided = watch::Sender::new(Arc::default());
        Self { store, vault: key.map(Vault::new), decided, opened: Mutex::default(), released: AtomicBool::new(false) }
    }

    /// The operator's decisions as they were last loaded.
    pub(crate) fn decided(&self) -> Arc<Decided> {
        Arc::clone(&self.decided.borrow())
    }

    /// Loads the operator's decisions where they changed.
    pub(crate) async fn refresh(&self) -> Result<(), StoreError> {
        let known = self.decided();
        if self.store.guard_revision().await? == known.revision {
            return Ok(());
        }
        let state = self.store.load_guard().await?;
        let fresh = Arc::new(Decided::new(state)?);
        let is_released = !known.blocks.keys().all(|digest| fresh.blocks.contains_key(digest));
        self.decided.send_if_modified(|decided| {
            let is_newer = fresh.revision >= decided.revision;
            if is_newer {
                *decided = fresh;
            }
            is_newer
        });
        // Only now: whoever has read an older value by then finds that the revision is another, and does not keep it.
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).clear();
        if is_released {
            self.released.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Whether components were let run again since somebody last asked; whoever asks sees to it that they do.
    pub(crate) fn take_released(&self) -> bool {
        self.released.swap(false, Ordering::AcqRel)
    }

    /// Why a component may not run, if it may not.
    pub(crate) fn block(&self, digest: &ComponentDigest) -> Option<Arc<ComponentBlock>> {
        self.decided.borrow().blocks.get(digest).cloned()
    }

    /// Waits until a component may not run any more.
    pub(crate) async fn blocked(&self, digest: ComponentDigest) -> Arc<ComponentBlock> {
        let mut decided = self.decided.subscribe();
        loop {
            if let Some(block) = decided.borrow_and_update().blocks.get(&digest) {
                return Arc::clone(block);
            }
            if decided.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Gives an attempt its secrets, and says whose signature its component has.
    ///
    /// # Errors
    /// The failure that the attempt ends with instead of running.
    pub(crate) async fn admit(&self, call: &mut StepCall) -> Result<Option<PublicKey>, Failure> {
        let decided = self.decided();
        if let Some(block) = decided.blocks.get(&call.component) {
            return Err(block.failure());
        }
        let tenant = call.info.tenant.clone();
        if !call.grants.asked.secrets.is_empty() {
            let secrets = self.secrets_for(tenant.as_ref(), call).await;
            call.secrets =
                secrets.map_err(|error| host_failure("The secrets of the step could not be read.", &error))?;
        }
        let signed = decided.signed_by(call.component, decided.of(tenant.as_ref()), None);
        signed.map_err(|bad| Failure::engine(EngineCode::Denied, format!("The component may not run: {bad}.")))
    }

    async fn secrets_for(
        &self,
        tenant: Option<&TenantId>,
        call: &StepCall,
    ) -> Result<Arc<GrantedSecrets>, EngineError> {
        let mut granted = GrantedSecrets::new();
        let names = call.grants.asked.secrets.iter();
        for name in names.filter(|name| call.grants.has_secret(name.as_str())) {
            granted.insert(name.clone(), self.secret(tenant, name).await?);
        }
        Ok(Arc::new(granted))
    }

    async fn secret(&self, tenant: Option<&TenantId>, name: &SecretName) -> Result<Option<SecretText>, EngineError> {
        let key = (tenant.cloned(), name.clone());
        let opened = || self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = opened().get(&key).cloned() {
            return Ok(known);
        }
        let revision = self.decided().revision;
        let value = match self.store.find_secret(tenant, name).await? {
            Some(sealed) => Some(self.vault()?.open(&sealed)?),
            None => None,
        };
        let mut opened = opened();
        if self.decided().revision == revision {
            opened.insert(key, value.clone());
        }
        Ok(value)
    }

    fn vault(&self) -> Result<&Vault, EngineError> {
        self.vault.as_ref().ok_or(EngineError::NoHostKey)
    }

    /// Counts that a component broke the host's side, and lets it not run any more once that happened too often.
    pub(crate) async fn note_host_fault(&self, digest: ComponentDigest, at: Timestamp) -> Result<(), StoreError> {
        let count = self.store.count_host_fault(&digest).await?;
        tracing::warn!(%digest, count, "a component broke the host's side");
        if count < HOST_FAULTS_MAX {
            return Ok(());
        }
        let reason = format!("it broke the host's side {count} times");
        self.store.insert_block(ComponentBlock { digest, kind: BlockKind::Quarantined, reason, by: None, at }).await?;
        self.refresh().await
    }
}
