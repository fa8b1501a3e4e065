//! The host's side of compiling in a child process: a component goes in, an artifact or a refusal comes out, and
//! whatever goes wrong there has gone wrong there.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use stepcell_admission::{Refusal, excerpt};

use crate::child::frame::{self, ANSWER_BYTES_MAX, ARTIFACT_BYTES_MAX, Kind};
use crate::child::nursery::{ChildProcess, Ended, Nursery};
use crate::child::{ChildCommand, CompileOrder, Role, report_lacking};
use crate::config::{COMPILE_MEMORY_BYTES_LEAST, CompileLimits, Walls};

/// How much more it may have for each byte of the component. Cranelift takes 20 to 30.
const MEMORY_FOR_EACH_BYTE: u64 = 64;

/// The most threads that compile one component. Protects other components' turns.
const THREADS_MAX: usize = 4;

/// Compiles components in child processes.
#[derive(Debug)]
pub(crate) struct Outside {
    pub(crate) command: ChildCommand,
    pub(crate) limits: CompileLimits,
    pub(crate) walls: Walls,
}

impl Outside {
    /// Compiles one component. Waits until that is done, for as long as the limit on the wall says.
    ///
    /// # Errors
    /// [`Refusal::Compile`], [`Refusal::CompileLimit`], [`Refusal::CompileCrash`]; [`Refusal::Host`] if no child can be
    /// started.
    pub(crate) fn compile(&self, nursery: &Nursery, component: &[u8]) -> Result<Vec<u8>, Refusal> {
        let order = self.order_for(component.len());
        let until = Instant::now() + self.limits.wall_max;
        let child = nursery.start(&self.command).map_err(|error| no_child(&error))?;
        match talk(&child.socket, &order, component, until) {
            Ok(Said::Artifact(artifact)) => Ok(artifact),
            Ok(Said::Refused(reason)) if is_out_of_memory(&reason) => Err(out_of_memory(&order)),
            Ok(Said::Refused(reason)) => Err(Refusal::Compile { reason }),
            Ok(Said::Panicked) => Err(crash("it panicked", &last_words(child))),
            Err(error) => Err(self.explain(child, &order, &error)),
        }
    }

    fn order_for(&self, component_bytes: usize) -> CompileOrder {
        let for_component = MEMORY_FOR_EACH_BYTE.saturating_mul(component_bytes as u64);
        CompileOrder {
            memory_bytes_max: COMPILE_MEMORY_BYTES_LEAST
                .saturating_add(for_component)
                .min(self.limits.memory_bytes_max),
            cpu_s_max: self.limits.cpu_s_max,
            threads: available_parallelism().map_or(1, usize::from).min(THREADS_MAX),
            walls: self.walls,
        }
    }

    /// Tells from how a child ended what stood in its way.
    fn explain(&self, child: ChildProcess, order: &CompileOrder, error: &io::Error) -> Refusal {
        if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) {
            return Refusal::CompileLimit { what: "time", max: format!("{} s", self.limits.wall_max.as_secs_f32()) };
        }
        let is_alive_and_mad = error.kind() == io::ErrorKind::InvalidData;
        let ended = match child.end() {
            Ok(ended) => ended,
            Err(error) => return no_child(&error),
        };
        if is_alive_and_mad {
            return crash(&error.to_string(), &ended.last_words);
        }
        let signal = ended.status.signal();
        if signal == Some(Signal::XCPU.as_raw()) {
            return Refusal::CompileLimit { what: "time on a processor", max: format!("{} s", order.cpu_s_max) };
        }
        if is_out_of_memory(&ended.last_words) {
            return out_of_memory(order);
        }
        crash(&ended.status.to_string(), &ended.last_words)
    }
}

/// What a child came to.
enum Said {
    Artifact(Vec<u8>),
    Refused(String),
    Panicked,
}

fn talk(socket: &UnixStream, order: &CompileOrder, component: &[u8], until: Instant) -> io::Result<Said> {
    let mut stream = Timed { socket, until };
    frame::write(&mut stream, Kind::Hello, &serde_json::to_vec(&Role::Compile(order.clone()))?)?;
    let confined = frame::read_expected(&mut stream, Kind::Confined, ANSWER_BYTES_MAX)?;
    report_lacking(&serde_json::from_slice(&confined)?);
    frame::write(&mut stream, Kind::Component, component)?;
    match frame::read(&mut stream, ARTIFACT_BYTES_MAX)? {
        (Kind::Artifact, artifact) => Ok(Said::Artifact(artifact)),
        (Kind::Refused, reason) => Ok(Said::Refused(excerpt(&String::from_utf8_lossy(&reason)))),
        (Kind::Panicked, _) => Ok(Said::Panicked),
        (kind, _) => Err(frame::malformed(format!("a child that compiles answers with {kind:?}"))),
    }
}

fn is_out_of_memory(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["memory allocation of", "out of memory", "cannot allocate memory"].iter().any(|sign| text.contains(sign))
}

fn out_of_memory(order: &CompileOrder) -> Refusal {
    Refusal::CompileLimit { what: "memory", max: format!("{} MiB", order.memory_bytes_max >> 20) }
}

fn last_words(child: ChildProcess) -> String {
    child.end().map(|Ended { last_words, .. }| last_words).unwrap_or_default()
}

fn crash(how: &str, last_words: &str) -> Refusal {
    tracing::warn!("a component brought the compiler down ({how}): {}", excerpt(last_words.trim()));
    Refusal::CompileCrash { how: how.to_owned() }
}

fn no_child(error: &io::Error) -> Refusal {
    Refusal::Host { reason: format!("the process that compiles could not be started: {error}") }
}

/// A socket that must be done with everything at one point in time.
struct Timed<'a> {
    socket: &'a UnixStream,
    until: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        match self.until.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => Ok(Some(left)),
            Some(_) | None => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        (&mut &*self.socket).read(buffer)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        (&mut &*self.socket).write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
