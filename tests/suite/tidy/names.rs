//! Names that say nothing.

use crate::Finding;
use crate::tokens::tokens;

/// Words that fit anything and so name nothing.
const VAGUE: [&str; 11] = [
    "manager",
    "managers",
    "helper",
    "helpers",
    "util",
    "utils",
    "utility",
    "utilities",
    "common",
    "misc",
    "miscellaneous",
];

/// What a name of ours follows.
const DECLARES: [&str; 6] = ["struct", "enum", "trait", "type", "union", "mod"];

/// Where names are held to this.
const FOLDERS: [&str; 3] = ["host/", "guest-sdk/", "xtask/"];

/// Finds files, types and modules with a vague word in their name.
pub(crate) fn vague_name(path: &str, text: &str) -> Vec<Finding> {
    if !FOLDERS.iter().any(|folder| path.starts_with(folder)) {
        return Vec::new();
    }
    let mut findings: Vec<_> = path.split('/').filter_map(|part| finding(1, part)).collect();
    let tokens = tokens(path, text);
    for pair in tokens.windows(2) {
        if let [Some(keyword), Some(name)] = [pair[0].word(), pair[1].word()]
            && DECLARES.contains(&keyword)
        {
            findings.extend(finding(pair[1].line, name));
        }
    }
    findings
}

fn finding(line: usize, name: &str) -> Option<Finding> {
    let word = words(name).into_iter().find(|word| VAGUE.contains(&word.as_str()))?;
    Some(Finding::new(line, format!("`{name}` holds the word `{word}`, which names nothing")))
}

/// The words of a name in any case, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for letter in name.chars() {
        if letter.is_uppercase() || !letter.is_alphanumeric() {
            words.push(String::new());
        }
        words
            .last_mut()
            .expect("one is there from the start")
            .extend(letter.to_lowercase().filter(|l| l.is_alphanumeric()));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vague_type_is_found() {
        assert_eq!(vague_name("host/x/src/a.rs", "\nstruct StepManager;")[0].line, 2);
        assert_eq!(vague_name("host/x/src/a.rs", "trait CommonStep {}").len(), 1);
        assert_eq!(vague_name("xtask/src/a.rs", "mod test_utils;").len(), 1);
    }

    #[test]
    fn a_vague_file_is_found() {
        assert_eq!(vague_name("host/x/src/utils.rs", "").len(), 1);
        assert_eq!(vague_name("guest-sdk/rust/src/http_helper/get.rs", "").len(), 1);
    }

    #[test]
    fn other_names_are_left_alone() {
        assert_eq!(vague_name("host/x/src/utilization.rs", "struct CommonmarkText; fn helper() {}"), []);
        assert_eq!(vague_name("tests/suite/utils.rs", ""), []);
    }
}
