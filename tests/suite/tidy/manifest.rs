//! What manifests say: arrows between crates, wasmtime, lints.

use toml::{Table, Value};

use crate::Finding;
use crate::walls::{WASMTIME_FOLDERS, starts_with_any};

/// Which crates of ours a crate may depend on, for tests too. A new crate gets a row.
const ARROWS: [(&str, &[&str]); 14] = [
    ("stepcell-fair", &[]),
    ("stepcell-model", &[]),
    ("stepcell-store", &["stepcell-model"]),
    ("stepcell-admission", &["stepcell-model"]),
    ("stepcell-outbound", &["stepcell-model"]),
    ("stepcell-hostile", &["stepcell-model"]),
    ("stepcell-sandbox", &["stepcell-fair", "stepcell-model", "stepcell-admission", "stepcell-outbound"]),
    ("stepcell-engine", &["stepcell-fair", "stepcell-model", "stepcell-store"]),
    ("stepcell-webhooks", &["stepcell-model", "stepcell-store", "stepcell-outbound", "stepcell-engine"]),
    ("stepcell-server", &["stepcell-model", "stepcell-store", "stepcell-engine", "stepcell-webhooks"]),
    (
        "stepcell",
        &[
            "stepcell-model",
            "stepcell-store",
            "stepcell-admission",
            "stepcell-outbound",
            "stepcell-hostile",
            "stepcell-sandbox",
            "stepcell-engine",
            "stepcell-webhooks",
            "stepcell-server",
        ],
    ),
    ("stepcell-sdk", &["stepcell-sdk-macros"]),
    ("stepcell-sdk-macros", &[]),
    ("xtask", &[]),
];

/// What any example step may depend on.
const STEP_ARROWS: &[&str] = &["stepcell-sdk"];

/// Packages that look at the house from outside: they may depend on every crate.
const OUTSIDE: [&str; 3] = ["stepcell-tests", "stepcell-benches", "stepcell-fuzz"];

/// Finds dependencies on crates of ours that a crate must not know.
pub(crate) fn wrong_arrow(path: &str, text: &str) -> Vec<Finding> {
    let Some((name, manifest)) = package(path, text) else { return Vec::new() };
    if OUTSIDE.contains(&name.as_str()) {
        return Vec::new();
    }
    let Some(allowed) = allowed(path, &name) else {
        return vec![Finding::new(1, format!("`{name}` has no row in the list of arrows"))];
    };
    // A crate that names itself turns on what its tests alone have.
    let ours = dependencies(&manifest).into_iter().filter(|dependency| is_ours(dependency) && *dependency != name);
    let wrong = ours.filter(|dependency| !allowed.contains(&dependency.as_str()));
    wrong.map(|dependency| found(text, &dependency, format!("`{name}` must not know `{dependency}`"))).collect()
}

/// Finds dependencies on wasmtime outside the sandbox.
pub(crate) fn wasmtime_dependency(path: &str, text: &str) -> Vec<Finding> {
    let Some((name, manifest)) = package(path, text) else { return Vec::new() };
    if starts_with_any(path, &WASMTIME_FOLDERS) {
        return Vec::new();
    }
    let runtime = dependencies(&manifest).into_iter().filter(|dependency| dependency.starts_with("wasmtime"));
    runtime.map(|dependency| found(text, &dependency, format!("`{name}` depends on `{dependency}`"))).collect()
}

/// Finds packages that do not take the workspace's lints.
pub(crate) fn no_workspace_lints(path: &str, text: &str) -> Vec<Finding> {
    let Some((name, manifest)) = package(path, text) else { return Vec::new() };
    let takes_them = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(Value::as_bool);
    if takes_them == Some(true) {
        return Vec::new();
    }
    vec![Finding::new(1, format!("`{name}` does not take the workspace's lints"))]
}

/// The package's name and its manifest; none if the file is no manifest of a package.
fn package(path: &str, text: &str) -> Option<(String, Table)> {
    if path.rsplit('/').next() != Some("Cargo.toml") {
        return None;
    }
    let manifest: Table = text.parse().unwrap_or_else(|error| panic!("{path} is not TOML: {error}"));
    let name = manifest.get("package")?.get("name")?.as_str()?.to_owned();
    Some((name, manifest))
}

fn allowed(path: &str, name: &str) -> Option<&'static [&'static str]> {
    if path.starts_with("example-steps/") {
        return Some(STEP_ARROWS);
    }
    ARROWS.iter().find(|(from, _)| *from == name).map(|(_, to)| *to)
}

fn is_ours(dependency: &str) -> bool {
    dependency == "stepcell" || dependency.starts_with("stepcell-")
}

/// The names of all that a package depends on, also to test or build it, or on some platform only.
fn dependencies(manifest: &Table) -> Vec<String> {
    let platforms = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let tables = platforms.filter_map(Value::as_table).chain([manifest]);
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let lists = tables.flat_map(|table| kinds.into_iter().filter_map(|kind| table.get(kind)?.as_table()));
    lists.flatten().map(|(key, value)| package_name(key, value)).collect()
}

/// The package behind a dependency, which may go by another name here.
fn package_name(key: &str, value: &Value) -> String {
    value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned()
}

fn found(text: &str, dependency: &str, what: String) -> Finding {
    let line = text.lines().position(|line| line.starts_with(dependency)).map_or(1, |index| index + 1);
    Finding::new(line, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str, rest: &str) -> String {
        format!("[package]\nname = \"{name}\"\n{rest}")
    }

    #[test]
    fn an_arrow_that_runs_up_is_found() {
        let text = manifest("stepcell-model", "[dependencies]\nstepcell-store.workspace = true\n");
        assert_eq!(
            wrong_arrow("host/model/Cargo.toml", &text),
            [Finding::new(4, "`stepcell-model` must not know `stepcell-store`")]
        );
    }

    #[test]
    fn a_crate_may_turn_on_for_its_tests_what_only_they_have() {
        let text =
            manifest("stepcell-model", "[dev-dependencies]\nstepcell-model = { path = \".\", features = [\"x\"] }\n");
        assert_eq!(wrong_arrow("host/model/Cargo.toml", &text), []);
    }

    #[test]
    fn an_arrow_is_found_in_tests_on_platforms_and_under_another_name() {
        for rest in [
            "[dev-dependencies]\nstepcell-sandbox.workspace = true\n",
            "[target.'cfg(unix)'.dependencies]\nstepcell-sandbox.workspace = true\n",
            "[dependencies]\ncell = { package = \"stepcell-sandbox\", path = \"../sandbox\" }\n",
        ] {
            assert_eq!(wrong_arrow("host/engine/Cargo.toml", &manifest("stepcell-engine", rest)).len(), 1, "{rest}");
        }
    }

    #[test]
    fn arrows_that_run_down_are_left_alone() {
        let rest = "[dependencies]\nstepcell-model.workspace = true\nserde = \"1\"\n";
        assert_eq!(wrong_arrow("host/store/Cargo.toml", &manifest("stepcell-store", rest)), []);
        let rest = "[dependencies]\nstepcell.workspace = true\n";
        assert_eq!(wrong_arrow("tests/Cargo.toml", &manifest("stepcell-tests", rest)), []);
    }

    #[test]
    fn a_step_knows_the_sdk_alone() {
        let rest = "[dependencies]\nstepcell-sdk = \"*\"\nstepcell-model = \"*\"\n";
        assert_eq!(wrong_arrow("example-steps/greet/Cargo.toml", &manifest("greet", rest)).len(), 1);
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        assert_eq!(wrong_arrow("host/new/Cargo.toml", &manifest("stepcell-new", "")).len(), 1);
    }

    #[test]
    fn a_dependency_on_wasmtime_is_found_outside_the_sandbox() {
        let text = manifest("x", "[dependencies]\nwasmtime-wasi.workspace = true\n");
        assert_eq!(wasmtime_dependency("host/engine/Cargo.toml", &text)[0].line, 4);
        assert_eq!(wasmtime_dependency("host/sandbox/Cargo.toml", &text), []);
        assert_eq!(wasmtime_dependency("Cargo.toml", "[workspace.dependencies]\nwasmtime = \"48\"\n"), []);
    }

    #[test]
    fn a_package_without_the_workspace_lints_is_found() {
        assert_eq!(no_workspace_lints("a/Cargo.toml", &manifest("x", "")).len(), 1);
        assert_eq!(no_workspace_lints("a/Cargo.toml", &manifest("x", "[lints]\nworkspace = true\n")), []);
        assert_eq!(no_workspace_lints("Cargo.toml", "[workspace]\nmembers = []\n"), []);
    }
}
