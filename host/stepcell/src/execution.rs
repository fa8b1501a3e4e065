//! The two engines of an embedding program: one that forgets, one that does not. They differ in the store alone.

use std::path::Path;

use stepcell_engine::{EngineError, WorkflowEngine, WorkflowRegistry};

use crate::host::{Host, HostError};

macro_rules! execution_engine {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(Host);

        impl $name {
            /// Definitions, components and host-native steps.
            #[must_use]
            pub fn registry(&self) -> &WorkflowRegistry {
                self.0.engine().registry()
            }

            /// The engine itself, which has more to ask for than every engine has.
            #[must_use]
            pub const fn engine(&self) -> &WorkflowEngine {
                self.0.engine()
            }

            /// Lets the attempts under way end, stores what is left to store, and ends.
            pub async fn close(self) {
                self.0.close().await;
            }
        }

        impl AsRef<WorkflowEngine> for $name {
            fn as_ref(&self) -> &WorkflowEngine {
                self.0.engine()
            }
        }
    };
}

execution_engine! {
    /// An engine that keeps everything in memory and forgets it at its end.
    ///
    /// # Examples
    /// ```
    /// use serde_json::json;
    /// use stepcell::{ExecutionEngine as _, HumanStep, LocalExecutionEngine, WorkflowDefinition, WorkflowStatus};
    ///
    /// # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
    /// let engine = LocalExecutionEngine::open(|_| Ok(())).await?;
    /// let definition = WorkflowDefinition::builder("ask", "1.0.0").step("review", HumanStep::titled("Look at it")).build()?;
    /// engine.registry().register_definition(definition).await?;
    ///
    /// let instance = engine.start_workflow(&"ask".parse()?, json!({ "amount": 12 }).into(), None).await?;
    /// assert_eq!(engine.get_instance(instance.identity.id).await?.status, WorkflowStatus::Waiting);
    /// engine.close().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    LocalExecutionEngine
}

impl LocalExecutionEngine {
    /// Opens the engine, once `register` has made the program's own steps, gateways and predicates known.
    ///
    /// # Errors
    /// [`HostError`] if the sandbox can not be set up, or `register` refuses.
    pub async fn open(register: impl FnOnce(&WorkflowRegistry) -> Result<(), EngineError>) -> Result<Self, HostError> {
        Host::in_memory().open_with(register).await.map(Self)
    }
}

execution_engine! {
    /// An engine that keeps everything in a SQLite database, and goes on with it after a restart.
    ///
    /// # Examples
    /// ```
    /// use stepcell::{ExecutionEngine as _, PersistentExecutionEngine};
    ///
    /// # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
    /// # let folder = tempfile::tempdir()?;
    /// # let database = folder.path().join("workflows.db");
    /// let engine = PersistentExecutionEngine::open(&database, |_| Ok(())).await?;
    /// assert!(engine.get_running_instances().await?.is_empty());
    /// engine.close().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    PersistentExecutionEngine
}

impl PersistentExecutionEngine {
    /// Opens the engine on a database, made if there is none, once `register` has made the program's own steps, gateways
    /// and predicates known: whatever was under way goes on before this returns.
    ///
    /// # Errors
    /// [`HostError`] if the database or the sandbox can not be used, another process drives the database, or `register`
    /// refuses.
    pub async fn open(
        database: impl AsRef<Path>,
        register: impl FnOnce(&WorkflowRegistry) -> Result<(), EngineError>,
    ) -> Result<Self, HostError> {
        Host::on_sqlite(database).open_with(register).await.map(Self)
    }
}
