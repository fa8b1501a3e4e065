//! What a file looks like: its length, its first line, its tests.

use crate::Finding;
use crate::tokens::{Kind, tokens};

/// The most lines of a file, without its tests.
const LINES_MAX: usize = 500;

/// Finds a Rust file that is too long. Tests do not count: neither a `mod tests` at the end, nor files of tests.
pub(crate) fn long_file(path: &str, text: &str) -> Vec<Finding> {
    if !path.ends_with(".rs") || is_tests(path) {
        return Vec::new();
    }
    let lines = lines_without_tests(text);
    if lines <= LINES_MAX {
        return Vec::new();
    }
    vec![Finding::new(LINES_MAX + 1, format!("{lines} lines without tests, more than {LINES_MAX}"))]
}

/// Finds a Rust file that does not begin with `//!`.
pub(crate) fn no_module_docs(path: &str, text: &str) -> Vec<Finding> {
    if !path.ends_with(".rs") || text.trim_start().starts_with("//!") {
        return Vec::new();
    }
    vec![Finding::new(1, "does not open with `//!`")]
}

/// Finds tests that are switched off, also on a condition.
pub(crate) fn ignored_test(path: &str, text: &str) -> Vec<Finding> {
    let switched_off = |words: &[String]| match words.first().map(String::as_str) {
        Some("ignore") => true,
        Some("cfg_attr") => words.iter().any(|word| word == "ignore"),
        _ => false,
    };
    let tokens = tokens(path, text);
    let attributes = tokens.iter().filter(|token| matches!(&token.kind, Kind::Attribute(words) if switched_off(words)));
    attributes.map(|token| Finding::new(token.line, "a test is ignored")).collect()
}

/// Whether the file is nothing but tests of the crate it lies in: `foo/tests.rs`, `tests/…` below a crate.
fn is_tests(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

fn lines_without_tests(text: &str) -> usize {
    let lines: Vec<_> = text.lines().collect();
    let tail = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod tests"));
    tail.unwrap_or(lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_found() {
        let text = "//! x\n".repeat(501);
        assert_eq!(long_file("host/x/src/a.rs", &text).len(), 1);
        assert_eq!(long_file("host/x/src/a.rs", &"//! x\n".repeat(500)), []);
    }

    #[test]
    fn tests_do_not_make_a_file_long() {
        let text = format!("//! x\n#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(600));
        assert_eq!(long_file("host/x/src/a.rs", &text), []);
        assert_eq!(long_file("host/x/src/a/tests.rs", &"\n".repeat(600)), []);
        assert_eq!(long_file("README.md", &"\n".repeat(600)), []);
    }

    #[test]
    fn a_file_that_does_not_say_what_it_promises_is_found() {
        assert_eq!(no_module_docs("a.rs", "use std::fmt;\n").len(), 1);
        assert_eq!(no_module_docs("a.rs", "//! Formats.\nuse std::fmt;\n"), []);
        assert_eq!(no_module_docs("a.toml", "x = 1\n"), []);
    }

    #[test]
    fn an_ignored_test_is_found() {
        assert_eq!(ignored_test("a.rs", "#[test]\n#[ignore]\nfn t() {}")[0].line, 2);
        assert_eq!(ignored_test("a.rs", "#[ignore = \"slow\"] fn t() {}").len(), 1);
        assert_eq!(ignored_test("a.rs", "#[cfg_attr(windows, ignore)] fn t() {}").len(), 1);
        assert_eq!(ignored_test("a.rs", "/// `#[ignore]`\nfn ignore() {}"), []);
    }
}
