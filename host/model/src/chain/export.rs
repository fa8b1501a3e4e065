//! A history as lines of JSON that hold their own proof: whoever has the file can check it without the database.
//!
//! The first line says whose history it is and how it ends, each other one is a transition. `events` is text within the text,
//! so that a program that lays out JSON anew changes nothing that was linked.

use serde::{Deserialize, Serialize};

use super::{ChainCheck, ChainHash, ChainHead, ChainLink, CheckedChain};
use crate::id::InstanceId;
use crate::name::{TenantId, WorkflowName};
use crate::problem::one_line;
use crate::time::Timestamp;

/// What the first line of an exported history calls its format.
pub const EXPORT_FORMAT: &str = "stepcell/history/v1";

/// How much is said of a line that is none. Whoever reads it need not see the line.
const WHY_LEN_CHARS_MAX: usize = 200;

/// Whose history it is and how it ends. But for the id, the chain does not cover it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportHeader {
    /// [`EXPORT_FORMAT`].
    pub format: String,
    /// The instance.
    pub instance: InstanceId,
    /// Its workflow.
    pub workflow: WorkflowName,
    /// The version of that.
    pub version: semver::Version,
    /// Whose instance it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// The number of its last transition.
    pub seq: u64,
    /// The link of that one.
    pub head: Option<ChainHash>,
}

/// One transition.
#[derive(Serialize, Deserialize)]
struct ExportLine {
    seq: u64,
    /// Milliseconds since the start of 1970.
    at_ms: i64,
    events: String,
    link: Option<ChainHash>,
}

/// A line is not what it should be in an exported history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is no part of an exported history: {why}; `stepcell instance export` makes such files")]
pub struct MalformedExport {
    /// Which line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: String,
}

impl ExportHeader {
    /// The first line.
    #[must_use]
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("a header has nothing that is no JSON")
    }
}

impl ChainLink {
    /// The line of a transition.
    #[must_use]
    pub fn line(&self) -> String {
        let line =
            ExportLine { seq: self.seq, at_ms: self.at.unix_ms(), events: self.events.clone(), link: self.chain };
        serde_json::to_string(&line).expect("a line has nothing that is no JSON")
    }
}

/// Checks an exported history, line by line.
#[derive(Clone, Debug)]
pub struct ExportCheck {
    header: ExportHeader,
    check: ChainCheck,
    lines: u64,
}

impl ExportCheck {
    /// Begins with the first line.
    ///
    /// # Errors
    /// [`MalformedExport`] if the text is no exported history, or one of another format.
    pub fn new(line: &str) -> Result<Self, MalformedExport> {
        let malformed = |why: String| MalformedExport { line: 1, why: one_line(&why, WHY_LEN_CHARS_MAX) };
        let header: ExportHeader = serde_json::from_str(line).map_err(|error| malformed(error.to_string()))?;
        if header.format != EXPORT_FORMAT {
            return Err(malformed(format!("its format is `{}`, not `{EXPORT_FORMAT}`", header.format)));
        }
        let check = ChainCheck::new(header.instance);
        Ok(Self { header, check, lines: 1 })
    }

    /// Looks for a link, too, that somebody noted elsewhere.
    #[must_use]
    pub fn looking_for(self, noted: Option<ChainHash>) -> Self {
        Self { check: self.check.looking_for(noted), ..self }
    }

    /// Takes the next line.
    ///
    /// # Errors
    /// [`MalformedExport`] if it is no transition.
    pub fn take(&mut self, line: &str) -> Result<(), MalformedExport> {
        self.lines += 1;
        let malformed = |error: serde_json::Error| MalformedExport {
            line: self.lines,
            why: one_line(&error.to_string(), WHY_LEN_CHARS_MAX),
        };
        let ExportLine { seq, at_ms, events, link } = serde_json::from_str(line).map_err(malformed)?;
        let (instance, at) = (self.header.instance, Timestamp::from_unix_ms(at_ms));
        self.check.take(&ChainLink { instance, seq, at, events, chain: link });
        Ok(())
    }

    /// Tells what was found.
    #[must_use]
    pub fn finish(self) -> CheckedChain {
        let ExportHeader { instance, seq, head, .. } = self.header;
        self.check.finish(&ChainHead { instance, seq, chain: head })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn export() -> Vec<String> {
        let instance = InstanceId::from_uuid(Uuid::from_u128(7));
        let mut previous = ChainHash::START;
        let mut lines = Vec::new();
        for (seq, events) in [(1, r#"[{"a":1.50}]"#), (2, "[\"ü\\u0000\"]")] {
            let at = Timestamp::from_unix_ms(-5);
            let mut link = ChainLink { instance, seq, at, events: events.to_owned(), chain: None };
            previous = link.after(previous);
            link.chain = Some(previous);
            lines.push(link.line());
        }
        let header = ExportHeader {
            format: EXPORT_FORMAT.to_owned(),
            instance,
            workflow: WorkflowName::new("expense").unwrap(),
            version: semver::Version::new(1, 0, 0),
            tenant: None,
            seq: 2,
            head: Some(previous),
        };
        lines.insert(0, header.line());
        lines
    }

    fn check(lines: &[String]) -> Result<CheckedChain, MalformedExport> {
        let mut check = ExportCheck::new(&lines[0])?;
        lines[1..].iter().try_for_each(|line| check.take(line))?;
        Ok(check.finish())
    }

    #[test]
    fn an_export_proves_itself_however_its_json_is_laid_out() {
        let spread = |line: &String| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            serde_json::to_string_pretty(&value).unwrap()
        };
        for lines in [export(), export().iter().map(spread).collect()] {
            let checked = check(&lines).unwrap();
            assert_eq!((checked.links, checked.breaks), (2, Vec::new()));
        }
    }

    #[test]
    fn a_file_that_was_cut_or_changed_is_found_out() {
        let mut cut = export();
        cut.pop();
        let changed: Vec<_> = export().iter().map(|line| line.replace("1.50", "1.5")).collect();

        assert_eq!(check(&cut).unwrap().breaks[0].kind.as_str(), "missing");
        assert_eq!(check(&changed).unwrap().breaks[0].kind.as_str(), "altered");
    }

    #[test]
    fn what_is_no_export_is_refused_with_the_line() {
        let mut lines = export();
        lines[2] = "{}".to_owned();

        assert_eq!(check(&lines).unwrap_err().line, 3);
        assert_eq!(ExportCheck::new("[]").unwrap_err().line, 1);
        let later = export()[0].replace("/v1", "/v9\\u001b[2J");
        let refused = ExportCheck::new(&later).unwrap_err().to_string();
        assert!(refused.contains("stepcell/history/v9 [2J"), "{refused}");
    }
}
