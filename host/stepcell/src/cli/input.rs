//! What people type: ids, versions and JSON, checked once where they enter.

use std::io::{self, Read as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde::de::IgnoredAny;
use stepcell::engine::{RegistryView, WorkflowEngine};
use stepcell::model::id::{InstanceId, TaskId};
use stepcell::model::json::Json;
use stepcell::model::name::TenantId;
use stepcell::model::time::Timestamp;

use super::exit::Refused;

/// The largest document that is read from a file or stdin, in bytes. Protects memory; the engine takes less.
const DOCUMENT_BYTES_MAX: u64 = 64 << 20;

/// Reads an instance's id.
pub(crate) fn instance_id(text: &str) -> Result<InstanceId, String> {
    text.parse().map_err(|_| "an instance's id is a UUID, as `stepcell instance list` shows them".to_owned())
}

/// Reads a task's id.
pub(crate) fn task_id(text: &str) -> Result<TaskId, String> {
    text.parse().map_err(|_| "a task's id is a UUID, as `stepcell task list` shows them".to_owned())
}

/// Reads a moment, as RFC 3339 writes it.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    let malformed = |_| "a moment is written in RFC 3339, such as `2027-01-31T12:00:00Z`".to_owned();
    serde_json::from_value(text.into()).map_err(malformed)
}

/// Reads a semantic version.
pub(crate) fn version(text: &str) -> Result<semver::Version, String> {
    text.parse().map_err(|error| format!("a version is written as `1.2.0`: {error}"))
}

/// Whose definitions and components are meant.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Owner {
    /// Whose definition or component is meant: a tenant's own, or a shared one of a name that it has none of [default: the
    /// shared ones].
    #[arg(long, env = "STEPCELL_TENANT", hide_env_values = true)]
    pub(crate) tenant: Option<TenantId>,
}

impl Owner {
    /// What the registry is to them.
    pub(crate) fn view<'a>(&'a self, engine: &'a WorkflowEngine) -> RegistryView<'a> {
        engine.registry().view(self.tenant.as_ref())
    }
}

/// JSON as it is given on the command line: itself, `@FILE`, or `-` for stdin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JsonSource {
    Text(String),
    File(PathBuf),
    Stdin,
}

impl std::str::FromStr for JsonSource {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.strip_prefix('@') {
            Some(file) => Self::File(file.into()),
            None if text == "-" => Self::Stdin,
            None => Self::Text(text.to_owned()),
        })
    }
}

impl JsonSource {
    /// Reads the JSON that `flag` was given.
    ///
    /// # Errors
    /// With the line and the column where it is no JSON.
    pub(crate) fn read(&self, flag: &str) -> anyhow::Result<Json> {
        let (place, text) = match self {
            Self::Text(text) => (flag.to_owned(), text.clone()),
            Self::File(file) => (file.display().to_string(), text_of_file(file)?),
            Self::Stdin => ("stdin".to_owned(), text_of_stdin(flag)?),
        };
        parse(&place, text)
    }
}

/// Reads what may be given, or `null` where nothing is.
pub(crate) fn json_or_null(source: Option<&JsonSource>, flag: &str) -> anyhow::Result<Json> {
    source.map_or_else(|| Ok(Json::null()), |source| source.read(flag))
}

/// Reads a text file that somebody named.
pub(crate) fn text_of_file(file: &std::path::Path) -> anyhow::Result<String> {
    let refused = |why: &dyn std::fmt::Display| Refused::input(format!("can not read `{}`: {why}", file.display()));
    let bytes = bytes_of_file(file).map_err(|error| refused(&error))?;
    Ok(String::from_utf8(bytes).map_err(|_| refused(&"it is not valid UTF-8"))?)
}

/// Reads a file that somebody named, up to a length: it may be a device that never ends.
pub(crate) fn bytes_of_file(file: &std::path::Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(DOCUMENT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > DOCUMENT_BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {} MiB", DOCUMENT_BYTES_MAX >> 20)));
    }
    Ok(bytes)
}

fn text_of_stdin(flag: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    io::stdin()
        .take(DOCUMENT_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| Refused::input(error.to_string()))
        .with_context(|| format!("can not read `{flag}` from stdin"))?;
    Ok(text)
}

fn parse(place: &str, text: String) -> anyhow::Result<Json> {
    if let Err(error) = serde_json::from_str::<IgnoredAny>(&text) {
        let said = error.to_string();
        let said = said.split(" at line ").next().unwrap_or_default();
        let why = format!("{place}: line {}, column {}: {said}", error.line(), error.column());
        let hint = "write JSON in single quotes, as in `'{\"amount\": 12}'`, or `@file.json`, or `-` for stdin";
        return Err(anyhow::Error::from(Refused::input(why).hint(hint)).context("this is not JSON"));
    }
    Json::parse(text).map_err(|error| Refused::input(format!("{place}: {error}")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_file_without_end_is_refused() {
        let error = text_of_file(std::path::Path::new("/dev/zero")).unwrap_err();

        assert_eq!(error.to_string(), "can not read `/dev/zero`: it has more than 64 MiB");
    }

    #[test]
    fn data_that_is_no_json_is_refused_with_its_place() {
        let source: JsonSource = "{\"a\": 1,\n b}".parse().unwrap();

        let error = format!("{:#}", source.read("--data").unwrap_err());

        assert_eq!(error, "this is not JSON: --data: line 2, column 2: key must be a string");
    }
}
