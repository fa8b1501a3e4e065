//! The steps of the host itself: which there are in this process, and who runs them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use stepcell_model::attempt::{AttemptOutcome, AttemptReport, AttemptTrace, ContextWrites, HookReport, StepCall};
use stepcell_model::component::{ComponentExports, Export, LacksExport};
use stepcell_model::definition::ComponentRef;
use stepcell_model::failure::{EngineCode, Failure};
use stepcell_model::id::ComponentDigest;
use stepcell_model::name::{ComponentName, StepName, TenantId};

use crate::context::WorkflowContext;
use crate::gateway::{Gateway, ask};
use crate::runner::{ComponentFacts, ComponentRefused, StepRunner};
use crate::step::Step;

/// The host-native steps that this process knows of, by what stands for their bytes.
#[derive(Default)]
pub(crate) struct HostSteps(RwLock<BTreeMap<ComponentDigest, HostStep>>);

/// A step or gateway that is registered, or that a definition names and nobody has registered yet.
struct HostStep {
    name: ComponentName,
    code: Option<HostCode>,
}

/// What a host-native step is made of.
#[derive(Clone)]
pub(crate) enum HostCode {
    /// A step.
    Step(Arc<dyn Step>),
    /// A gateway.
    Gateway(Arc<dyn Gateway>),
}

impl HostCode {
    fn name(&self) -> &str {
        match self {
            Self::Step(step) => step.name(),
            Self::Gateway(gateway) => gateway.name(),
        }
    }

    /// What it can be used as.
    pub(crate) const fn exports(&self) -> ComponentExports {
        match self {
            Self::Step(_) => ComponentExports::Step,
            Self::Gateway(_) => ComponentExports::Gateway,
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Step(one), Self::Step(other)) => Arc::ptr_eq(one, other),
            (Self::Gateway(one), Self::Gateway(other)) => Arc::ptr_eq(one, other),
            (Self::Step(_), Self::Gateway(_)) | (Self::Gateway(_), Self::Step(_)) => false,
        }
    }
}

impl HostSteps {
    /// Takes a step or gateway in. A name stands for one of them as long as the process lives.
    pub(crate) fn register(&self, code: HostCode) -> Result<(), ComponentRefused> {
        let name = ComponentName::new(code.name()).map_err(|error| ComponentRefused { reason: error.to_string() })?;
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let place = known.entry(ComponentRef::host_digest(&name)).or_insert(HostStep { name, code: None });
        match &place.code {
            Some(there) if !there.is(&code) => {
                let reason = "another step of this process has the name; give one of them another";
                Err(ComponentRefused { reason: reason.to_owned() })
            }
            Some(_) | None => {
                place.code = Some(code);
                Ok(())
            }
        }
    }

    /// Notes that a definition names a step, so that it can be named when it is missing.
    pub(crate) fn note(&self, name: &ComponentName) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let digest = ComponentRef::host_digest(name);
        known.entry(digest).or_insert_with(|| HostStep { name: name.clone(), code: None });
    }

    /// The step that a digest stands for, if one is registered.
    pub(crate) fn find(&self, digest: &ComponentDigest) -> Option<HostCode> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(digest).and_then(|known| known.code.clone())
    }

    /// The name of a step that a definition names and nobody has registered.
    pub(crate) fn find_missing(&self, digest: &ComponentDigest) -> Option<ComponentName> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(digest).filter(|known| known.code.is_none()).map(|known| known.name.clone())
    }

    /// The names of those that are registered, in order.
    pub(crate) fn names(&self) -> Vec<ComponentName> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<_> =
            known.values().filter(|known| known.code.is_some()).map(|known| known.name.clone()).collect();
        names.sort();
        names
    }
}

/// Runs host-native steps itself, and hands everything else on.
pub(crate) struct HostRunner {
    pub(crate) steps: Arc<HostSteps>,
    pub(crate) cells: Arc<dyn StepRunner>,
}

#[async_trait]
impl StepRunner for HostRunner {
    async fn inspect(&self, bytes: Arc<[u8]>) -> Result<ComponentFacts, ComponentRefused> {
        self.cells.inspect(bytes).await
    }

    async fn prepare(
        &self,
        tenant: Option<&TenantId>,
        digest: ComponentDigest,
        bytes: Arc<[u8]>,
    ) -> Result<(), ComponentRefused> {
        self.cells.prepare(tenant, digest, bytes).await
    }

    fn is_prepared(&self, digest: &ComponentDigest) -> bool {
        self.steps.find(digest).is_some() || self.cells.is_prepared(digest)
    }

    async fn run(&self, call: StepCall) -> AttemptReport {
        match self.steps.find(&call.component) {
            Some(HostCode::Step(step)) => step.attempt(WorkflowContext::of(call)).await,
            Some(HostCode::Gateway(gateway)) => misused(gateway.name(), Export::Step),
            None => self.cells.run(call).await,
        }
    }

    async fn run_gateway(&self, call: StepCall, targets: Vec<StepName>) -> AttemptReport {
        match self.steps.find(&call.component) {
            Some(HostCode::Gateway(gateway)) => ask(&*gateway, WorkflowContext::of(call), &targets).await,
            Some(HostCode::Step(step)) => misused(step.name(), Export::Gateway),
            None => self.cells.run_gateway(call, targets).await,
        }
    }

    async fn run_failure_hook(&self, call: StepCall, failure: Failure) -> HookReport {
        match self.steps.find(&call.component) {
            Some(HostCode::Step(step)) => step.failure_hook(WorkflowContext::of(call), failure).await,
            // A gateway has no hook.
            Some(HostCode::Gateway(_)) => {
                HookReport { writes: ContextWrites::new(), failure: None, trace: AttemptTrace::default() }
            }
            None => self.cells.run_failure_hook(call, failure).await,
        }
    }
}

/// The program was changed under a definition: what it registered under the name is of the other kind now.
fn misused(name: &str, needed: Export) -> AttemptReport {
    let message = format!("`host:{name}` {}", LacksExport { needed });
    AttemptReport {
        outcome: AttemptOutcome::Failed(Failure::engine(EngineCode::Contract, message)),
        writes: ContextWrites::new(),
        hook_failure: None,
        trace: AttemptTrace::default(),
    }
}
