//! Exported histories: whatever the lines are, breaks are told in plain words, and a chain that holds is written as it was read.

use stepcell_model::chain::{ExportCheck, MalformedExport};

use super::assert_shown;

/// An exported history.
pub fn export(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    match check(first, lines) {
        Err(refused) => assert_shown(&refused.to_string()),
        Ok(checked) => {
            checked.breaks.iter().for_each(|broken| assert_shown(&broken.to_string()));
            assert!(checked.breaks.len() as u64 <= checked.links + 1, "at most one break a row, and one of the end");
            assert!(!checked.breaks.is_empty() || checked.head.is_some(), "what holds ends with a link");
        }
    }
}

fn check<'t>(
    first: &str,
    mut lines: impl Iterator<Item = &'t str>,
) -> Result<stepcell_model::chain::CheckedChain, MalformedExport> {
    let mut check = ExportCheck::new(first)?;
    lines.try_for_each(|line| check.take(line))?;
    Ok(check.finish())
}
