//! A short run of the fuzz targets with a fixed seed, as a part of the tests: real texts, changed here and there.
//!
//! The same cases every time, on every machine. `fuzz/` runs the same functions without an end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod mutate;
mod targets;

use std::fs;
use std::path::Path;

use crate::mutate::Mutator;

/// The seeds of a target, by file name.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let folder = Path::new(&package).join("tests/fuzz/seeds").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Runs a target on its seeds, and on `cases` texts that are made of them.
fn run(name: &str, target: fn(&[u8]), cases: usize) {
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "`{name}` has no seeds");
    let mut mutator = Mutator::new(&seeds, 0x57e9_ce11);
    let made = std::iter::repeat_with(|| mutator.text()).take(cases);
    for text in seeds.iter().cloned().chain(made) {
        let outcome = std::panic::catch_unwind(|| target(&text));
        assert!(outcome.is_ok(), "`{name}` does not hold for {:?}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn any_text_as_a_definition_in_yaml_is_a_plan_or_explained() {
    run("definition_yaml", targets::definition_yaml, 1_000);
}

#[test]
fn any_text_as_a_definition_in_json_is_a_plan_or_explained() {
    run("definition_json", targets::definition_json, 1_000);
}

#[test]
fn any_text_as_a_condition_decides_or_explains_itself() {
    run("condition", targets::condition, 3_000);
}

#[test]
fn any_text_as_json_is_kept_to_the_letter_or_refused() {
    run("json", targets::json, 20_000);
}

#[test]
fn any_text_as_a_schema_checks_values_or_is_refused() {
    run("schema", targets::schema, 6_000);
}
