//! Which workflows and components there are, in which versions, and which bytes each definition is pinned to.
//!
//! All of them belong to a tenant, or are shared. What a name means therefore depends on who asks: [`RegistryView`] is the
//! registry as one tenant sees it, and the calls of [`WorkflowRegistry`] itself are those of the view without a tenant.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use semver::Version;
use stepcell_model::definition::{ComponentRef, Finding, WorkflowDefinition};
use stepcell_model::expression::Scope;
use stepcell_model::id::{ComponentDigest, DefinitionId};
use stepcell_model::name::{PredicateName, StepName, TenantId, WorkflowName};
use stepcell_model::plan::Plan;
use stepcell_model::predicate::Predicates;
use stepcell_model::record::{DefinitionRecord, DefinitionSummary};
use stepcell_store::{DefinitionFilter, Inserted, Owners, StoreError, WorkflowStore};

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
mod plans;
mod view;

pub use self::component::{Acceptance, NewComponent, RegisteredComponent};
use self::known::Known;
use self::plans::{OwnedPlan, Plans};
pub use self::view::RegistryView;

/// A document that is not longer is compiled on the thread that wants its plan, in bytes. Keeps longer ones from holding up what
/// else that thread has to do.
const SHORT_DOCUMENT_BYTES: usize = 64 << 10;

/// Registers and finds definitions and components: the shared ones, unless a tenant's [view](Self::view) is asked for.
///
/// What it keeps lives in the store; compiled plans are kept in memory.
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
    plans: Plans,
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
            plans: Plans::default(),
            known: Known::default(),
            predicates: RwLock::default(),
        }
    }

    /// The registry as a tenant sees it: its own definitions and components, and the shared ones of other names; without a
    /// tenant, the shared ones alone.
    #[must_use]
    pub const fn view<'a>(&'a self, tenant: Option<&'a TenantId>) -> RegistryView<'a> {
        RegistryView::new(self, tenant)
    }

    /// As [`RegistryView::register_definition`], for a shared definition.
    ///
    /// # Errors
    /// As there.
    pub async fn register_definition(
        &self,
        definition: WorkflowDefinition,
    ) -> Result<RegisteredDefinition, EngineError> {
        self.view(None).register_definition(definition).await
    }

    /// As [`RegistryView::resolve`], of the shared ones.
    ///
    /// # Errors
    /// As there.
    pub async fn resolve(&self, definition: &WorkflowDefinition) -> Result<(Resolved, Vec<Finding>), EngineError> {
        self.view(None).resolve(definition).await
    }

    /// As [`RegistryView::get_definition`], of the shared ones.
    ///
    /// # Errors
    /// As there.
    pub async fn get_definition(
        &self,
        name: &WorkflowName,
        version: Option<&Version>,
    ) -> Result<DefinitionRecord, EngineError> {
        self.view(None).get_definition(name, version).await
    }

    /// As [`RegistryView::find_definition`], of the shared ones.
    ///
    /// # Errors
    /// As there.
    pub async fn find_definition(
        &self,
        name: &WorkflowName,
        version: Option<&Version>,
        versions: Versions,
    ) -> Result<Option<DefinitionRecord>, EngineError> {
        self.view(None).find_definition(name, version, versions).await
    }

    /// As [`RegistryView::list_definitions`], of the shared ones.
    ///
    /// # Errors
    /// As there.
    pub async fn list_definitions(&self, versions: Versions) -> Result<Vec<DefinitionRecord>, EngineError> {
        self.view(None).list_definitions(versions).await
    }

    /// As [`RegistryView::list_latest_definitions`], of the shared ones.
    ///
    /// # Errors
    /// As there.
    pub async fn list_latest_definitions(&self) -> Result<Vec<DefinitionRecord>, EngineError> {
        self.view(None).list_latest_definitions().await
    }

    /// As [`RegistryView::list_all_definitions`], of the shared ones.
    ///
    /// # Errors
    /// As there.
    pub async fn list_all_definitions(
        &self,
        name: Option<&WorkflowName>,
    ) -> Result<Vec<DefinitionRecord>, EngineError> {
        self.view(None).list_all_definitions(name).await
    }

    /// The latest active version of each workflow of each owner, or every version of every one, whoever's they are.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn list_everybodys_summaries(&self, versions: Versions) -> Result<Vec<DefinitionSummary>, EngineError> {
        self.list_summaries_of(Owners::All, versions).await
    }

    async fn list_summaries_of(
        &self,
        owners: Owners,
        versions: Versions,
    ) -> Result<Vec<DefinitionSummary>, EngineError> {
        let filter = DefinitionFilter { owners, ..DefinitionFilter::default() };
        let mut all = self.store.list_definition_summaries(&filter).await?.items;
        if versions == Versions::Active {
            let known: Vec<_> = all.iter().map(DefinitionSummary::to_version).collect();
            let latest: HashSet<_> = view::latest_of_each(&known).iter().map(|latest| latest.id).collect();
            all.retain(|summary| latest.contains(&summary.id));
            all.sort_by(|a, b| (&a.name, &a.tenant).cmp(&(&b.name, &b.tenant)));
        }
        Ok(all)
    }

    /// As [`RegistryView::has_definition`], of the shared ones.
    ///
    /// # Errors
    /// As there.
    pub async fn has_definition(&self, name: &WorkflowName, version: Option<&Version>) -> Result<bool, EngineError> {
        self.view(None).has_definition(name, version).await
    }

    /// As [`RegistryView::deactivate`], of the shared ones.
    ///
    /// # Errors
    /// As there.
    pub async fn deactivate(&self, name: &WorkflowName, version: &Version) -> Result<(), EngineError> {
        self.view(None).deactivate(name, version).await
    }

    /// As [`RegistryView::activate`], of the shared ones.
    ///
    /// # Errors
    /// As there.
    pub async fn activate(&self, name: &WorkflowName, version: &Version) -> Result<(), EngineError> {
        self.view(None).activate(name, version).await
    }

    /// As [`RegistryView::unregister`], of the shared ones.
    ///
    /// # Errors
    /// As there.
    pub async fn unregister(&self, name: &WorkflowName, version: &Version) -> Result<(), EngineError> {
        self.view(None).unregister(name, version).await
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

    /// The plan of a registered definition, compiled where it is not at hand.
    pub(crate) async fn plan(&self, id: DefinitionId) -> Result<Arc<Plan>, EngineError> {
        Ok(self.owned_plan(id).await?.plan)
    }

    /// Whose a registered definition is: in its owner's view names mean what they meant when it was registered.
    pub(crate) async fn owner_of(&self, id: DefinitionId) -> Result<Option<TenantId>, EngineError> {
        Ok(self.owned_plan(id).await?.owner)
    }

    async fn owned_plan(&self, id: DefinitionId) -> Result<OwnedPlan, EngineError> {
        if let Some(kept) = self.plans.find(id) {
            return Ok(kept);
        }
        let damaged = |what: String| EngineError::Store(StoreError::Damaged { what });
        let record = self
            .store
            .find_definition_by_id(id)
            .await?
            .ok_or_else(|| damaged(format!("definition {id} is missing")))?;
        let (owner, document_bytes, predicates) =
            (record.tenant.clone(), record.document.len_bytes(), self.predicates());
        let plan = aside(document_bytes, move || compile(record, &predicates)).await?;
        Ok(self.keep(plan.map_err(damaged)?, owner, document_bytes))
    }

    fn keep(&self, plan: Plan, owner: Option<TenantId>, document_bytes: usize) -> OwnedPlan {
        for used in plan.definition.components() {
            if let ComponentRef::Host(name) = used.component {
                self.steps.note(name);
            }
        }
        self.plans.keep(OwnedPlan { plan: Arc::new(plan), owner }, document_bytes)
    }
}

/// The plan of a definition as it was registered; if there is none, says why.
fn compile(record: DefinitionRecord, predicates: &Predicates) -> Result<Plan, String> {
    let id = record.id;
    let definition = serde_json::from_str(record.document.text())
        .map_err(|error| format!("definition {id} does not read: {error}"))?;
    let components = record.components.into_iter().collect();
    let plan = Plan::with_predicates(id, definition, &components, predicates)
        .map_err(|problems| format!("definition {id} is not valid: {problems}"))?;
    Ok(plan.with_pure_steps(&record.pure_steps))
}

/// Does work on a document where it is in nobody's way: at once if that is short, or else on a thread of its own.
async fn aside<T: Send + 'static>(
    document_bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, EngineError> {
    if document_bytes <= SHORT_DOCUMENT_BYTES {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => EngineError::Stopping,
    })
}
