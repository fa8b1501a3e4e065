//! Which workflows and components there are, in which versions, and which bytes each definition is pinned to.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use semver::Version;
use stepcell_model::component::Purity;
use stepcell_model::definition::{ComponentRef, Finding, StepDefinition, VersionRequirement, WorkflowDefinition};
use stepcell_model::expression::Scope;
use stepcell_model::id::{ComponentDigest, DefinitionId};
use stepcell_model::name::{PredicateName, StepName, WorkflowName};
use stepcell_model::plan::Plan;
use stepcell_model::predicate::Predicates;
use stepcell_model::problem::{PathPart, Problem, Problems};
use stepcell_model::record::DefinitionRecord;
use stepcell_store::{Activity, Deletion, Inserted, StoreError, WorkflowStore};

use crate::clock::Clock;
use crate::error::EngineError;
use crate::guard::Guard;
use crate::ids::IdSource;
use crate::native::HostSteps;
use crate::quotas::QuotaKeeper;
use crate::runner::StepRunner;

mod component;
mod host;
mod known;

pub use self::component::{Acceptance, NewComponent, RegisteredComponent};
use self::known::Known;

/// Registers and finds definitions and components. What it keeps lives in the store; compiled plans are kept in memory.
///
/// # Examples
/// ```
/// # use stepcell_engine::{EngineError, Versions, WorkflowRegistry};
/// # use stepcell_model::definition::WorkflowDefinition;
/// # async fn example(registry: &WorkflowRegistry, approval: WorkflowDefinition) -> Result<(), EngineError> {
/// let name = approval.name.clone();
/// registry.register_definition(approval).await?;
/// assert!(registry.has_definition(&name, None).await?);
/// let latest = registry.get_definition(&name, None).await?;
/// assert!(registry.list_definitions(Versions::Active).await?.contains(&latest));
/// # Ok(())
/// # }
/// ```
pub struct WorkflowRegistry {
    store: Arc<dyn WorkflowStore>,
    runner: Arc<dyn StepRunner>,
    steps: Arc<HostSteps>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    guard: Arc<Guard>,
    quotas: Arc<QuotaKeeper>,
    plans: RwLock<HashMap<DefinitionId, Arc<Plan>>>,
    known: Known,
    predicates: RwLock<Arc<Predicates>>,
}

/// A definition after its registration.
#[derive(Clone, Debug)]
pub struct RegisteredDefinition {
    /// What is registered.
    pub record: DefinitionRecord,
    /// Whether it was new.
    pub inserted: Inserted,
}

/// What the components of a definition are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The component that each step runs.
    pub digests: BTreeMap<StepName, ComponentDigest>,
    /// Of those, the steps that are pure.
    pub pure_steps: Vec<StepName>,
}

/// Which versions of a workflow are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// Those on which new instances may start.
    #[default]
    Active,
    /// Those that are deactivated, too.
    All,
}

impl std::fmt::Debug for WorkflowRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkflowRegistry").finish_non_exhaustive()
    }
}

impl WorkflowRegistry {
    pub(crate) fn new(
        store: Arc<dyn WorkflowStore>,
        runner: Arc<dyn StepRunner>,
        steps: Arc<HostSteps>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        guard: Arc<Guard>,
        quotas: Arc<QuotaKeeper>,
    ) -> Self {
        Self {
            store,
            runner,
            steps,
            clock,
            ids,
            guard,
            quotas,
            plans: RwLock::default(),
            known: Known::default(),
            predicates: RwLock::default(),
        }
    }

    /// Checks a definition, pins its steps to digests, and registers it.
    ///
    /// The same content a second time is a no-op: the version stays with the digests that it was pinned to, whatever
    /// was pushed since.
    ///
    /// # Errors
    /// [`EngineError::Validation`] with everything that is wrong, unknown components among it;
    /// [`EngineError::VersionTaken`] if the version has other content. Nothing is stored then.
    pub async fn register_definition(
        &self,
        definition: WorkflowDefinition,
    ) -> Result<RegisteredDefinition, EngineError> {
        let (resolved, findings) = self.resolve(&definition).await?;
        if !findings.is_empty() {
            let problems = findings.into_iter().map(|finding| Problem::at(&finding.path, finding.message)).collect();
            return Err(EngineError::Validation { problems: Problems::new(problems) });
        }
        let document = definition.to_json();
        let known = self.store.find_definition(&definition.name, &definition.version).await?;
        if let Some(known) = known.as_ref().filter(|known| known.document == document) {
            return Ok(RegisteredDefinition { record: known.clone(), inserted: Inserted::AlreadyThere });
        }
        let record = DefinitionRecord {
            id: DefinitionId::from_uuid(self.ids.next_id()),
            name: definition.name.clone(),
            version: definition.version.clone(),
            description: definition.description.clone(),
            document,
            components: resolved.digests.clone().into_iter().collect(),
            pure_steps: resolved.pure_steps.clone(),
            is_active: true,
            created_at: self.clock.now(),
        };
        let plan = Plan::with_predicates(record.id, definition, &resolved.digests, &self.predicates())
            .map_err(|problems| EngineError::Validation { problems })?
            .with_pure_steps(&resolved.pure_steps);
        let what = format!("workflow `{}` {}", record.name, record.version);
        let inserted = self.store.insert_definition(record.clone()).await.map_err(|error| match error {
            StoreError::Conflict { .. } => EngineError::VersionTaken { what },
            other => other.into(),
        })?;
        self.known.forget(&record.name);
        if inserted == Inserted::AlreadyThere {
            // Somebody registered the same between our look and our insert: theirs is what the store has.
            let record = self.get_definition(&record.name, Some(&record.version)).await?;
            return Ok(RegisteredDefinition { record, inserted });
        }
        self.keep(plan);
        Ok(RegisteredDefinition { record, inserted })
    }

    /// Everything that is wrong with a definition, and what its components are.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn resolve(&self, definition: &WorkflowDefinition) -> Result<(Resolved, Vec<Finding>), EngineError> {
        let mut findings = definition.findings();
        findings.extend(definition.unknown_predicates(&self.predicates()));
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
        let mut wanted = Vec::new();
        definition.visit_steps(&mut |visited| {
            if let StepDefinition::Workflow(child) = visited.step
                && child.workflow != definition.name
            {
                wanted.push((visited.path, child));
            }
        });
        let mut findings = Vec::new();
        for (mut path, child) in wanted {
            if let Err(error) = self.find_startable(&child.workflow, child.version.as_ref()).await {
                if let EngineError::Store(_) = error {
                    return Err(error);
                }
                path.push(PathPart::Key("workflow".to_owned()));
                findings.push(Finding { path, message: format!("{error}; register it first") });
            }
        }
        Ok(findings)
    }

    /// The active version of a workflow that a step means: the newest that fits, releases before pre-releases.
    pub(crate) async fn find_startable(
        &self,
        name: &WorkflowName,
        version: Option<&VersionRequirement>,
    ) -> Result<DefinitionRecord, EngineError> {
        let known = self.store.list_definitions(Some(name)).await?;
        let fits = |record: &&DefinitionRecord| {
            record.is_active && version.is_none_or(|version| version.matches(&record.version))
        };
        latest(known.iter().filter(fits)).cloned().ok_or_else(|| {
            let (name, known) = (name.clone(), known.iter().map(|record| record.version.clone()).collect::<Vec<_>>());
            match version.filter(|_| !known.is_empty()) {
                Some(wanted) => EngineError::NoVersionFits { name, wanted: wanted.to_string(), known },
                None => EngineError::WorkflowNotFound { name, version: None, known },
            }
        })
    }

    /// Registers a condition that this program decides, in place of an earlier one of that name: edges name it as
    /// `predicate:`.
    ///
    /// It is part of a decision: the same scope gives the same answer, at once and without effects. Register all before
    /// definitions that name them, and before the engine drives.
    pub fn register_predicate(
        &self,
        name: PredicateName,
        decide: impl Fn(&Scope<'_>) -> Result<bool, String> + Send + Sync + 'static,
    ) {
        let mut predicates = self.predicates.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut *predicates).insert(name, decide);
    }

    fn predicates(&self) -> Arc<Predicates> {
        Arc::clone(&self.predicates.read().unwrap_or_else(PoisonError::into_inner))
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
        let known = self.store.list_definitions(Some(name)).await?;
        pick_or_tell(&known, name, version)
    }

    /// The record of a version of a workflow to start, as it was known here a moment ago.
    pub(crate) async fn definition_to_start(
        &self,
        name: &WorkflowName,
        version: Option<&Version>,
    ) -> Result<DefinitionRecord, EngineError> {
        let known = self.known.versions(&*self.store, name).await?;
        pick_or_tell(&known, name, version)
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
        let known = self.store.list_definitions(Some(name)).await?;
        Ok(pick(&known, version, versions).cloned())
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
        let mut by_name = BTreeMap::<WorkflowName, Vec<DefinitionRecord>>::new();
        for record in self.store.list_definitions(None).await?.into_iter().filter(|record| record.is_active) {
            by_name.entry(record.name.clone()).or_default().push(record);
        }
        Ok(by_name.values().filter_map(|records| latest(records.iter()).cloned()).collect())
    }

    /// Every version of every workflow, or of one.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn list_all_definitions(
        &self,
        name: Option<&WorkflowName>,
    ) -> Result<Vec<DefinitionRecord>, EngineError> {
        Ok(self.store.list_definitions(name).await?)
    }

    /// Whether there is such a workflow, or such a version of it.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn has_definition(&self, name: &WorkflowName, version: Option<&Version>) -> Result<bool, EngineError> {
        let known = self.store.list_definitions(Some(name)).await?;
        Ok(known.iter().any(|record| version.is_none_or(|version| record.version == *version)))
    }

    /// Lets a version start nothing new. What runs on it goes on.
    ///
    /// # Errors
    /// [`EngineError::WorkflowNotFound`] if there is none such.
    pub async fn deactivate(&self, name: &WorkflowName, version: &Version) -> Result<(), EngineError> {
        let is_there = self.store.set_definition_active(name, version, Activity::Inactive).await?;
        self.known.forget(name);
        if is_there {
            return Ok(());
        }
        self.get_definition(name, Some(version)).await.map(drop)
    }

    /// Removes a version that nothing runs or ran on; one that is not there is no error.
    ///
    /// # Errors
    /// [`EngineError::InUse`] if instances refer to it.
    pub async fn unregister(&self, name: &WorkflowName, version: &Version) -> Result<(), EngineError> {
        let deletion = self.store.delete_definition(name, version).await?;
        self.known.forget(name);
        match deletion {
            Deletion::Deleted | Deletion::NotThere => Ok(()),
            Deletion::InUse { instances } => {
                Err(EngineError::InUse { name: name.clone(), version: version.clone(), instances })
            }
        }
    }

    /// The plan of a registered definition, compiled at the first call.
    pub(crate) async fn plan(&self, id: DefinitionId) -> Result<Arc<Plan>, EngineError> {
        if let Some(plan) = self.plans.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Arc::clone(plan));
        }
        let damaged = |what: String| EngineError::Store(StoreError::Damaged { what });
        let record = self
            .store
            .find_definition_by_id(id)
            .await?
            .ok_or_else(|| damaged(format!("definition {id} is missing")))?;
        let definition = serde_json::from_str(record.document.text())
            .map_err(|error| damaged(format!("definition {id} does not read: {error}")))?;
        let components = record.components.into_iter().collect();
        let plan = Plan::with_predicates(id, definition, &components, &self.predicates())
            .map_err(|problems| damaged(format!("definition {id} is not valid: {problems}")))?;
        Ok(self.keep(plan.with_pure_steps(&record.pure_steps)))
    }

    fn keep(&self, plan: Plan) -> Arc<Plan> {
        for used in plan.definition.components() {
            if let ComponentRef::Host(name) = used.component {
                self.steps.note(name);
            }
        }
        let mut plans = self.plans.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(plans.entry(plan.id).or_insert_with(|| Arc::new(plan)))
    }
}

fn pick_or_tell(
    known: &[DefinitionRecord],
    name: &WorkflowName,
    version: Option<&Version>,
) -> Result<DefinitionRecord, EngineError> {
    let wanted = if version.is_some() { Versions::All } else { Versions::Active };
    pick(known, version, wanted).cloned().ok_or_else(|| EngineError::WorkflowNotFound {
        name: name.clone(),
        version: version.cloned(),
        known: known.iter().map(|record| record.version.clone()).collect(),
    })
}

fn pick<'a>(
    known: &'a [DefinitionRecord],
    version: Option<&Version>,
    versions: Versions,
) -> Option<&'a DefinitionRecord> {
    let mut wanted = known.iter().filter(|record| versions == Versions::All || record.is_active);
    match version {
        Some(version) => wanted.find(|record| record.version == *version),
        None => latest(wanted),
    }
}

/// The newest of some versions: releases before pre-releases, then semantic order.
fn latest<'a>(records: impl Iterator<Item = &'a DefinitionRecord>) -> Option<&'a DefinitionRecord> {
    records.max_by(|a, b| (a.version.pre.is_empty(), &a.version).cmp(&(b.version.pre.is_empty(), &b.version)))
}
