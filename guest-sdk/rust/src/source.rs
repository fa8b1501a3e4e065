//! Where a context's answers come from: the engine, or a test.

use crate::bindings::stepcell::step::{config, context, log, secrets, types};
use crate::http::{HttpError, Request, Response, wire};
use crate::mock::Mock;

/// Where a context's answers come from. JSON is text here; types are the context's business.
#[derive(Debug)]
pub(crate) enum Source {
    /// The engine, through the component's imports.
    Host,
    /// A test.
    Mock(Box<Mock>),
}

impl Source {
    pub(crate) fn get(&self, key: &str) -> Option<String> {
        match self {
            Self::Host => context::get(key),
            Self::Mock(mock) => mock.get(key),
        }
    }

    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<(), context::ContextError> {
        match self {
            Self::Host => context::set(key, value),
            Self::Mock(mock) => mock.set(key, value),
        }
    }

    pub(crate) fn delete(&mut self, key: &str) -> Result<bool, context::ContextError> {
        match self {
            Self::Host => context::delete(key),
            Self::Mock(mock) => mock.delete(key),
        }
    }

    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        match self {
            Self::Host => context::keys(prefix),
            Self::Mock(mock) => mock.keys(prefix),
        }
    }

    pub(crate) fn metadata(&self, key: &str) -> Option<String> {
        match self {
            Self::Host => context::metadata(key),
            Self::Mock(mock) => mock.metadata.get(key).map(ToString::to_string),
        }
    }

    pub(crate) fn info(&self) -> types::ExecutionInfo {
        match self {
            Self::Host => context::info(),
            Self::Mock(mock) => mock.info.clone(),
        }
    }

    pub(crate) fn history(&self) -> Vec<types::StepExecution> {
        match self {
            Self::Host => context::history(),
            Self::Mock(mock) => mock.history.clone(),
        }
    }

    pub(crate) fn previous_result(&self) -> Option<String> {
        match self {
            Self::Host => context::previous_result(),
            Self::Mock(mock) => mock.previous.as_ref().map(ToString::to_string),
        }
    }

    pub(crate) fn config(&self, key: &str) -> Option<String> {
        match self {
            Self::Host => config::get(key),
            Self::Mock(mock) => mock.config.get(key).map(ToString::to_string),
        }
    }

    pub(crate) fn secret(&self, name: &str) -> Result<String, secrets::SecretError> {
        match self {
            Self::Host => secrets::get(name),
            Self::Mock(mock) => mock.secrets.get(name).cloned().ok_or(secrets::SecretError::NotGranted),
        }
    }

    pub(crate) fn log(&self, level: log::Level, message: &str, fields: Option<&str>) {
        match self {
            Self::Host => log::write(level, message, fields),
            Self::Mock(mock) => mock.log(level, message, fields),
        }
    }

    pub(crate) fn send(&self, request: Request) -> Result<Response, HttpError> {
        match self {
            Self::Host => wire::send(&request),
            Self::Mock(mock) => mock.send(request),
        }
    }
}
