//! `stepcell:step/log`: lines for the instance's log.

use stepcell_model::attempt::LogLevel;
use stepcell_model::json::Json;

use crate::budget::LOG_FIELDS_BYTES_MAX;
use crate::cell::Cell;
use crate::wit::bindings::stepcell::step::log::{Host, Level};

impl Host for Cell {
    fn write(&mut self, level: Level, message: String, fields: Option<String>) -> wasmtime::Result<()> {
        self.count_host_call()?;
        self.log().write(level.into(), &message, fields.and_then(object));
        Ok(())
    }
}

/// Takes fields that are a JSON object of a line's length; others are left out, and the line stays.
fn object(fields: String) -> Option<Json> {
    let short = (fields.len() <= LOG_FIELDS_BYTES_MAX).then_some(fields)?;
    Json::parse(short).ok().filter(|fields| fields.tree().is_object())
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::Trace,
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
        }
    }
}
