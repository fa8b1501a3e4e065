//! Steps and gateways of the embedding program, and any step to be run alone.

use std::sync::Arc;

use stepcell_model::component::{Export, LacksExport};
use stepcell_model::definition::ComponentRef;
use stepcell_model::id::ComponentDigest;
use stepcell_model::name::ComponentName;

use super::{RegistryView, WorkflowRegistry};
use crate::component_step::ComponentStep;
use crate::error::EngineError;
use crate::gateway::Gateway;
use crate::native::HostCode;
use crate::runner::ComponentRefused;
use crate::step::Step;

impl WorkflowRegistry {
    /// Lets definitions run a step of this process, as `component: host:<name>`.
    ///
    /// It is known as long as the process lives, and nowhere else: register it at each start, before the engine drives.
    /// An attempt of a step that is not registered fails as a fault of the host, and is retried as the policy says.
    ///
    /// # Errors
    /// [`EngineError::ComponentRefused`] if the name is malformed, or another step's.
    pub fn register_step(&self, step: Arc<dyn Step>) -> Result<(), EngineError> {
        let what = format!("`host:{}`", step.name());
        self.register_code(what, HostCode::Step(step))
    }

    /// Lets definitions ask a gateway of this process, as `component: host:<name>`; it is known as long as a step is.
    ///
    /// # Errors
    /// [`EngineError::ComponentRefused`] if the name is malformed, or another step's.
    pub fn register_gateway(&self, gateway: Arc<dyn Gateway>) -> Result<(), EngineError> {
        let what = format!("`host:{}`", gateway.name());
        self.register_code(what, HostCode::Gateway(gateway))
    }

    fn register_code(&self, what: String, code: HostCode) -> Result<(), EngineError> {
        self.steps.register(code).map_err(|ComponentRefused { reason }| EngineError::ComponentRefused { what, reason })
    }

    /// As [`RegistryView::load_step`], of the shared ones.
    ///
    /// # Errors
    /// As there.
    pub async fn load_step(&self, wanted: &ComponentRef) -> Result<Arc<dyn Step>, EngineError> {
        self.view(None).load_step(wanted).await
    }

    /// What stands for the bytes of the step or gateway of that name, if it can be used as that.
    pub(super) fn resolve_host(&self, name: &ComponentName, needs: Export) -> Result<ComponentDigest, String> {
        let digest = ComponentRef::host_digest(name);
        let code = self.steps.find(&digest).ok_or_else(|| self.unknown_host_step(name))?;
        code.exports().check(needs).map_err(|lacks| format!("`host:{name}` {lacks}"))?;
        Ok(digest)
    }

    pub(super) fn unknown_host_step(&self, name: &ComponentName) -> String {
        let known = self.steps.names().iter().map(ToString::to_string).collect::<Vec<_>>();
        let known =
            if known.is_empty() { "there are none".to_owned() } else { format!("there are {}", known.join(", ")) };
        format!("no step `{name}` is registered in this process, {known}; register it with `register_step` first")
    }
}

impl RegistryView<'_> {
    /// A step that a definition's text would name, to be run alone; a component is made ready to be run.
    ///
    /// # Errors
    /// [`EngineError::ComponentNotFound`], [`EngineError::ComponentRefused`] if there is none such.
    pub async fn load_step(&self, wanted: &ComponentRef) -> Result<Arc<dyn Step>, EngineError> {
        if let ComponentRef::Host(name) = wanted {
            let reason = match self.registry.steps.find(&ComponentRef::host_digest(name)) {
                Some(HostCode::Step(step)) => return Ok(step),
                Some(HostCode::Gateway(_)) => format!("it {}", LacksExport { needed: Export::Step }),
                None => self.registry.unknown_host_step(name),
            };
            return Err(EngineError::ComponentRefused { what: format!("`{wanted}`"), reason });
        }
        let record = self.get_component(wanted).await?;
        let checked = self.registry.check_guard(record.digest, record.tenant.as_ref(), None).await?;
        checked.map_err(|reason| EngineError::ComponentRefused { what: wanted.to_string(), reason })?;
        self.registry.prepare(record.digest).await?;
        let summary = record.manifest.as_ref().and_then(|manifest| manifest.tree()["summary"].as_str());
        Ok(Arc::new(ComponentStep {
            description: summary.unwrap_or_default().to_owned(),
            name: record.name,
            digest: record.digest,
            runner: Arc::clone(&self.registry.runner),
        }))
    }
}
