//! Turns what ended a guest into a failure with a stable code and a message that tells a tenant nothing of the host.

use stepcell_model::failure::{EngineCode, Failure};
use wasmtime::component::ResourceTableError;
use wasmtime::{PoolConcurrencyLimitError, Trap};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi_http::FieldMapError;

use crate::budget::{CALL_BYTES_MAX, HTTP_FIELDS_BYTES_MAX};
use crate::cell::Cell;
use crate::limits::Refused;

/// A budget of our own that an attempt used up; ends it from within.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum Breach {
    #[error("the CPU time is used up")]
    Cpu,
    #[error("the host calls are used up")]
    HostCalls,
}

/// The failure that an error of the runtime stands for.
pub(crate) fn failure_of(error: &wasmtime::Error, cell: &Cell) -> Failure {
    let (code, message) = explain(error, cell);
    Failure::engine(code, message)
}

fn explain(error: &wasmtime::Error, cell: &Cell) -> (EngineCode, String) {
    if let Some(breach) = error.downcast_ref::<Breach>() {
        return explain_breach(*breach, cell);
    }
    if let Some(I32Exit(status)) = error.downcast_ref::<I32Exit>() {
        return (EngineCode::Exit, format!("The step called exit with status {status}; a step returns instead."));
    }
    if error.downcast_ref::<Trap>() == Some(&Trap::StackOverflow) {
        return (EngineCode::Stack, "The step used up its stack; it probably calls itself without end.".to_owned());
    }
    if let Some(refused) = cell.limiter().refused() {
        return explain_refused(refused, cell);
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return (EngineCode::Trap, describe(*trap));
    }
    explain_by_text(error, cell)
}

fn explain_breach(breach: Breach, cell: &Cell) -> (EngineCode, String) {
    match breach {
        Breach::Cpu => {
            let ms = cell.call().limits.cpu_max.as_millis();
            (EngineCode::Cpu, format!("The step computed for longer than its limit of {ms} ms."))
        }
        Breach::HostCalls => {
            let calls_max = cell.call().limits.host_calls_max;
            (EngineCode::HostCalls, format!("The step called the host more often than its limit of {calls_max}."))
        }
    }
}

fn explain_refused(refused: Refused, cell: &Cell) -> (EngineCode, String) {
    match refused {
        Refused::Memory => {
            let bytes = cell.limiter().memory_bytes_max();
            (EngineCode::Memory, format!("The step wanted more memory than its limit of {bytes} bytes."))
        }
        Refused::Table => {
            let entries = cell.limiter().table_entries_max();
            (EngineCode::Table, format!("The step wanted more table entries than its limit of {entries}."))
        }
    }
}

fn describe(trap: Trap) -> String {
    if trap == Trap::UnreachableCodeReached {
        return "The step panicked or aborted; its log may say why.".to_owned();
    }
    if trap == Trap::MemoryOutOfBounds {
        return "The step reached outside its memory, as an overflow of its own stack does.".to_owned();
    }
    let text = trap.to_string();
    format!("The step trapped: {}.", text.strip_prefix("wasm trap: ").unwrap_or(&text))
}

/// Tells apart what the runtime reports in words only. An unknown error is the guest's: the host's own have types.
fn explain_by_text(error: &wasmtime::Error, cell: &Cell) -> (EngineCode, String) {
    if error.is::<PoolConcurrencyLimitError>() {
        return (EngineCode::Host, "The host had no room for the step.".to_owned());
    }
    let text = format!("{error:#}");
    if matches!(error.downcast_ref(), Some(ResourceTableError::Full))
        || text.contains("handle limit exceeded")
        || text.contains("no free keys")
    {
        return (
            EngineCode::Handles,
            format!("The step held more handles than its limit of {}.", cell.call().limits.handles_max),
        );
    }
    if error.is::<FieldMapError>() {
        return (EngineCode::Output, format!("The step made HTTP headers of more than {HTTP_FIELDS_BYTES_MAX} bytes."));
    }
    if text.contains("fuel allocated for hostcalls") {
        return (EngineCode::Output, format!("The step passed more than {CALL_BYTES_MAX} bytes in one call."));
    }
    (EngineCode::Trap, "The step broke the rules of the component model, or asked the host for too much.".to_owned())
}
