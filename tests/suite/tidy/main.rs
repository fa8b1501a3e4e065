//! The rules of the house that neither rustc nor clippy can check, each with the way out.
//!
//! A rule is a pure function from a file's path and text to what it finds, with a test beside it that shows that it
//! fires. Here each is held against every file of the workspace. They read files alone, so that they also run from a
//! source archive without git.

mod manifest;
mod names;
mod places;
mod seed;
mod shape;
mod tokens;
mod tree;
mod walls;

use std::fmt::Write as _;

use crate::tree::SourceFile;

/// Something that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// The line it begins at, from 1.
    line: usize,
    /// What was found there.
    what: String,
}

impl Finding {
    fn new(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

/// Holds a rule against the workspace.
///
/// # Panics
/// With everything that was found and the way out, if anything was.
#[track_caller]
fn hold(rule: fn(&str, &str) -> Vec<Finding>, way_out: &str) {
    let mut report = String::new();
    for SourceFile { path, text } in tree::files() {
        for Finding { line, what } in rule(&path, &text) {
            writeln!(report, "{path}:{line}: {what}").expect("a string takes any text");
        }
    }
    assert!(report.is_empty(), "\n{report}\nThe way out: {way_out}\n");
}

#[test]
fn the_rules_see_the_whole_workspace() {
    let paths: Vec<_> = tree::files().into_iter().map(|file| file.path).collect();
    for known in ["Cargo.toml", "host/model/src/lib.rs", "xtask/src/main.rs", "wit/step.wit", ".cargo/config.toml"] {
        assert!(
            paths.iter().any(|path| path == known),
            "{known} is not among the {} files that were found",
            paths.len()
        );
    }
    assert!(!paths.iter().any(|path| path.starts_with("target/") || path.starts_with(".git/")));
}

#[test]
fn files_stay_under_500_lines() {
    hold(
        shape::long_file,
        "split the file by its nouns: `foo.rs` and `foo/bar.rs`, one noun each. Tests may move to `foo/tests.rs`, which does not count",
    );
}

#[test]
fn files_open_with_what_they_promise() {
    hold(
        shape::no_module_docs,
        "open the file with `//!`: what it promises, its invariants, what is deliberately not here; one line will do",
    );
}

#[test]
fn no_test_is_ignored() {
    hold(
        shape::ignored_test,
        "mend the test or delete it. One that needs a server starts it, one that is slow gets smaller data, one that waits gets a simulated clock",
    );
}

#[test]
fn names_say_what_a_thing_is() {
    hold(
        names::vague_name,
        "name the thing by what it is or knows: a noun of the domain (workflow, step, cell, grant, …), or the verb it does as a function",
    );
}

#[test]
fn sql_lives_in_the_store() {
    hold(
        walls::sql_outside_store,
        "give the store's trait a method that says what is wanted, and keep the statement in host/store with the others",
    );
}

#[test]
fn only_the_sandbox_names_wasmtime() {
    hold(
        walls::wasmtime_outside_sandbox,
        "wrap what is needed in a type of host/sandbox; everyone else sees `StepRunner` and the types of host/model",
    );
}

#[test]
fn manifests_keep_wasmtime_in_the_sandbox() {
    hold(
        manifest::wasmtime_dependency,
        "depend on what host/sandbox offers; a crate without wasmtime builds and tests in seconds",
    );
}

#[test]
fn arrows_between_crates_run_one_way() {
    hold(
        manifest::wrong_arrow,
        "move what is needed down to a crate that both may know (host/model for types), or put a trait at the wall and let \
         host/stepcell join the two. Arrows are listed in tests/suite/tidy/manifest.rs and explained in ARCHITECTURE.md",
    );
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    hold(
        manifest::no_workspace_lints,
        "add `[lints]` with `workspace = true`; an exception is an `#[expect(…, reason = \"…\")]` where it is needed",
    );
}

#[test]
fn nothing_names_one_machine() {
    hold(
        places::one_machines_place,
        "name paths from the top of the workspace, and packages by name alone: where they come from is each machine's own setting",
    );
}

#[test]
fn each_name_of_the_seed_is_shown_by_a_test() {
    hold_page(seed::NAMES);
}

#[test]
fn each_case_of_conformance_is_shown_by_a_test() {
    hold_page(seed::CASES);
}

#[test]
fn each_promise_of_safety_is_shown_by_a_test() {
    hold_page(seed::PROMISES);
}

/// Holds a page of tables to it that each row is shown by tests that are there.
#[track_caller]
fn hold_page(path: &str) {
    let files = tree::files();
    let source = |path: &str| files.iter().find(|file| file.path == path).map(|file| file.text.as_str());
    let page = source(path).expect("the page is in the workspace");

    let findings = seed::unshown(page, source);

    let way_out = "name a test that shows the row, as `path::name`, or take the row out";
    assert!(findings.is_empty(), "{path}: {findings:#?}\nThe way out: {way_out}");
}
