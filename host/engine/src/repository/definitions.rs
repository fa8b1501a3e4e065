//! The versions of workflows.

use semver::Version;
use stepcell_model::name::WorkflowName;
use stepcell_model::record::DefinitionRecord;

use crate::engine::WorkflowEngine;
use crate::error::EngineError;
use crate::registry::Versions;

/// The versions of workflows that are registered.
///
/// # Examples
/// ```
/// # use stepcell_engine::{EngineError, Versions, WorkflowDefinitionRepository, WorkflowEngine};
/// # async fn example(engine: &WorkflowEngine) -> Result<(), EngineError> {
/// let definitions = WorkflowDefinitionRepository::new(engine);
/// let name = "approval".parse().expect("letters are a name");
/// if let Some(latest) = definitions.get_by_name(&name, None, Versions::Active).await? {
///     definitions.deactivate_version(&name, &latest.version).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct WorkflowDefinitionRepository(WorkflowEngine);

impl WorkflowDefinitionRepository {
    /// The versions that an engine knows.
    #[must_use]
    pub fn new(engine: &WorkflowEngine) -> Self {
        Self(engine.clone())
    }

    /// One version of a workflow, or the latest if none is named, among those meant by `versions`.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn get_by_name(
        &self,
        name: &WorkflowName,
        version: Option<&Version>,
        versions: Versions,
    ) -> Result<Option<DefinitionRecord>, EngineError> {
        self.0.registry().find_definition(name, version, versions).await
    }

    /// The latest active version of a workflow.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn get_latest_version(&self, name: &WorkflowName) -> Result<Option<DefinitionRecord>, EngineError> {
        self.get_by_name(name, None, Versions::Active).await
    }

    /// Every active version of every workflow, by name and version.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be read.
    pub async fn list_active(&self) -> Result<Vec<DefinitionRecord>, EngineError> {
        let all = self.0.registry().list_all_definitions(None).await?;
        Ok(all.into_iter().filter(|record| record.is_active).collect())
    }

    /// Lets a version start nothing new, and says whether there is such a version. What runs on it goes on.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store can not be written.
    pub async fn deactivate_version(&self, name: &WorkflowName, version: &Version) -> Result<bool, EngineError> {
        match self.0.registry().deactivate(name, version).await {
            Ok(()) => Ok(true),
            Err(EngineError::WorkflowNotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
