//! A short run of the fuzz targets with a fixed seed, as a part of the tests: real files, changed here and there, and
//! files made from nothing but numbers.
//!
//! The same cases every time, on every machine. `fuzz/` runs the same functions without an end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod mutate;
mod targets;

use std::fs;
use std::path::Path;

use stepcell_admission::inspect;

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

/// Runs a target on its seeds, and on `cases` files that are made of them.
fn run(name: &str, target: fn(&[u8]), cases: usize) {
    let seeds: Vec<_> = named_seeds(name).into_iter().map(|(_, seed)| seed).collect();
    assert!(!seeds.is_empty(), "`{name}` has no seeds");
    let mut mutator = Mutator::new(&seeds, 0x57e9_ce11);
    let made = std::iter::repeat_with(|| mutator.file()).take(cases);
    for file in seeds.iter().cloned().chain(made) {
        let outcome = std::panic::catch_unwind(|| target(&file));
        assert!(outcome.is_ok(), "`{name}` does not hold for {}", file.escape_ascii());
    }
}

#[test]
fn any_bytes_as_a_component_of_any_shape_are_counted_or_refused() {
    run("structure", targets::structure, 2_000);
}

#[test]
fn any_bytes_as_a_step_are_let_in_or_refused_in_plain_words() {
    run("admission", targets::admission, 4_000);
}

/// Seeds that are refused at once would teach a run nothing of what lies behind.
#[test]
fn the_seeds_are_steps_but_for_those_that_say_otherwise() {
    for (name, seed) in named_seeds("admission") {
        let is_meant_to_be_wrong = name.starts_with("wrong");
        assert_eq!(inspect(&seed).is_err(), is_meant_to_be_wrong, "{name}: {:?}", inspect(&seed).err());
    }
}
