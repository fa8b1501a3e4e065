//! The host's side of one worker. Dropping it kills the worker.

use std::collections::HashSet;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use stepcell_admission::Refusal;
use stepcell_model::attempt::{HostFault, StepCall};
use stepcell_model::id::ComponentDigest;
use stepcell_outbound::{Outbound, OutboundLimits, OutboundRules};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::answer::believe;
use super::receipt::Measured;
use super::wire::{Answer, EntryOrder, HttpAnswered, HttpAsked, Loaded, WorkOrder};
use super::{ATTEMPTS_MAX, COMPONENTS_MAX, FROM_WORKER_BYTES_MAX, HTTP_ASKED_SLACK};
use crate::child::frame::{self, ANSWER_BYTES_MAX, Kind};
use crate::child::nursery::{ChildProcess, Ended, Nursery};
use crate::child::stream::{self, FrameReader};
use crate::child::{ChildCommand, Role, report_lacking};
use crate::compile::NotReady;
use crate::entry::{Entry, Report};
use crate::turns::Whose;

/// How long a worker may take to be ready to work. Protects those who wait for it.
const START_MAX: Duration = Duration::from_secs(30);

/// How long a worker may take to load code. Protects those who wait for it.
const LOAD_MAX: Duration = Duration::from_secs(30);

/// How much longer than an attempt may take a worker is waited for: it ends the attempt itself, unless it can not.
const GRACE: Duration = Duration::from_secs(2);

/// How long one that talks no more may take to be gone. One that is not by then is alive, and is ended.
const END_MAX: Duration = Duration::from_secs(1);

/// Signals that the kernel sends where memory runs out, or an operator, and that no worker can send itself.
const FROM_OUTSIDE: [Signal; 4] = [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP];

/// A worker.
#[derive(Debug)]
pub(crate) struct Worker {
    process: ChildProcess,
    frames: FrameReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    attempts: u32,
    loaded: HashSet<ComponentDigest>,
    /// Whose attempts it runs, once it has run one.
    pub(crate) whose: Option<Whose>,
}

/// Why a worker gave no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// It talks no more.
    Gone(io::Error),
    /// It said what no worker says.
    Lied(io::Error),
    /// It did not answer in time.
    TooLate,
}

impl From<io::Error> for NoAnswer {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                Self::Gone(error)
            }
            _ => Self::Lied(error),
        }
    }
}

impl Worker {
    /// Starts a worker and waits until it is confined.
    ///
    /// # Errors
    /// What stood in the way.
    pub(crate) async fn start(nursery: Arc<Nursery>, command: ChildCommand, order: WorkOrder) -> io::Result<Self> {
        let started = tokio::task::spawn_blocking(move || nursery.start(&command)).await;
        let process = started.map_err(io::Error::other)??;
        let socket = process.socket.try_clone()?;
        socket.set_nonblocking(true)?;
        let (reader, writer) = tokio::net::UnixStream::from_std(socket)?.into_split();
        let mut worker = Self {
            process,
            frames: FrameReader::new(reader),
            writer,
            attempts: 0,
            loaded: HashSet::new(),
            whose: None,
        };
        let hello = serde_json::to_vec(&Role::Work(order))?;
        let confined = timeout(START_MAX, worker.ask(Kind::Hello, &hello, Kind::Confined, ANSWER_BYTES_MAX)).await??;
        report_lacking(&serde_json::from_slice(&confined)?);
        Ok(worker)
    }

    /// Whether it may work on.
    pub(crate) fn is_fit(&self) -> bool {
        self.attempts < ATTEMPTS_MAX && self.loaded.len() < COMPONENTS_MAX
    }

    /// Whether its process has not ended while it waited.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.process.is_alive()
    }

    pub(crate) fn has_loaded(&self, digest: &ComponentDigest) -> bool {
        self.loaded.contains(digest)
    }

    /// Has the worker load code, if it has not yet.
    ///
    /// # Errors
    /// [`NotReady`]. If the worker did not answer, it is not to be used again.
    pub(crate) async fn load(&mut self, digest: ComponentDigest, artifact: &[u8]) -> Result<(), NotReady> {
        if self.has_loaded(&digest) {
            return Ok(());
        }
        let content = [digest.as_bytes(), artifact].concat();
        let asked = timeout(LOAD_MAX, self.ask(Kind::Load, &content, Kind::Loaded, ANSWER_BYTES_MAX)).await;
        let answer = asked.map_err(io::Error::from).flatten().map_err(|error| NotReady::Died(error.to_string()))?;
        match serde_json::from_slice(&answer) {
            Ok(Loaded::Ready) => {
                self.loaded.insert(digest);
                Ok(())
            }
            Ok(Loaded::Damaged(reason)) => Err(NotReady::Damaged(reason)),
            Ok(Loaded::Refused(reason)) => {
                Err(NotReady::Refused(Refusal::Link { reason: stepcell_admission::excerpt(&reason) }))
            }
            Err(error) => Err(NotReady::Died(error.to_string())),
        }
    }

    async fn ask(&mut self, kind: Kind, content: &[u8], expected: Kind, bytes_max: usize) -> io::Result<Vec<u8>> {
        stream::write(&mut self.writer, kind, content).await?;
        match self.frames.next(bytes_max).await? {
            (kind, content) if kind == expected => Ok(content),
            (kind, _) => Err(frame::malformed(format!("a worker answers with {kind:?}, and should with {expected:?}"))),
        }
    }

    /// Enters a cell in the worker. Requests of the cell are sent by `outbound`, if the call's grants allow them.
    ///
    /// # Errors
    /// [`NoAnswer`]; then the worker is not to be used again.
    pub(crate) async fn enter(
        &mut self,
        call: &StepCall,
        entry: &Entry,
        outbound: &Arc<dyn Outbound>,
    ) -> Result<Report, NoAnswer> {
        self.attempts += 1;
        let rules = OutboundRules::new(
            call.grants.clone(),
            call.info.execution.to_string(),
            OutboundLimits::from(&call.limits),
        );
        let rules = Arc::new(rules.within(call.info.trace));
        let began = tokio::time::Instant::now();
        let time_max = call.limits.time_limit().length + GRACE;
        let mut http_asked = 0;
        let talk = self.talk(call, entry, outbound, &rules, &mut http_asked);
        let answer = timeout(time_max, talk).await.map_err(|_| NoAnswer::TooLate)??;
        let measured = Measured { wall: began.elapsed(), http_asked };
        Ok(believe(answer, call, entry, &measured).map_err(io::Error::other)?)
    }

    async fn talk(
        &mut self,
        call: &StepCall,
        entry: &Entry,
        outbound: &Arc<dyn Outbound>,
        rules: &Arc<OutboundRules>,
        http_asked: &mut u32,
    ) -> io::Result<Answer> {
        stream::write(&mut self.writer, Kind::Enter, &serde_json::to_vec(&EntryOrder::new(call, entry))?).await?;
        // Dropped with the attempt, and so is what is under way.
        let mut sending = JoinSet::new();
        loop {
            tokio::select! {
                said = self.frames.next(FROM_WORKER_BYTES_MAX) => match said? {
                    (Kind::Left, answer) => return serde_json::from_slice(&answer).map_err(Into::into),
                    (Kind::HttpAsked, asked) => {
                        *http_asked = http_asked.saturating_add(1);
                        if *http_asked > call.limits.http_requests_max.saturating_add(HTTP_ASKED_SLACK) {
                            return Err(frame::malformed("a worker asks for more requests than its attempt may send".to_owned()));
                        }
                        let HttpAsked { number, request } = serde_json::from_slice(&asked)?;
                        if sending.len() >= call.limits.handles_max as usize {
                            return Err(frame::malformed("a worker asks for more requests than a cell can hold".to_owned()));
                        }
                        let (outbound, rules) = (Arc::clone(outbound), Arc::clone(rules));
                        sending.spawn(async move { HttpAnswered { number, answer: outbound.send(request, &rules).await } });
                    }
                    (kind, _) => return Err(frame::malformed(format!("a worker that works says {kind:?}"))),
                },
                Some(Ok(answered)) = sending.join_next() => {
                    stream::write(&mut self.writer, Kind::HttpAnswered, &serde_json::to_vec(&answered)?).await?;
                }
            }
        }
    }

    /// Ends the worker and says in the operator's log how it ended. The tenant learns only that it did.
    pub(crate) fn mourn(self, reason: &str) {
        drop(self.end_after(Duration::ZERO, reason));
    }

    /// The same of one that talks no more; returns what that says against the component that it ran.
    pub(crate) async fn find_fault(self, reason: &str) -> Option<HostFault> {
        self.end_after(END_MAX, reason).await.unwrap_or(Some(HostFault::WorkerDied))
    }

    fn end_after(self, patience: Duration, reason: &str) -> JoinHandle<Option<HostFault>> {
        let reason = reason.to_owned();
        tokio::task::spawn_blocking(move || match self.process.end_after(patience) {
            Ok(ended) => {
                tracing::warn!(
                    status = %ended.status,
                    "a worker process died during an attempt ({reason}): {}",
                    stepcell_admission::excerpt(ended.last_words.trim())
                );
                fault_of(&ended)
            }
            Err(error) => {
                tracing::warn!("a worker process can not be buried: {error}");
                Some(HostFault::WorkerDied)
            }
        })
    }
}

/// What an end says against the component that ran: nothing, where somebody else ended the process.
fn fault_of(ended: &Ended) -> Option<HostFault> {
    let signal = ended.status.signal().filter(|_| ended.is_by_itself);
    let is_from_outside = signal.is_some_and(|signal| FROM_OUTSIDE.iter().any(|outside| outside.as_raw() == signal));
    (!is_from_outside).then_some(HostFault::WorkerDied)
}
