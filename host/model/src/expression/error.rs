//! What people are told when an expression is wrong, or went wrong.

use std::fmt;

use super::ValueRead;
use crate::problem::one_line;

/// The longest line of a picture, in characters.
const PICTURE_LEN_CHARS_MAX: usize = 100;

/// The longest reason, in characters; texts and values are cut in it, and there may be many of them.
const REASON_LEN_CHARS_MAX: usize = 1_000;

/// Why a text is no expression that the engine takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ExpressionError {
    /// What is wrong and what would be right, in one line.
    pub reason: String,
    /// Where in the text, in bytes from its start.
    pub offset: usize,
    /// The line of the text that it is in, shortened at both ends if it is long.
    line: String,
    /// Where in that line, in characters from 0.
    caret: usize,
}

impl ExpressionError {
    pub(super) fn new(source: &str, offset: usize, reason: impl Into<String>) -> Self {
        let offset = (0..=offset.min(source.len())).rev().find(|at| source.is_char_boundary(*at)).unwrap_or(0);
        let start = source[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let before = source[start..offset].chars().count();
        // The picture begins far enough to the right to have the place in it.
        let skipped = if before < PICTURE_LEN_CHARS_MAX { 0 } else { before - PICTURE_LEN_CHARS_MAX / 2 };
        let whole = source[start..].lines().next().unwrap_or_default();
        let visible = |c: char| if c.is_control() { ' ' } else { c };
        let line = whole.chars().skip(skipped).take(PICTURE_LEN_CHARS_MAX).map(visible).collect();
        Self { reason: one_line(&reason.into(), REASON_LEN_CHARS_MAX), offset, line, caret: before - skipped }
    }

    /// Draws the text's line and, below it, a caret where the mistake is.
    ///
    /// # Examples
    /// ```
    /// let error = stepcell_model::expression::Condition::compile("contxt.score > 1").unwrap_err();
    /// assert_eq!(error.to_string(), "there is no `contxt`; did you mean `context`?");
    /// assert_eq!(error.caret(), "contxt.score > 1\n^");
    /// ```
    #[must_use]
    pub fn caret(&self) -> String {
        format!("{}\n{}^", self.line, " ".repeat(self.caret))
    }
}

/// Why an expression gave nothing, with the values that it looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvaluationError {
    /// The expression, in one line.
    pub expression: String,
    /// What went wrong.
    pub reason: String,
    /// What it looked at, each shortened.
    pub values: Vec<ValueRead>,
}

impl EvaluationError {
    pub(super) fn new(source: &str, reason: &str, values: Vec<ValueRead>) -> Self {
        let expression = source.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { expression: one_line(&expression, 200), reason: one_line(reason, REASON_LEN_CHARS_MAX), values }
    }
}

impl fmt::Display for EvaluationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.expression, self.reason)?;
        for (index, value) in self.values.iter().enumerate() {
            write!(f, "{}{value}", if index == 0 { "; it read " } else { ", " })?;
        }
        Ok(())
    }
}

impl std::error::Error for EvaluationError {}
