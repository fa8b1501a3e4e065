//! What is wrong with a document that somebody wrote, and where: every problem at once, each with its place.

use std::fmt;

/// The most problems that one document is told about; the rest would only bury the first ones.
pub const PROBLEMS_MAX: usize = 100;

/// The longest message of a problem, in characters; bounds what a hostile document makes a terminal or a log show.
const MESSAGE_LEN_CHARS_MAX: usize = 2_000;

/// The longest path of a problem, in characters.
pub const PATH_LEN_CHARS_MAX: usize = 300;

/// A place in a text that a person can go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1, in characters.
    pub column: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// One thing that is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is meant, such as `steps.validate.component` or `edges[1].target`; empty for the document as a whole.
    pub path: String,
    /// The same part by part, as far as the parts fit within [`PATH_LEN_CHARS_MAX`]; none where it is named in words.
    pub parts: Vec<PathPart>,
    /// What is wrong with it and what would be right, in one line.
    pub message: String,
    /// Where it stands, if the document came as text.
    pub span: Option<Position>,
}

impl Problem {
    /// Makes a problem of the document as a whole, at no place in particular.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            parts: Vec::new(),
            message: one_line(&message.into(), MESSAGE_LEN_CHARS_MAX),
            span: None,
        }
    }

    /// Makes a problem of what is named in words of its own, such as `edges[1].target`.
    #[must_use]
    pub fn of(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: one_line(&path.into(), PATH_LEN_CHARS_MAX), ..Self::new(message) }
    }

    /// Makes a problem of what stands at `path`.
    #[must_use]
    pub fn at(path: &[PathPart], message: impl Into<String>) -> Self {
        Self::new(message).with_path(path)
    }

    /// Says what is meant.
    #[must_use]
    pub fn with_path(mut self, path: &[PathPart]) -> Self {
        self.path = one_line(&display_path(path), PATH_LEN_CHARS_MAX);
        // A path that is cut leads to what holds the thing that is wrong.
        let fit = (0..=path.len()).rev().find(|len| len_of(&path[..*len]) <= PATH_LEN_CHARS_MAX);
        self.parts = path[..fit.unwrap_or(0)].to_vec();
        self
    }

    /// Says where it stands.
    #[must_use]
    pub fn with_position(mut self, position: Option<Position>) -> Self {
        self.span = position;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = self.span {
            write!(f, "{position}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// Everything that is wrong with a document, in the order in which it stands there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Sorts the problems by place and drops what is said twice.
    #[must_use]
    pub fn new(mut problems: Vec<Problem>) -> Self {
        // Problems without a place come last, in the order in which they were found.
        problems.sort_by_key(|problem| (problem.span.is_none(), problem.span));
        let mut kept: Vec<Problem> = Vec::with_capacity(problems.len().min(PROBLEMS_MAX));
        for problem in problems {
            if kept.len() < PROBLEMS_MAX && !kept.contains(&problem) {
                kept.push(problem);
            }
        }
        Self(kept)
    }

    /// Adds one more.
    pub fn push(&mut self, problem: Problem) {
        if self.0.len() < PROBLEMS_MAX {
            self.0.push(problem);
        }
    }

    /// Tells whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems, in the order of the document.
    #[must_use]
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }

    /// Gives the problems away, in the order of the document.
    #[must_use]
    pub fn into_vec(self) -> Vec<Problem> {
        self.0
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// One step on the way from a document's root to a value in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathPart {
    /// A key of an object.
    Key(String),
    /// A place in an array, from 0.
    Index(usize),
}

impl From<&str> for PathPart {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for PathPart {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// How many bytes the parts of a path have; an index counts as one.
fn len_of(path: &[PathPart]) -> usize {
    path.iter().map(|part| if let PathPart::Key(key) = part { key.len() } else { 1 }).sum()
}

/// Writes a path as people do: `edges[1].target`.
#[must_use]
pub fn display_path(path: &[PathPart]) -> String {
    let mut text = String::new();
    for part in path {
        match part {
            PathPart::Key(key) if text.is_empty() => text.push_str(key),
            PathPart::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            PathPart::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// Finds the candidate that somebody most likely meant by `word`, if one is close enough to be worth saying.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the word may be wrong: one letter of three, two of six; longer words are not misspelt by more.
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate, allowed), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Ends a message with a suggestion, if there is one.
#[must_use]
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default()
}

/// Counts the letters to insert, drop, change or swap to get from one word to the other, without regard to case.
///
/// Words that differ in length by more than `allowed` are not looked at: the true distance is larger anyway.
///
/// Source: optimal string alignment, the restricted form of Damerau's distance.
fn distance(left: &str, right: &str, allowed: usize) -> usize {
    if left.len().abs_diff(right.len()) > 4 * allowed {
        return usize::MAX;
    }
    let left: Vec<char> = left.chars().flat_map(char::to_lowercase).collect();
    let right: Vec<char> = right.chars().flat_map(char::to_lowercase).collect();
    let mut rows = vec![(0..=right.len()).collect::<Vec<usize>>()];
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let changed = rows[i][j] + usize::from(a != b);
            let mut best = changed.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

/// Cuts a text after `chars_max` characters and marks the cut.
pub(crate) fn shorten(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Makes one line of a text that may be anything: control characters become spaces, and what is too long is cut.
pub(crate) fn one_line(text: &str, chars_max: usize) -> String {
    shorten(text, chars_max).replace(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'), " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_read_one_a_line_in_the_order_of_the_document() {
        let at = |line, column| Some(Position { line, column });
        let target = Problem::new("there is no step `pya`").with_path(&["edges".into(), 1.into(), "target".into()]);
        let problems = Problems::new(vec![
            Problem::new("there is no way to step `pay`"),
            target.clone().with_position(at(12, 5)),
            target.with_position(at(12, 5)),
            Problem::new("this is no name").with_path(&["name".into()]).with_position(at(2, 7)),
        ]);

        assert_eq!(
            problems.to_string(),
            "line 2, column 7: name: this is no name\n\
             line 12, column 5: edges[1].target: there is no step `pya`\n\
             there is no way to step `pay`"
        );
    }

    #[test]
    fn a_hostile_name_stays_within_its_problem() {
        let hostile = format!("a\n\u{1b}[2J{}", "x".repeat(1_000_000));
        let problem = Problem::at(&[hostile.as_str().into(), 1.into()], format!("there is no `{hostile}`"));

        let shown = problem.to_string();

        assert!(shown.starts_with("a  [2Jxxx") && shown.len() < 3_000 && !shown.contains(char::is_control));
        assert_eq!(problem.parts, [], "nothing that holds it has a name that fits");
        let within = Problem::at(&["steps".into(), hostile.as_str().into(), 1.into()], "wrong");
        assert_eq!(within.parts, ["steps".into()]);
    }

    #[test]
    fn a_misspelt_word_finds_what_was_meant_and_a_different_word_does_not() {
        let words = ["context", "metadata", "result", "instance"];

        for (word, meant) in [("contxt", "context"), ("Context", "context"), ("metdaata", "metadata")] {
            assert_eq!(nearest(word, words), Some(meant), "{word}");
        }
        for word in ["ctx", "x", "", "amount", &"context".repeat(1000)] {
            assert_eq!(nearest(word, words), None, "{word}");
        }
    }
}
