//! Child processes: this program, started again to do what is too dangerous to be done in the host's own process.
//!
//! A child talks with its host over a socket that it finds as its standard input, so nothing that is printed disturbs
//! the talk. Before it sees a byte of a tenant it gives up everything that it does not need: environment, descriptors,
//! files, network, further processes. It ends when its host does.
//!
//! Reading order: `frame` (how they talk), `confine` (what a child gives up), `nursery` (who starts and buries
//! children), `compiling` (what a child that compiles does). What a child that runs attempts does is in `worker`.

pub(crate) mod compiling;
pub(crate) mod confine;
pub(crate) mod frame;
pub(crate) mod nursery;
pub(crate) mod stream;

use std::ffi::OsString;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use self::frame::{HELLO_BYTES_MAX, Kind};
use crate::config::Walls;
use crate::worker::wire::WorkOrder;
use crate::worker::within;

/// The first argument of a program that is started as a child of itself.
const CHILD_ARGUMENT: &str = "stepcell:child";

/// Whether this program has been asked to be a child, and so can be started as one.
static CAN_BE_CHILD: AtomicBool = AtomicBool::new(false);

/// How to start a process that calls [`child_main`] or [`be_child`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildCommand {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
}

impl ChildCommand {
    /// This program itself. It must call [`child_main`] before it does anything else.
    #[must_use]
    pub fn this_program() -> Self {
        Self::new("/proc/self/exe").arg(CHILD_ARGUMENT)
    }

    /// Another program, which must end in [`be_child`].
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), args: Vec::new(), env: Vec::new() }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds an environment variable; there are no others.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// This program, if it has called [`child_main`].
    pub(crate) fn find_this_program() -> Option<Self> {
        CAN_BE_CHILD.load(Ordering::Relaxed).then(Self::this_program)
    }
}

/// Does a child's work and ends the process, if it was started as one; else returns at once.
///
/// A program that embeds the sandbox calls this first in its `main`. From then on components are compiled in child
/// processes without further settings.
pub fn child_main() {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == CHILD_ARGUMENT) {
        be_child();
    }
    CAN_BE_CHILD.store(true, Ordering::Relaxed);
}

/// Does a child's work and ends the process. Standard input must be the socket that its host gave it.
pub fn be_child() -> ! {
    confine::ignore_requests_to_end();
    confine::close_inherited_descriptors();
    let Err(error) = socket().and_then(work) else { std::process::exit(0) };
    // For the operator's log, if the host asks for it.
    eprintln!("{error}");
    std::process::exit(1)
}

fn socket() -> std::io::Result<UnixStream> {
    std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from)
}

fn work(mut socket: UnixStream) -> std::io::Result<()> {
    confine::die_with_host()?;
    let without_files = confine::give_up_files();
    let hello = frame::read_expected(&mut socket, Kind::Hello, HELLO_BYTES_MAX)?;
    match serde_json::from_slice(&hello)? {
        Role::Compile(order) => compiling::work(&mut socket, &order, without_files),
        Role::Work(order) => within::work(socket, &order, without_files),
    }
}

/// What a child is for; the first that its host says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Role {
    /// It compiles one component.
    Compile(CompileOrder),
    /// It runs attempts.
    Work(WorkOrder),
}

/// What a child that compiles is held to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CompileOrder {
    /// Address space, in bytes.
    pub(crate) memory_bytes_max: u64,
    /// Time on a CPU, in seconds.
    pub(crate) cpu_s_max: u64,
    /// How many threads compile.
    pub(crate) threads: usize,
    /// The walls that the code is compiled for.
    pub(crate) walls: Walls,
}

/// What a child says once it is confined.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Confined {
    /// What this machine's kernel could not do.
    pub(crate) lacking: Vec<String>,
}

/// Says once what this machine's kernel can not do for the walls around children.
pub(crate) fn report_lacking(confined: &Confined) {
    static SAID: std::sync::Once = std::sync::Once::new();
    if !confined.lacking.is_empty() {
        SAID.call_once(|| {
            tracing::warn!("child processes are confined without {}: the kernel lacks it", confined.lacking.join(", "));
        });
    }
}
