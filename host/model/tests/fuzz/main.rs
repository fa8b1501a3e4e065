//! A short run of the fuzz targets with a fixed seed, as a part of the tests: real texts, changed here and there.
//!
//! The same cases every time, on every machine. `fuzz/` runs the same functions without an end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod mutate;
mod targets;

use std::fs;
use std::path::Path;

use stepcell_model::definition::WorkflowDefinition;

use crate::mutate::Mutator;

/// The seeds of a target, by file name.
fn named_seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let folder = Path::new(&package).join("tests/fuzz/seeds").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
}

/// Runs a target on its seeds, and on `cases` texts that are made of them.
fn run(name: &str, target: fn(&[u8]), cases: usize) {
    let seeds: Vec<_> = named_seeds(name).into_iter().map(|(_, seed)| seed).collect();
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

/// Seeds that are refused at once would teach a run nothing of what lies behind.
#[test]
fn the_seeds_of_definitions_are_valid_but_for_those_that_say_otherwise() {
    for target in ["definition_yaml", "definition_json"] {
        for (name, seed) in named_seeds(target) {
            let read = WorkflowDefinition::from_text(std::str::from_utf8(&seed).unwrap());
            let is_meant_to_be_wrong = name.starts_with("wrong");
            assert_eq!(read.is_err(), is_meant_to_be_wrong, "{target}/{name}: {:?}", read.err());
        }
    }
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
fn any_text_as_an_exported_history_is_checked_or_refused() {
    run("export", targets::export, 6_000);
}

#[test]
fn any_text_as_a_schema_checks_values_or_is_refused() {
    run("schema", targets::schema, 6_000);
}
