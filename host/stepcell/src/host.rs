//! The composition root: a store, a sandbox, an engine over both, and the lock that lets one process drive.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stepcell_engine::{
    Clock, Driving, EngineError, EngineOptions, StepRunner, Tracing, WorkflowEngine, WorkflowRegistry,
};
use stepcell_model::host_key::HostKey;
use stepcell_outbound::HttpOutbound;
use stepcell_sandbox::{CompileLimits, Compiler, Isolation, Sandbox, SandboxConfig, SandboxError};
use stepcell_store::{Losses, MemoryStore, Role, SqliteOptions, SqliteStore, StoreError, WorkflowStore};
use stepcell_webhooks::{DispatchWatch, Dispatching, WebhookError, Webhooks};

use crate::host_key::{HostKeyError, host_key_made_in};
use crate::lock::{DriverLock, LockError};
use crate::runner::SandboxRunner;

/// What a host may do to its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Move instances. Only one process may; it holds the lock.
    Drive,
    /// Change single instances and definitions, beside a process that drives.
    Visit,
    /// Only read.
    Read,
}

/// Why a host can not be opened.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The database can not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another process drives the database.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The key that secrets are encrypted with can not be used.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// The sandbox can not be set up.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The engine can not begin.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Outgoing webhooks can not begin.
    #[error(transparent)]
    Webhooks(#[from] WebhookError),
}

/// Everything that runs workflows, put together.
///
/// # Examples
/// ```
/// use stepcell::Host;
///
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
/// let host = Host::in_memory().open().await?;
/// assert!(host.engine().registry().list_latest_definitions().await?.is_empty());
/// host.close().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Host {
    engine: WorkflowEngine,
    webhooks: Webhooks,
    sandbox: Arc<Sandbox>,
    driving: Option<Driving>,
    dispatching: Option<Dispatching>,
    sqlite: Option<Arc<SqliteStore>>,
    _lock: Option<DriverLock>,
}

/// How a host is to be opened.
#[derive(Clone, Debug)]
pub struct HostBuilder {
    database: Option<PathBuf>,
    access: Access,
    losses: Losses,
    cache: Option<PathBuf>,
    compiler: Compiler,
    compile_limits: CompileLimits,
    isolation: Isolation,
    engine: EngineOptions,
}

impl Host {
    /// A host that keeps everything in memory and forgets it at its end.
    #[must_use]
    pub fn in_memory() -> HostBuilder {
        HostBuilder {
            database: None,
            access: Access::Drive,
            losses: Losses::Refuse,
            cache: None,
            compiler: Compiler::default(),
            compile_limits: CompileLimits::default(),
            isolation: Isolation::default(),
            engine: EngineOptions::default(),
        }
    }

    /// A host that keeps everything in a SQLite database, made if there is none.
    #[must_use]
    pub fn on_sqlite(database: impl AsRef<Path>) -> HostBuilder {
        HostBuilder { database: Some(database.as_ref().to_owned()), ..Self::in_memory() }
    }

    /// What starts, drives and finishes instances.
    #[must_use]
    pub const fn engine(&self) -> &WorkflowEngine {
        &self.engine
    }

    /// What happens, told to others.
    #[must_use]
    pub const fn webhooks(&self) -> &Webhooks {
        &self.webhooks
    }

    /// What can be counted of outgoing webhooks, where this host sends them.
    #[must_use]
    pub fn watch_webhooks(&self) -> Option<DispatchWatch> {
        self.dispatching.as_ref().map(Dispatching::watch)
    }

    /// What the engine keeps, for reading.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn WorkflowStore> {
        self.engine.store()
    }

    /// Where components are checked and run.
    #[must_use]
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Whether this host moves instances.
    #[must_use]
    pub const fn is_driving(&self) -> bool {
        self.driving.is_some()
    }

    /// Lets the attempts under way end, stores what is left to store, and ends.
    pub async fn close(self) {
        if let Some(dispatching) = self.dispatching {
            dispatching.stop().await;
        }
        if let Some(driving) = self.driving {
            driving.stop().await;
        }
        if let Some(sqlite) = self.sqlite {
            sqlite.close().await;
        }
    }
}

impl AsRef<WorkflowEngine> for Host {
    fn as_ref(&self) -> &WorkflowEngine {
        &self.engine
    }
}

/// A store for the engine, and the same once more where it must be closed in order.
type OpenStore = (Arc<dyn WorkflowStore>, Option<Arc<SqliteStore>>);

impl HostBuilder {
    /// Sets what the host may do to its database; without this it drives.
    #[must_use]
    pub const fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Sets what happens where the database has lost something that was acknowledged; without this it is refused.
    #[must_use]
    pub const fn losses(mut self, losses: Losses) -> Self {
        self.losses = losses;
        self
    }

    /// Sets where compiled components are kept between runs; without this each host compiles anew.
    #[must_use]
    pub fn cache(mut self, folder: impl AsRef<Path>) -> Self {
        self.cache = Some(folder.as_ref().to_owned());
        self
    }

    /// Sets where attempts run; without this it is this process.
    #[must_use]
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// Sets where components are compiled; without this it is a child process if this program has called
    /// [`child_main`](crate::child_main), else this process.
    #[must_use]
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = compiler;
        self
    }

    /// Sets what compiling one component in a child process may use up.
    #[must_use]
    pub const fn compile_limits(mut self, limits: CompileLimits) -> Self {
        self.compile_limits = limits;
        self
    }

    /// Sets how many attempts may run at once.
    #[must_use]
    pub const fn concurrency(mut self, attempts: usize) -> Self {
        self.engine.concurrency = attempts;
        self
    }

    /// Sets what tells the time; without this it is the machine's clock. A simulated one lets tests pass days at once.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.engine.clock = clock;
        self
    }

    /// Sets what requests of steps say of the trace that they are in; without this that of the start of their instance.
    #[must_use]
    pub const fn tracing(mut self, tracing: Tracing) -> Self {
        self.engine.tracing = tracing;
        self
    }

    /// Sets what secrets are encrypted with. Without it a host on a database has the key in `<database>.key`, which is made
    /// if there is none, and one in memory has none.
    #[must_use]
    pub fn host_key(mut self, key: HostKey) -> Self {
        self.engine.host_key = Some(key);
        self
    }

    /// Opens the host, and begins to drive if it may.
    ///
    /// # Errors
    /// [`HostError`] if the database, its lock or the sandbox can not be used.
    pub async fn open(self) -> Result<Host, HostError> {
        self.open_with(|_| Ok(())).await
    }

    /// Opens the host as [`Self::open`] does, once `register` has made the program's own steps, gateways and predicates
    /// known: whatever was under way goes on before this returns.
    ///
    /// # Errors
    /// [`HostError`] if the database, its lock or the sandbox can not be used, or `register` refuses.
    pub async fn open_with(
        mut self,
        register: impl FnOnce(&WorkflowRegistry) -> Result<(), EngineError>,
    ) -> Result<Host, HostError> {
        let lock = match &self.database {
            Some(database) if self.access == Access::Drive => Some(DriverLock::take(database)?),
            Some(_) | None => None,
        };
        let (store, sqlite) = self.open_store()?;
        if let (None, Some(database), true) = (&self.engine.host_key, &self.database, self.access != Access::Read) {
            self.engine.host_key = Some(host_key_made_in(&key_file_of(database))?);
        }
        let sandbox = Arc::new(Sandbox::new(&self.sandbox_config()?)?);
        let runner: Arc<dyn StepRunner> = Arc::new(SandboxRunner(Arc::clone(&sandbox)));
        let has_key = self.engine.host_key.is_some();
        let engine = WorkflowEngine::new(store, runner, self.engine);
        register(engine.registry())?;
        let driving = match self.access {
            Access::Drive => Some(engine.drive().await?),
            Access::Visit | Access::Read => None,
        };
        let webhooks = Webhooks::new(engine.clone());
        // Without a key there are no secrets to sign with, and so no subscriptions.
        let dispatching = match &driving {
            Some(_) if has_key => Some(webhooks.dispatch(Arc::new(outbound()))?),
            Some(_) | None => None,
        };
        Ok(Host { engine, webhooks, sandbox, driving, dispatching, sqlite, _lock: lock })
    }

    fn sandbox_config(&self) -> Result<SandboxConfig, HostError> {
        let host_key = match (&self.engine.host_key, &self.cache) {
            (Some(key), _) => Some(key.clone()),
            // A host that keeps nothing else keeps what it has compiled.
            (None, Some(folder)) => Some(host_key_made_in(&cache_key_file_of(folder)?)?),
            (None, None) => None,
        };
        Ok(SandboxConfig {
            cells: self.engine.concurrency,
            cache_dir: self.cache.clone(),
            host_key,
            compiler: self.compiler.clone(),
            compile_limits: self.compile_limits,
            isolation: self.isolation.clone(),
            ..SandboxConfig::default()
        })
    }

    fn open_store(&self) -> Result<OpenStore, StoreError> {
        let Some(database) = &self.database else { return Ok((Arc::new(MemoryStore::new()), None)) };
        let role = if self.access == Access::Drive { Role::Driver } else { Role::Visitor };
        let options = SqliteOptions { role, losses: self.losses, ..SqliteOptions::default() };
        let sqlite = Arc::new(match self.access {
            Access::Drive | Access::Visit => SqliteStore::open(database, options)?,
            Access::Read => SqliteStore::open_read_only(database, options)?,
        });
        Ok((Arc::clone(&sqlite) as Arc<dyn WorkflowStore>, Some(sqlite)))
    }
}

/// What webhooks are sent by.
fn outbound() -> HttpOutbound {
    HttpOutbound::new("").expect("there are no roots of its own that could be malformed")
}

/// The file beside a database that holds the key of its secrets.
#[must_use]
pub fn key_file_of(database: &Path) -> PathBuf {
    let mut file = database.as_os_str().to_owned();
    file.push(".key");
    file.into()
}

/// The file in a cache folder that holds the key of hosts without a database. Makes the folder, for its owner alone.
fn cache_key_file_of(folder: &Path) -> Result<PathBuf, SandboxError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| SandboxError::CacheDir { dir: folder.to_owned(), source })?;
    Ok(folder.join("host.key"))
}
