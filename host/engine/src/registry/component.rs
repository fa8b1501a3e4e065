//! Components: what is let in, and what definitions mean when they name one.

use std::sync::Arc;

use semver::Version;
use stepcell_model::component::{Capability, Export, Purity};
use stepcell_model::definition::{ComponentRef, VersionRequirement};
use stepcell_model::grants::Grants;
use stepcell_model::id::ComponentDigest;
use stepcell_model::name::{ComponentName, TenantId};
use stepcell_model::record::ComponentRecord;
use stepcell_model::signature::ComponentSignature;
use stepcell_store::{ComponentFilter, Inserted, Owners, StoreError};

use super::{RegistryView, WorkflowRegistry};
use crate::error::{EngineError, told_versions};
use crate::runner::ComponentRefused;

/// A component that somebody wants to register.
#[derive(Clone, Debug)]
pub struct NewComponent {
    /// The name that definitions call it by.
    pub name: ComponentName,
    /// Its version, which never changes.
    pub version: Version,
    /// The component.
    pub bytes: Arc<[u8]>,
    /// Whose it is, whose policy holds, and whose turn it is to compile; shared without one.
    pub tenant: Option<TenantId>,
    /// Somebody's word for it.
    pub signature: Option<ComponentSignature>,
    /// What becomes of it if it wants more than the version before.
    pub acceptance: Acceptance,
}

/// What becomes of a component that wants more than the version before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acceptance {
    /// It is refused, and told what more it wants.
    #[default]
    AsBefore,
    /// It is taken as it is.
    Anything,
}

/// A component after its registration.
#[derive(Clone, Debug, PartialEq)]
pub struct RegisteredComponent {
    /// What is registered.
    pub record: ComponentRecord,
    /// Whether it was new.
    pub inserted: Inserted,
}

/// What a definition means by a component.
pub(super) enum Found {
    /// A registered one.
    Component(Box<ComponentRecord>),
    /// A step of this process, of which nothing is known.
    Host(ComponentDigest),
}

impl Found {
    pub(super) fn digest(&self) -> ComponentDigest {
        match self {
            Self::Component(record) => record.digest,
            Self::Host(digest) => *digest,
        }
    }

    pub(super) fn purity(&self, grants: &Grants) -> Purity {
        match self {
            Self::Component(record) => Purity::of(&record.capabilities, grants),
            Self::Host(_) => Purity::Effectful,
        }
    }
}

impl WorkflowRegistry {
    /// As [`RegistryView::register_component`], for a shared component.
    ///
    /// # Errors
    /// As there.
    pub async fn register_component(
        &self,
        name: ComponentName,
        version: Version,
        bytes: Arc<[u8]>,
    ) -> Result<RegisteredComponent, EngineError> {
        self.view(None).register_component(name, version, bytes).await
    }

    /// Checks a component against the contract and the policy, makes it ready to be run, and registers it.
    ///
    /// # Errors
    /// [`EngineError::ComponentRefused`] if it does not fit, is blocked, lacks a signature that the policy wants, or comes with one of
    /// no trusted key though several keys have signed it already;
    /// [`EngineError::WantsMore`] if it can do more than the newest version before it and nobody accepted that;
    /// [`EngineError::VersionTaken`] if the version has other bytes; [`EngineError::QuotaExceeded`] and
    /// [`EngineError::TenantSuspended`] if its tenant may have no more. Nothing is stored then.
    pub async fn register(&self, new: NewComponent) -> Result<RegisteredComponent, EngineError> {
        let NewComponent { name, version, bytes, tenant, signature, acceptance } = new;
        let what = format!("`{name}` {version}");
        let refused = |reason: String| EngineError::ComponentRefused { what: what.clone(), reason };
        let told = |error: ComponentRefused| refused(error.reason);
        let digest = ComponentDigest::of(&bytes);
        self.check_guard(digest, tenant.as_ref(), signature.as_ref()).await?.map_err(refused)?;
        let signature = self.with_signers_max(tenant.as_ref(), signature).map_err(refused)?;
        let is_new = self.store.find_component(tenant.as_ref(), &name, &version).await?.is_none();
        if is_new {
            // Nothing is looked into or compiled that would be refused in the end.
            drop(self.quotas.admit_component(tenant.as_ref(), bytes.len() as u64).await?);
        }
        let facts = self.runner.inspect(Arc::clone(&bytes)).await.map_err(told)?;
        if acceptance == Acceptance::AsBefore {
            self.view(tenant.as_ref()).check_capabilities(&name, &version, &facts.capabilities).await?;
        }
        self.runner.prepare(tenant.as_ref(), digest, Arc::clone(&bytes)).await.map_err(told)?;
        let admitted =
            if is_new { Some(self.quotas.admit_component(tenant.as_ref(), bytes.len() as u64).await?) } else { None };
        let record = ComponentRecord {
            digest,
            name,
            version,
            manifest: facts.manifest,
            size_bytes: bytes.len() as u64,
            created_at: self.clock.now(),
            exports: facts.exports,
            capabilities: facts.capabilities,
            tenant,
        };
        let inserted = self.store.insert_component(record.clone(), bytes).await.map_err(|error| match error {
            StoreError::Conflict { .. } => EngineError::VersionTaken { what: format!("component {what}") },
            other => other.into(),
        })?;
        drop(admitted);
        if let Some((signature, signers_max)) = signature {
            // Those that came first while this one was compiled may have taken the room; nobody trusts it either way.
            self.store.insert_signature(signature, signers_max).await?;
            self.guard.refresh().await?;
        }
        Ok(RegisteredComponent { record, inserted })
    }

    /// A signature, and how many keys may have signed its component for it to be kept; if it may not be, says why.
    fn with_signers_max(
        &self,
        tenant: Option<&TenantId>,
        signature: Option<ComponentSignature>,
    ) -> Result<Option<(ComponentSignature, u64)>, String> {
        let Some(signature) = signature else { return Ok(None) };
        let decided = self.guard.decided();
        let signers_max = decided.signers_max(decided.of(tenant), &signature)?;
        Ok(Some((signature, signers_max)))
    }

    /// Whether a component may be let in at all; if not, says why.
    pub(super) async fn check_guard(
        &self,
        digest: ComponentDigest,
        tenant: Option<&TenantId>,
        signature: Option<&ComponentSignature>,
    ) -> Result<Result<(), String>, EngineError> {
        self.guard.refresh().await?;
        let decided = self.guard.decided();
        if let Some(block) = decided.blocks.get(&digest) {
            return Ok(Err(block.sentence()));
        }
        if let Some(Err(bad)) = signature.map(|signature| signature.check(digest)) {
            return Ok(Err(bad.to_string()));
        }
        let signed = decided.signed_by(digest, decided.of(tenant), signature);
        Ok(signed.map(drop).map_err(|bad| bad.to_string()))
    }

    /// As [`RegistryView::list_components`], of the shared ones.
    ///
    /// # Errors
    /// As there.
    pub async fn list_components(&self, name: Option<&ComponentName>) -> Result<Vec<ComponentRecord>, EngineError> {
        self.view(None).list_components(name).await
    }

    /// As [`RegistryView::get_component`], of the shared ones.
    ///
    /// # Errors
    /// As there.
    pub async fn get_component(&self, wanted: &ComponentRef) -> Result<ComponentRecord, EngineError> {
        self.view(None).get_component(wanted).await
    }

    /// Makes a component ready to be run, if it is not.
    pub(crate) async fn prepare(&self, digest: ComponentDigest) -> Result<(), EngineError> {
        if let Some(name) = self.steps.find_missing(&digest) {
            let reason = self.unknown_host_step(&name);
            return Err(EngineError::ComponentRefused { what: format!("`host:{name}`"), reason });
        }
        if self.runner.is_prepared(&digest) {
            return Ok(());
        }
        let refused = |reason: String| EngineError::ComponentRefused { what: digest.to_string(), reason };
        let bytes = self.store.load_component_bytes(&digest).await?;
        let bytes = bytes.ok_or_else(|| refused("its bytes are not in the store".to_owned()))?;
        let supplier =
            self.store.find_component_by_digest(&digest, &Owners::All).await?.and_then(|record| record.tenant);
        self.runner.prepare(supplier.as_ref(), digest, bytes).await.map_err(|error| refused(error.reason))
    }
}

impl RegistryView<'_> {
    /// Registers a component of the tenant; see [`WorkflowRegistry::register`].
    ///
    /// # Errors
    /// As there.
    pub async fn register_component(
        &self,
        name: ComponentName,
        version: Version,
        bytes: Arc<[u8]>,
    ) -> Result<RegisteredComponent, EngineError> {
        let (tenant, signature, acceptance) = (self.tenant.cloned(), None, Acceptance::AsBefore);
        self.registry.register(NewComponent { name, version, bytes, tenant, signature, acceptance }).await
    }

    /// Makes sure that a version can do no more than the owner's newest one before it, or the oldest after it where it is the
    /// first.
    async fn check_capabilities(
        &self,
        name: &ComponentName,
        version: &Version,
        wanted: &[Capability],
    ) -> Result<(), EngineError> {
        let known = self.list_owned(Owners::Only(self.tenant.cloned()), Some(name)).await?;
        let before = known.iter().filter(|record| record.version < *version).max_by(|a, b| a.version.cmp(&b.version));
        let others = || known.iter().filter(|record| record.version > *version);
        let last = before.or_else(|| others().min_by(|a, b| a.version.cmp(&b.version)));
        let Some(last) = last else { return Ok(()) };
        let more: Vec<_> = wanted.iter().filter(|wanted| !last.capabilities.contains(wanted)).copied().collect();
        if more.is_empty() {
            return Ok(());
        }
        Err(EngineError::WantsMore { what: format!("`{name}` {version}"), last: last.version.clone(), more })
    }

    pub(super) async fn resolve_component(
        &self,
        wanted: &ComponentRef,
        needs: Export,
    ) -> Result<Result<Found, String>, EngineError> {
        let record = match wanted {
            ComponentRef::Digest(digest) => {
                let found = self.find_by_digest(digest).await?;
                found.ok_or_else(|| "no component with this digest is registered; push it first".to_owned())
            }
            ComponentRef::Registered { name, version } => {
                let known = self.list_components(Some(name)).await?;
                newest(&known, version).cloned().ok_or_else(|| unknown_component(name, version, &known))
            }
            ComponentRef::Host(name) => {
                return Ok(self.registry.resolve_host(name, needs).map(Found::Host));
            }
            ComponentRef::File(path) => {
                Err(format!("`{path}` is a file, which only `run` and `definition apply` read; push it and name it"))
            }
        };
        let usable = record.and_then(|record| check_export(needs, &record).map(|()| record));
        Ok(usable.and_then(|record| match self.registry.guard.block(&record.digest) {
            Some(block) => Err(format!("{} Name another component or version.", block.sentence())),
            None => Ok(Found::Component(Box::new(record))),
        }))
    }

    /// The components there are, or the versions of one.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn list_components(&self, name: Option<&ComponentName>) -> Result<Vec<ComponentRecord>, EngineError> {
        self.list_owned(Owners::seen_by(self.tenant), name).await
    }

    /// The record of the component that a definition's text would name.
    ///
    /// # Errors
    /// [`EngineError::ComponentNotFound`] with the versions there are.
    pub async fn get_component(&self, wanted: &ComponentRef) -> Result<ComponentRecord, EngineError> {
        let unknown = || EngineError::ComponentRefused {
            what: wanted.to_string(),
            reason: "it is not registered; push it first".to_owned(),
        };
        match wanted {
            ComponentRef::Digest(digest) => self.find_by_digest(digest).await?.ok_or_else(unknown),
            ComponentRef::Host(_) => Err(EngineError::ComponentRefused {
                what: format!("`{wanted}`"),
                reason: "it is a step of the program that embeds the engine, and no component".to_owned(),
            }),
            ComponentRef::File(_) => Err(unknown()),
            ComponentRef::Registered { name, version } => {
                let known = self.list_components(Some(name)).await?;
                newest(&known, version).cloned().ok_or_else(|| EngineError::ComponentNotFound {
                    name: name.clone(),
                    known: known.iter().map(|record| record.version.clone()).collect(),
                })
            }
        }
    }

    async fn find_by_digest(&self, digest: &ComponentDigest) -> Result<Option<ComponentRecord>, StoreError> {
        self.registry.store.find_component_by_digest(digest, &Owners::seen_by(self.tenant)).await
    }

    async fn list_owned(
        &self,
        owners: Owners,
        name: Option<&ComponentName>,
    ) -> Result<Vec<ComponentRecord>, EngineError> {
        let filter = ComponentFilter { owners, name: name.cloned(), ..ComponentFilter::default() };
        Ok(self.registry.store.list_components(&filter).await?.items)
    }
}

fn newest<'a>(known: &'a [ComponentRecord], wanted: &VersionRequirement) -> Option<&'a ComponentRecord> {
    let fitting = known.iter().filter(|record| wanted.matches(&record.version));
    fitting.max_by(|a, b| a.version.cmp(&b.version))
}

/// Whether a step that needs that export can use the component; if not, says why.
fn check_export(wanted: Export, record: &ComponentRecord) -> Result<(), String> {
    record.exports.check(wanted).map_err(|lacks| format!("component `{}` {} {lacks}", record.name, record.version))
}

fn unknown_component(name: &ComponentName, wanted: &VersionRequirement, known: &[ComponentRecord]) -> String {
    if known.is_empty() {
        return format!("component `{name}` is not registered; push it with `stepcell component push`");
    }
    let known = told_versions(&known.iter().map(|record| record.version.clone()).collect::<Vec<_>>());
    format!("component `{name}` has no version {wanted}; the versions there are: {known}")
}
