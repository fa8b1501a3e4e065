//! How verbs come to a database: to drive it, to visit it beside a driver, or only to read.
//!
//! Verbs that run no component build no sandbox. Only verbs that may begin a database make its file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use clap::{Args, ValueEnum};
use stepcell::engine::{ComponentFacts, ComponentRefused, EngineOptions, StepRunner};
use stepcell::lock::LockError;
use stepcell::model::attempt::{AttemptReport, HookReport, StepCall};
use stepcell::model::failure::Failure;
use stepcell::model::host_key::HostKey;
use stepcell::model::id::ComponentDigest;
use stepcell::model::name::{StepName, TenantId};
use stepcell::store::{Role, SqliteOptions, SqliteStore, WorkflowStore};
use stepcell::{Access, ChildCommand, Host, HostBuilder, HostError, Isolation, WorkflowEngine};

use super::config::ConfigFile;
use super::exit::Refused;
use super::remote::{Server, ServerFlags};

/// The database that verbs work on unless told otherwise.
pub(super) const DATABASE: &str = "stepcell.db";

/// Flags of every verb.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every verb")]
pub(crate) struct Settings {
    /// The database [default: stepcell.db; `run` keeps everything in memory without it] [env: STEPCELL_DB, but not
    /// for `run`].
    #[arg(long, global = true, value_name = "FILE")]
    db: Option<PathBuf>,
    /// What is printed on stdout: something for people, or JSON for programs.
    #[arg(long, global = true, env = "STEPCELL_OUTPUT", hide_env_values = true, default_value = "table")]
    pub(crate) output: Output,
    /// Where compiled components are kept [default: `stepcell` in the user's cache directory].
    #[arg(long, global = true, env = "STEPCELL_CACHE", hide_env_values = true, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// The host's key, with which secrets are encrypted, as 64 hexadecimal digits in a file that only its owner may read
    /// [default: STEPCELL_HOST_KEY if it is set, else the database's name with `.key`, made if there is none].
    #[arg(long, global = true, env = "STEPCELL_HOST_KEY_FILE", hide_env_values = true, value_name = "FILE")]
    host_key_file: Option<PathBuf>,
    /// Where steps run: in cells of this process, or in cells of child processes that have no files, network, keys or
    /// database, so that even a way out of a cell leads nowhere.
    #[arg(long, global = true, env = "STEPCELL_ISOLATION", hide_env_values = true, default_value = "thread")]
    isolation: CellPlace,
    #[command(flatten)]
    server: ServerFlags,
    /// What is logged on stderr: error, warn, info, debug, trace, or `target=level` with commas between.
    #[arg(
        long,
        global = true,
        env = "STEPCELL_LOG",
        hide_env_values = true,
        default_value = "warn",
        value_name = "LEVEL"
    )]
    log: String,
    /// How the log is written: for people, or as one JSON object a line.
    #[arg(long, global = true, env = "STEPCELL_LOG_FORMAT", hide_env_values = true, default_value = "text")]
    log_format: LogFormat,
    /// The file with settings, in TOML [default: stepcell.toml if it is there].
    #[arg(
        id = "config",
        long = "config",
        global = true,
        env = "STEPCELL_CONFIG",
        hide_env_values = true,
        value_name = "FILE"
    )]
    _config: Option<PathBuf>,
    /// The database that the file with settings names.
    #[arg(skip)]
    database_of_file: Option<PathBuf>,
}

/// Where cells are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CellPlace {
    /// In this process.
    Thread,
    /// In child processes.
    Process,
}

impl From<CellPlace> for Isolation {
    fn from(place: CellPlace) -> Self {
        match place {
            CellPlace::Thread => Self::Thread,
            CellPlace::Process => Self::Process(ChildCommand::this_program()),
        }
    }
}

/// What is printed on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Settings {
    /// Begins to log on stderr.
    pub(crate) fn start_log(&self) -> anyhow::Result<()> {
        let filter = tracing_subscriber::EnvFilter::try_new(&self.log)
            .map_err(|error| Refused::input(format!("`--log {}`: {error}", self.log)))?;
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        match self.log_format {
            LogFormat::Text => log.with_ansi(super::print::has_colours(&std::io::stderr())).init(),
            LogFormat::Json => {
                super::print::log_notes();
                log.json().flatten_event(true).with_span_list(false).init();
            }
        }
        Ok(())
    }

    /// The database that was named on the command line.
    pub(crate) fn named_database(&self) -> Option<&Path> {
        self.db.as_deref()
    }

    /// The database to work on.
    pub(crate) fn database(&self) -> PathBuf {
        let of_environment = || std::env::var_os("STEPCELL_DB").filter(|name| !name.is_empty()).map(PathBuf::from);
        let named = self.db.clone().or_else(of_environment);
        named.or_else(|| self.database_of_file.clone()).unwrap_or_else(|| DATABASE.into())
    }

    /// Works on the database or asks the server that the file with settings names, unless another one is named.
    pub(crate) fn take_place(&mut self, file: Option<&ConfigFile>) {
        self.database_of_file = file.and_then(ConfigFile::database);
        self.server.take(file);
    }

    /// The server to ask, if verbs shall ask one instead of a database.
    pub(crate) fn server(&self) -> anyhow::Result<Option<Server>> {
        self.server.server(self.named_database(), self.database_of_file.as_deref())
    }

    /// Whether verbs ask a server instead of a database.
    pub(crate) fn asks_server(&self) -> bool {
        self.server.is_wanted(self.named_database())
    }

    /// Refuses a server for a verb that only a database can do.
    pub(crate) fn refuse_server(&self, verb: &str) -> anyhow::Result<()> {
        if self.server.named().is_none() {
            return Ok(());
        }
        let why = format!("`stepcell {verb}` can not be done through a server; leave `--server` out");
        let hint = "it works on files of this machine: run it where the database is, which `--db FILE` names";
        Err(Refused::input(why).hint(hint).into())
    }

    /// How a command that is suggested to somebody names the database or the server: not at all where it is the usual one.
    pub(crate) fn database_flag(&self) -> String {
        if let Some(url) = self.server.named() {
            return format!(" --server {}", super::print::shell_word(url));
        }
        match &self.db {
            Some(database) => format!(" --db {}", super::print::shell_word(&database.display().to_string())),
            None => String::new(),
        }
    }

    /// A builder of hosts with what every host of this command line has: the cache of compiled components, the place of
    /// its cells, and the host's key if it was named.
    pub(crate) fn with_settings(&self, builder: HostBuilder) -> anyhow::Result<HostBuilder> {
        let builder = builder.isolation(self.isolation.into());
        let builder = match self.cache_dir() {
            Some(dir) => builder.cache(dir),
            None => builder,
        };
        Ok(match self.named_host_key()? {
            Some(key) => builder.host_key(key),
            None => builder,
        })
    }

    /// The host's key, if somebody said where it is.
    fn named_host_key(&self) -> anyhow::Result<Option<HostKey>> {
        let unusable = |error: stepcell::HostKeyError| Refused::unusable(error.to_string());
        if let Some(file) = &self.host_key_file {
            return Ok(Some(stepcell::host_key_of_file(file).map_err(unusable)?));
        }
        match std::env::var("STEPCELL_HOST_KEY") {
            Ok(text) if !text.is_empty() => {
                Ok(Some(stepcell::host_key_of_text("STEPCELL_HOST_KEY", &text).map_err(unusable)?))
            }
            _ => Ok(None),
        }
    }

    /// Where compiled components are kept: nowhere, if nothing was named and the user's own directory can not be made.
    pub(crate) fn cache_dir(&self) -> Option<PathBuf> {
        if let Some(named) = &self.cache {
            return Some(named.clone());
        }
        let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let of_user = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
        match std::fs::create_dir_all(&of_user) {
            Ok(()) => Some(of_user.join("stepcell")),
            Err(error) => {
                tracing::info!(%error, "`{}` can not be made; components are compiled anew", of_user.display());
                None
            }
        }
    }

    /// The database, which must be there.
    pub(crate) fn existing_database(&self) -> anyhow::Result<PathBuf> {
        let database = self.database();
        if database.exists() {
            return Ok(database);
        }
        let hint = format!(
            "name another one with `--db FILE`; `stepcell definition apply FILE.yaml{}` makes one",
            self.database_flag()
        );
        Err(Refused::unusable(format!("there is no database `{}`", database.display())).hint(hint).into())
    }

    /// Opens the database to drive it, and makes it if there is none.
    pub(crate) async fn drive(&self, database: &Path) -> anyhow::Result<Host> {
        Ok(self.with_settings(Host::on_sqlite(database))?.access(Access::Drive).open().await?)
    }

    /// Opens the database to register components beside whoever drives it, and makes it if there is none.
    pub(crate) async fn visit_with_sandbox(&self) -> anyhow::Result<Host> {
        let database = self.database();
        let host = self.with_settings(Host::on_sqlite(&database))?.access(Access::Visit).concurrency(1);
        host.open().await.with_context(|| cannot_open(&database))
    }

    /// Opens the database to change it beside whoever drives it.
    pub(crate) fn visit(&self) -> anyhow::Result<Visit> {
        Ok(Visit::on(open_to_visit(&self.existing_database()?)?))
    }

    /// Opens the database to change it beside whoever drives it, and makes it if there is none.
    pub(crate) fn visit_or_make(&self) -> anyhow::Result<Visit> {
        Ok(Visit::on(open_to_visit(&self.database())?))
    }

    /// As [`Self::visit_or_make`], with the host's key, which is made if there is none.
    pub(crate) fn visit_with_key(&self) -> anyhow::Result<Visit> {
        let database = self.database();
        let store = open_to_visit(&database)?;
        let key = match self.named_host_key()? {
            Some(key) => key,
            None => stepcell::host_key_made_in(&stepcell::host::key_file_of(&database))
                .map_err(|error| Refused::unusable(error.to_string()))?,
        };
        Ok(Visit::with(store, EngineOptions { host_key: Some(key), ..EngineOptions::default() }))
    }

    /// Opens the database to read it beside whoever drives it.
    pub(crate) fn read(&self) -> anyhow::Result<Visit> {
        let database = self.existing_database()?;
        let store = SqliteStore::open_read_only(&database, SqliteOptions::default());
        Ok(Visit::on(store.with_context(|| cannot_open(&database))?))
    }

    /// Opens the database to drive it, or to visit it where another process drives it.
    pub(crate) async fn drive_or_visit(&self) -> anyhow::Result<Hands> {
        let database = self.existing_database()?;
        match self.drive(&database).await {
            Ok(host) => Ok(Hands::Driving(host)),
            Err(error) => match error.downcast_ref() {
                Some(HostError::Lock(LockError::Held { holder, .. })) => {
                    Ok(Hands::Visiting(self.visit()?, holder.clone()))
                }
                _ => Err(error.context(cannot_open(&database))),
            },
        }
    }
}

fn open_to_visit(database: &Path) -> anyhow::Result<SqliteStore> {
    let options = SqliteOptions { role: Role::Visitor, ..SqliteOptions::default() };
    SqliteStore::open(database, options).with_context(|| cannot_open(database))
}

/// What was tried when a database could not be opened.
pub(crate) fn cannot_open(database: &Path) -> String {
    format!("can not open `{}`", database.display())
}

/// What a process is to a database that it wants to move an instance of.
pub(crate) enum Hands {
    /// It drives.
    Driving(Host),
    /// Another process drives, which says this of itself.
    Visiting(Visit, String),
}

impl Hands {
    /// What changes instances.
    pub(crate) const fn engine(&self) -> &WorkflowEngine {
        match self {
            Self::Driving(host) => host.engine(),
            Self::Visiting(visit, _) => &visit.engine,
        }
    }

    /// Stores what is left to store, and ends.
    pub(crate) async fn close(self) {
        match self {
            Self::Driving(host) => host.close().await,
            Self::Visiting(visit, _) => visit.close().await,
        }
    }
}

/// An engine over a database that runs no component.
pub(crate) struct Visit {
    pub(crate) engine: WorkflowEngine,
    sqlite: Arc<SqliteStore>,
}

impl Visit {
    fn on(store: SqliteStore) -> Self {
        Self::with(store, EngineOptions::default())
    }

    fn with(store: SqliteStore, options: EngineOptions) -> Self {
        let sqlite = Arc::new(store);
        let store = Arc::clone(&sqlite) as Arc<dyn WorkflowStore>;
        let engine = WorkflowEngine::new(store, Arc::new(NoComponents), options);
        Self { engine, sqlite }
    }

    /// What is kept.
    pub(crate) fn store(&self) -> &dyn WorkflowStore {
        self.engine.store().as_ref()
    }

    /// Stores what is left to store, and ends.
    pub(crate) async fn close(&self) {
        self.sqlite.close().await;
    }
}

/// Stands where a sandbox would, in verbs that neither register nor run components.
struct NoComponents;

const NO_COMPONENTS: &str = "this verb runs no components";

#[async_trait]
impl StepRunner for NoComponents {
    async fn inspect(&self, _: Arc<[u8]>) -> Result<ComponentFacts, ComponentRefused> {
        Err(ComponentRefused { reason: NO_COMPONENTS.to_owned() })
    }

    async fn prepare(&self, _: Option<&TenantId>, _: ComponentDigest, _: Arc<[u8]>) -> Result<(), ComponentRefused> {
        Err(ComponentRefused { reason: NO_COMPONENTS.to_owned() })
    }

    fn is_prepared(&self, _: &ComponentDigest) -> bool {
        false
    }

    async fn run(&self, _: StepCall) -> AttemptReport {
        unreachable!("{NO_COMPONENTS}")
    }

    async fn run_gateway(&self, _: StepCall, _: Vec<StepName>) -> AttemptReport {
        unreachable!("{NO_COMPONENTS}")
    }

    async fn run_failure_hook(&self, _: StepCall, _: Failure) -> HookReport {
        unreachable!("{NO_COMPONENTS}")
    }
}
