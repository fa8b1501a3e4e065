//! The registry as one tenant sees it.

use std::collections::BTreeMap;

use semver::Version;
use stepcell_model::component::Purity;
use stepcell_model::definition::{Finding, StepDefinition, VersionRequirement, WorkflowDefinition};
use stepcell_model::id::DefinitionId;
use stepcell_model::name::{TenantId, WorkflowName};
use stepcell_model::plan::Plan;
use stepcell_model::problem::{PathPart, Problem, Problems};
use stepcell_model::record::{DefinitionRecord, DefinitionSummary, DefinitionVersion};
use stepcell_store::{Activity, DefinitionFilter, Deletion, Inserted, Owners, StoreError};

use super::{RegisteredDefinition, Resolved, Versions, WorkflowRegistry};
use crate::error::EngineError;

/// What a tenant sees of the registry: its own definitions and components, and the shared ones. A name of its own hides the
/// shared one of that name in all its versions, so that a name never means two things at once. Without a tenant, only what is
/// shared is there.
///
/// What is registered through a view belongs to its tenant, and only that can be deactivated and removed through it.
///
/// # Examples
/// ```
/// # use stepcell_engine::{EngineError, WorkflowRegistry};
/// # use stepcell_model::definition::WorkflowDefinition;
/// # use stepcell_model::name::TenantId;
/// # async fn example(registry: &WorkflowRegistry, approval: WorkflowDefinition) -> Result<(), EngineError> {
/// let (name, acme) = (approval.name.clone(), TenantId::new("acme").expect("letters are a name"));
/// registry.view(Some(&acme)).register_definition(approval).await?;
/// assert!(registry.view(Some(&acme)).has_definition(&name, None).await?);
/// assert!(!registry.has_definition(&name, None).await?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RegistryView<'a> {
    pub(super) registry: &'a WorkflowRegistry,
    pub(super) tenant: Option<&'a TenantId>,
}

impl<'a> RegistryView<'a> {
    pub(super) const fn new(registry: &'a WorkflowRegistry, tenant: Option<&'a TenantId>) -> Self {
        Self { registry, tenant }
    }

    /// Whose view it is.
    #[must_use]
    pub const fn tenant(&self) -> Option<&'a TenantId> {
        self.tenant
    }

    /// Checks a definition, pins its steps to digests, and registers it as the tenant's own.
    ///
    /// The same content a second time is a no-op: the version stays with the digests that it was pinned to, whatever
    /// was pushed since.
    ///
    /// # Errors
    /// [`EngineError::Validation`] with everything that is wrong, unknown components among it;
    /// [`EngineError::VersionTaken`] if the version has other content; [`EngineError::TooManyVersions`] if the workflow has as
    /// many as it may have; [`EngineError::QuotaExceeded`] and [`EngineError::TenantSuspended`] if its tenant may have no more.
    /// Nothing is stored then.
    pub async fn register_definition(
        &self,
        definition: WorkflowDefinition,
    ) -> Result<RegisteredDefinition, EngineError> {
        self.register_or_find(definition).await?.map_err(|findings| {
            let problems = findings.into_iter().map(|finding| Problem::at(&finding.path, finding.message)).collect();
            EngineError::Validation { problems: Problems::new(problems) }
        })
    }

    /// As [`Self::register_definition`], and tells what is wrong with the definition as findings, whose places in a text its
    /// caller may know.
    ///
    /// # Errors
    /// As there.
    pub async fn register_or_find(
        &self,
        definition: WorkflowDefinition,
    ) -> Result<Result<RegisteredDefinition, Vec<Finding>>, EngineError> {
        let (resolved, findings) = self.resolve(&definition).await?;
        if findings.is_empty() { self.register_resolved(definition, resolved).await.map(Ok) } else { Ok(Err(findings)) }
    }

    async fn register_resolved(
        &self,
        definition: WorkflowDefinition,
        resolved: Resolved,
    ) -> Result<RegisteredDefinition, EngineError> {
        let document = definition.to_json();
        let known = self.registry.store.find_definition(self.tenant, &definition.name, &definition.version).await?;
        if let Some(known) = known.as_ref().filter(|known| known.document == document) {
            return Ok(RegisteredDefinition { record: known.clone(), inserted: Inserted::AlreadyThere });
        }
        let record = DefinitionRecord {
            id: DefinitionId::from_uuid(self.registry.ids.next_id()),
            tenant: self.tenant.cloned(),
            name: definition.name.clone(),
            version: definition.version.clone(),
            description: definition.description.clone(),
            document,
            components: resolved.digests.clone().into_iter().collect(),
            pure_steps: resolved.pure_steps.clone(),
            is_active: true,
            created_at: self.registry.clock.now(),
        };
        let plan = Plan::with_predicates(record.id, definition, &resolved.digests, &self.registry.predicates())
            .map_err(|problems| EngineError::Validation { problems })?
            .with_pure_steps(&resolved.pure_steps);
        let admitted = self.registry.quotas.admit_definition(self.tenant, record.document.len_bytes() as u64).await?;
        let what = format!("workflow `{}` {}", record.name, record.version);
        let inserted = self.registry.store.insert_definition(record.clone()).await.map_err(|error| match error {
            StoreError::Conflict { .. } => EngineError::VersionTaken { what },
            StoreError::TooManyVersions { name, max } => EngineError::TooManyVersions { name, max },
            other => other.into(),
        })?;
        drop(admitted);
        self.registry.known.forget(&record.name);
        if inserted == Inserted::AlreadyThere {
            // Somebody registered the same between our look and our insert: theirs is what the store has.
            let record = self.get_definition(&record.name, Some(&record.version)).await?;
            return Ok(RegisteredDefinition { record, inserted });
        }
        self.registry.keep(plan, record.tenant.clone(), record.document.len_bytes());
        Ok(RegisteredDefinition { record, inserted })
    }

    /// Everything that is wrong with a definition, and what its components are.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn resolve(&self, definition: &WorkflowDefinition) -> Result<(Resolved, Vec<Finding>), EngineError> {
        let mut findings = definition.findings();
        findings.extend(definition.unknown_predicates(&self.registry.predicates()));
        findings.extend(self.unknown_workflows(definition).await?);
        let mut resolved = Resolved::default();
        for used in definition.components() {
            match self.resolve_component(used.component, used.needs).await? {
                Ok(found) => {
                    if found.purity(used.grants) == Purity::Pure {
                        resolved.pure_steps.push(used.step.clone());
                    }
                    resolved.digests.insert(used.step, found.digest());
                }
                Err(message) => findings.push(Finding { path: used.path, message }),
            }
        }
        Ok((resolved, findings))
    }

    /// The steps whose workflow is not registered; a workflow may call itself.
    async fn unknown_workflows(&self, definition: &WorkflowDefinition) -> Result<Vec<Finding>, EngineError> {
        let (mut wanted, mut steps) = (BTreeMap::<_, Vec<_>>::new(), 0_usize);
        definition.visit_steps(&mut |visited| {
            if let StepDefinition::Workflow(child) = visited.step
                && child.workflow != definition.name
            {
                wanted.entry(&child.workflow).or_default().push((steps, visited.path, child.version.as_ref()));
            }
            steps += 1;
        });
        let mut findings = BTreeMap::new();
        for (name, steps) in wanted {
            // One name at a time, so that no more than its versions are at hand.
            let known = self.versions(name).await?;
            for (step, mut path, version) in steps {
                if let Err(error) = pick_startable(&known, name, version) {
                    path.push(PathPart::Key("workflow".to_owned()));
                    findings.insert(step, Finding { path, message: format!("{error}; register it first") });
                }
            }
        }
        Ok(findings.into_values().collect())
    }

    /// The active version of a workflow that a step means: the newest that fits, releases before pre-releases.
    pub(crate) async fn find_startable(
        &self,
        name: &WorkflowName,
        version: Option<&VersionRequirement>,
    ) -> Result<DefinitionVersion, EngineError> {
        pick_startable(&self.versions(name).await?, name, version).cloned()
    }

    /// The record of a workflow: of one version, or of the latest active release.
    ///
    /// # Errors
    /// [`EngineError::WorkflowNotFound`] with the versions there are.
    pub async fn get_definition(
        &self,
        name: &WorkflowName,
        version: Option<&Version>,
    ) -> Result<DefinitionRecord, EngineError> {
        if let Some(record) = self.find_own(name, version).await? {
            return Ok(record);
        }
        let known = self.versions(name).await?;
        let picked = pick_or_tell(&known, name, version)?;
        // Somebody may have removed it since we looked.
        self.find_record(picked).await?.ok_or_else(|| not_found(&[], name, version))
    }

    /// The version of a workflow to start, as it was known here a moment ago.
    pub(crate) async fn version_to_start(
        &self,
        name: &WorkflowName,
        version: Option<&Version>,
    ) -> Result<DefinitionVersion, EngineError> {
        let known = self.registry.known.versions(&*self.registry.store, self.tenant, name).await?;
        pick_or_tell(&known, name, version).cloned()
    }

    /// The record of one version of a workflow, or of the latest, among those meant by `versions`.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn find_definition(
        &self,
        name: &WorkflowName,
        version: Option<&Version>,
        versions: Versions,
    ) -> Result<Option<DefinitionRecord>, EngineError> {
        let is_meant = |record: &DefinitionRecord| versions == Versions::All || record.is_active;
        if let Some(record) = self.find_own(name, version).await? {
            return Ok(Some(record).filter(is_meant));
        }
        let known = self.versions(name).await?;
        match pick(&known, version, versions) {
            Some(picked) => Ok(self.find_record(picked).await?.filter(is_meant)),
            None => Ok(None),
        }
    }

    /// The latest active version of each workflow, or every version of every one, by name.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn list_definitions(&self, versions: Versions) -> Result<Vec<DefinitionRecord>, EngineError> {
        match versions {
            Versions::Active => self.list_latest_definitions().await,
            Versions::All => self.list_all_definitions(None).await,
        }
    }

    /// The latest active version of each workflow, by name.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn list_latest_definitions(&self) -> Result<Vec<DefinitionRecord>, EngineError> {
        let versions = self.registry.store.list_versions(&Owners::seen_by(self.tenant), None).await?;
        let mut records = Vec::new();
        for latest in latest_of_each(&versions) {
            records.extend(self.find_record(latest).await?);
        }
        Ok(records)
    }

    /// The latest active version of each workflow, or every version of every one, by name, without their documents.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn list_summaries(&self, versions: Versions) -> Result<Vec<DefinitionSummary>, EngineError> {
        self.registry.list_summaries_of(Owners::seen_by(self.tenant), versions).await
    }

    /// Every version of every workflow, or of one, with all their documents: [`Self::list_summaries`] is without them.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn list_all_definitions(
        &self,
        name: Option<&WorkflowName>,
    ) -> Result<Vec<DefinitionRecord>, EngineError> {
        let filter = DefinitionFilter {
            owners: Owners::seen_by(self.tenant),
            name: name.cloned(),
            ..DefinitionFilter::default()
        };
        Ok(self.registry.store.list_definitions(&filter).await?.items)
    }

    /// Whether there is such a workflow, or such a version of it.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn has_definition(&self, name: &WorkflowName, version: Option<&Version>) -> Result<bool, EngineError> {
        let known = self.versions(name).await?;
        Ok(known.iter().any(|record| version.is_none_or(|version| record.version == *version)))
    }

    /// Lets a version of the owner's start nothing new. What runs on it goes on.
    ///
    /// # Errors
    /// [`EngineError::WorkflowNotFound`] if there is none such.
    pub async fn deactivate(&self, name: &WorkflowName, version: &Version) -> Result<(), EngineError> {
        self.set_activity(name, version, Activity::Inactive).await
    }

    /// Lets a version of the owner's start instances again.
    ///
    /// # Errors
    /// [`EngineError::WorkflowNotFound`] if there is none such.
    pub async fn activate(&self, name: &WorkflowName, version: &Version) -> Result<(), EngineError> {
        self.set_activity(name, version, Activity::Active).await
    }

    async fn set_activity(
        &self,
        name: &WorkflowName,
        version: &Version,
        activity: Activity,
    ) -> Result<(), EngineError> {
        let is_there = self.registry.store.set_definition_active(self.tenant, name, version, activity).await?;
        self.registry.known.forget(name);
        if is_there {
            return Ok(());
        }
        let known = self.registry.store.list_versions(&Owners::Only(self.tenant.cloned()), Some(name)).await?;
        pick_or_tell(&known, name, Some(version)).map(drop)
    }

    /// Removes a version of the owner's that nothing runs or ran on; one that is not there is no error.
    ///
    /// # Errors
    /// [`EngineError::InUse`] if instances refer to it.
    pub async fn unregister(&self, name: &WorkflowName, version: &Version) -> Result<(), EngineError> {
        let deletion = self.registry.store.delete_definition(self.tenant, name, version).await?;
        self.registry.known.forget(name);
        match deletion {
            Deletion::Deleted | Deletion::NotThere => Ok(()),
            Deletion::InUse { instances } => {
                Err(EngineError::InUse { name: name.clone(), version: version.clone(), instances })
            }
        }
    }

    /// The versions that a name means, in order.
    async fn versions(&self, name: &WorkflowName) -> Result<Vec<DefinitionVersion>, StoreError> {
        self.registry.store.list_versions(&Owners::seen_by(self.tenant), Some(name)).await
    }

    /// The owner's version of that name, if one is named: it is what is meant, whatever else there is.
    async fn find_own(
        &self,
        name: &WorkflowName,
        version: Option<&Version>,
    ) -> Result<Option<DefinitionRecord>, StoreError> {
        match version {
            Some(version) => self.registry.store.find_definition(self.tenant, name, version).await,
            None => Ok(None),
        }
    }

    async fn find_record(&self, of: &DefinitionVersion) -> Result<Option<DefinitionRecord>, StoreError> {
        self.registry.store.find_definition(of.tenant.as_ref(), &of.name, &of.version).await
    }
}

/// Of each owner's workflow the latest active version, by name.
pub(super) fn latest_of_each(all: &[DefinitionVersion]) -> Vec<&DefinitionVersion> {
    let mut of_each = BTreeMap::<_, Vec<_>>::new();
    for version in all.iter().filter(|version| version.is_active) {
        of_each.entry((&version.name, &version.tenant)).or_default().push(version);
    }
    of_each.into_values().filter_map(|versions| latest(versions.into_iter())).collect()
}

fn pick_or_tell<'a>(
    known: &'a [DefinitionVersion],
    name: &WorkflowName,
    version: Option<&Version>,
) -> Result<&'a DefinitionVersion, EngineError> {
    let wanted = if version.is_some() { Versions::All } else { Versions::Active };
    pick(known, version, wanted).ok_or_else(|| not_found(known, name, version))
}

fn not_found(known: &[DefinitionVersion], name: &WorkflowName, version: Option<&Version>) -> EngineError {
    EngineError::WorkflowNotFound { name: name.clone(), version: version.cloned(), known: versions_of(known) }
}

fn pick_startable<'a>(
    known: &'a [DefinitionVersion],
    name: &WorkflowName,
    wanted: Option<&VersionRequirement>,
) -> Result<&'a DefinitionVersion, EngineError> {
    let fits =
        |known: &&DefinitionVersion| known.is_active && wanted.is_none_or(|wanted| wanted.matches(&known.version));
    latest(known.iter().filter(fits)).ok_or_else(|| match wanted.filter(|_| !known.is_empty()) {
        Some(wanted) => {
            EngineError::NoVersionFits { name: name.clone(), wanted: wanted.to_string(), known: versions_of(known) }
        }
        None => not_found(known, name, None),
    })
}

fn versions_of(known: &[DefinitionVersion]) -> Vec<Version> {
    known.iter().map(|known| known.version.clone()).collect()
}

fn pick<'a>(
    known: &'a [DefinitionVersion],
    version: Option<&Version>,
    versions: Versions,
) -> Option<&'a DefinitionVersion> {
    let mut wanted = known.iter().filter(|known| versions == Versions::All || known.is_active);
    match version {
        Some(version) => wanted.find(|known| known.version == *version),
        None => latest(wanted),
    }
}

/// The newest of some versions: releases before pre-releases, then semantic order.
fn latest<'a>(versions: impl Iterator<Item = &'a DefinitionVersion>) -> Option<&'a DefinitionVersion> {
    versions.max_by(|a, b| (a.version.pre.is_empty(), &a.version).cmp(&(b.version.pre.is_empty(), &b.version)))
}
