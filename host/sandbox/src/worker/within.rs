//! The worker's side: load code, enter cells, one order after the other, until the host is gone.

use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use stepcell_model::failure::{EngineCode, Failure};
use stepcell_model::id::ComponentDigest;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use wasmtime::Engine;
use wasmtime::component::Linker;

use super::broker::{Broker, Outgoing};
use super::wire::{Answer, EntryOrder, HttpAnswered, Loaded, WorkOrder};
use super::{CPU_S_MAX, DATA_BYTES_MAX, TO_WORKER_BYTES_MAX};
use crate::cell::{Cell, CellHost};
use crate::child::confine::{Bounds, WithoutFiles, confine};
use crate::child::frame::{self, ARTIFACT_BYTES_MAX, Kind};
use crate::child::stream::{self, FrameReader};
use crate::compile::{Linked, deserialize, link, new_linker};
use crate::config::{EngineUse, engine_config};
use crate::entry::{Entry, enter};
use crate::epoch::Ticker;

/// The bytes of a digest before the code of its component.
pub(crate) const DIGEST_BYTES: usize = 32;

/// Sets everything up, gives up everything else, and works until the host is gone.
pub(crate) fn work(socket: UnixStream, order: &WorkOrder, without_files: WithoutFiles) -> io::Result<()> {
    let engine = Engine::new(&engine_config(EngineUse::Worker, &order.walls)).map_err(io::Error::other)?;
    let linker = new_linker(&engine).map_err(io::Error::other)?;
    let ticker = Ticker::start(engine.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        socket.set_nonblocking(true)?;
        let (reader, writer) = tokio::net::UnixStream::from_std(socket)?.into_split();
        let bounds = Bounds {
            address_bytes_max: None,
            data_bytes_max: Some(DATA_BYTES_MAX),
            cpu_s_max: Some(CPU_S_MAX),
            // What a component begins with lies in files that are nothing but memory.
            file_bytes_max: ARTIFACT_BYTES_MAX as u64,
        };
        let confined = confine(bounds, without_files)?;
        let (outgoing, to_send) = mpsc::unbounded_channel();
        tokio::spawn(send(writer, to_send));
        let broker = Arc::new(Broker::new(outgoing.clone()));
        let host = CellHost { engine, outbound: Arc::clone(&broker) as _, walls: order.walls };
        let worker = Worker { host, linker, ticker, broker, outgoing, loaded: HashMap::new() };
        worker.answer(Kind::Confined, &confined)?;
        worker.serve(FrameReader::new(reader)).await
    })
}

/// Sends what is to be sent, so that nobody else waits for the host to read.
async fn send(mut writer: OwnedWriteHalf, mut to_send: mpsc::UnboundedReceiver<Outgoing>) {
    while let Some((kind, content)) = to_send.recv().await {
        if stream::write(&mut writer, kind, &content).await.is_err() {
            break;
        }
    }
    // Without its host a worker is nothing.
    std::process::exit(0);
}

struct Worker {
    host: CellHost,
    linker: Linker<Cell>,
    ticker: Ticker,
    broker: Arc<Broker>,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    loaded: HashMap<ComponentDigest, Linked>,
}

impl Worker {
    async fn serve(mut self, mut frames: FrameReader<OwnedReadHalf>) -> io::Result<()> {
        loop {
            match frames.next(ARTIFACT_BYTES_MAX + DIGEST_BYTES).await? {
                (Kind::Load, content) => {
                    let loaded = self.load(&content)?;
                    self.answer(Kind::Loaded, &loaded)?;
                }
                (Kind::Enter, content) => {
                    let answer = self.enter(&content, &mut frames).await?;
                    self.answer(Kind::Left, &answer)?;
                }
                // An answer that came too late for its attempt.
                (Kind::HttpAnswered, _) => {}
                (kind, _) => return Err(frame::malformed(format!("a worker is sent {kind:?}"))),
            }
        }
    }

    fn load(&mut self, content: &[u8]) -> io::Result<Loaded> {
        let (digest, artifact) = content
            .split_first_chunk::<DIGEST_BYTES>()
            .ok_or_else(|| frame::malformed("there is no digest before the code".to_owned()))?;
        let component = match deserialize(&self.host.engine, artifact) {
            Ok(component) => component,
            Err(error) => return Ok(Loaded::Damaged(format!("{error:#}"))),
        };
        Ok(match link(&self.linker, &component) {
            Ok(linked) => {
                self.loaded.insert(ComponentDigest::from_bytes(*digest), linked);
                Loaded::Ready
            }
            Err(reason) => Loaded::Refused(reason),
        })
    }

    /// Enters a cell, and hears what the host says meanwhile.
    async fn enter(&self, order: &[u8], frames: &mut FrameReader<OwnedReadHalf>) -> io::Result<Answer> {
        let (call, entry) = serde_json::from_slice::<EntryOrder<'_>>(order)?.into_call();
        let _ticking = self.ticker.keep_ticking();
        let Some(linked) = self.loaded.get(&call.component) else { return Ok(not_loaded(&entry)) };
        let mut entered = std::pin::pin!(enter(&self.host, linked, Box::new(call), &entry));
        let report = loop {
            tokio::select! {
                report = &mut entered => break report,
                said = frames.next(TO_WORKER_BYTES_MAX) => match said? {
                    (Kind::HttpAnswered, content) => self.broker.answer(serde_json::from_slice::<HttpAnswered>(&content)?),
                    (kind, _) => return Err(frame::malformed(format!("a worker that works is sent {kind:?}"))),
                },
            }
        };
        self.broker.forget();
        Ok(report.into())
    }

    fn answer(&self, kind: Kind, answer: &impl serde::Serialize) -> io::Result<()> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.outgoing.send((kind, serde_json::to_vec(answer)?)).map_err(gone)
    }
}

fn not_loaded(entry: &Entry) -> Answer {
    entry.failed(Failure::engine(EngineCode::Host, "The component is not ready in this worker.")).into()
}
