//! What a child that compiles does: one component in, one artifact out, and that is all.

use std::io;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

use stepcell_admission::excerpt;
use wasmtime::Engine;

use super::CompileOrder;
use super::confine::{Bounds, WithoutFiles, confine};
use super::frame::{self, COMPONENT_BYTES_MAX, Kind};
use crate::config::{EngineUse, engine_config};

/// How much less important than the host itself compiling is to the scheduler.
const NICENESS: i32 = 5;

pub(crate) fn work(socket: &mut UnixStream, order: &CompileOrder, without_files: WithoutFiles) -> io::Result<()> {
    // Where this is not possible, compiling is as important as the rest.
    let _ = rustix::process::nice(NICENESS);
    let engine = Engine::new(&engine_config(EngineUse::Compile, &order.walls)).map_err(io::Error::other)?;
    // Threads can not be started any more once the child is confined.
    rayon::ThreadPoolBuilder::new().num_threads(order.threads).build_global().map_err(io::Error::other)?;
    let bounds = Bounds {
        address_bytes_max: Some(order.memory_bytes_max),
        data_bytes_max: None,
        cpu_s_max: Some(order.cpu_s_max),
        file_bytes_max: 0,
    };
    let confined = confine(bounds, without_files)?;
    frame::write(socket, Kind::Confined, &serde_json::to_vec(&confined)?)?;
    let component = frame::read_expected(socket, Kind::Component, COMPONENT_BYTES_MAX)?;
    let compiled = catch_unwind(AssertUnwindSafe(|| engine.precompile_component(&component)));
    match compiled {
        Ok(Ok(artifact)) => frame::write(socket, Kind::Artifact, &artifact),
        Ok(Err(error)) => frame::write(socket, Kind::Refused, excerpt(&format!("{error:#}")).as_bytes()),
        Err(_) => frame::write(socket, Kind::Panicked, &[]),
    }
}
