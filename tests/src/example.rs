//! The worked examples: folders below `example-steps/` with definitions, and data to start each of them with.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use stepcell::model::definition::{ComponentRef, StepDefinition, WorkflowDefinition};
use stepcell::model::id::InstanceId;
use stepcell::model::record::InstanceSummary;

use crate::Scenario;
use crate::built::{component, guests_dir, root};

/// The steps that definitions name as registered ones, and the crates that they are made of: as the demo has them.
const REGISTERED: [(&str, &str); 5] = [
    ("shared/github-normalise", "github-normalise"),
    ("acme/triage", "triage-acme"),
    ("globex/triage", "triage-globex"),
    ("initech/triage", "runaway"),
    ("shared/archive", "archive"),
];

/// An example, registered on a host of its own.
pub struct Example {
    /// The host.
    pub scenario: Scenario,
    /// Its definitions by the names of their files, without `.yaml`.
    pub definitions: BTreeMap<String, WorkflowDefinition>,
    folder: PathBuf,
}

impl Example {
    /// Registers the definitions of a folder, and the steps that they name, on a new host.
    ///
    /// # Panics
    /// If a definition is not valid.
    pub async fn open(folder: &str) -> Self {
        Self::open_on(Scenario::new().await, folder).await
    }

    /// Registers the definitions of a folder, and the steps that they name, on a host that is there.
    ///
    /// # Panics
    /// If a definition is not valid.
    pub async fn open_on(scenario: Scenario, folder: &str) -> Self {
        let folder = root().join("example-steps").join(folder);
        let definitions = definitions_in(&folder);
        // What is run by others must be registered before them.
        let mut in_order: Vec<_> = definitions.values().cloned().collect();
        in_order.sort_by_key(runs_others);
        for definition in in_order {
            register(&scenario, definition).await;
        }
        Self { scenario, definitions, folder }
    }

    /// The data that a file of the folder holds, by its name without `.json`.
    ///
    /// # Panics
    /// If there is no such file, or it is no JSON.
    #[must_use]
    pub fn data(&self, file: &str) -> Value {
        let path = self.folder.join(format!("{file}.json"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The files with data for a definition: those whose names begin with its own, without `.json`.
    ///
    /// # Panics
    /// If the folder can not be read.
    #[must_use]
    pub fn data_of(&self, definition: &str) -> Vec<String> {
        let is_its = |file: &String| file == definition || file.starts_with(&format!("{definition}-"));
        files_in(&self.folder, ".json").into_iter().filter(is_its).collect()
    }

    /// Starts the definition of a file with some data, and waits until the instance settles.
    ///
    /// # Panics
    /// If there is no such file, or it can not be started.
    pub async fn run(&self, definition: &str, data: Value) -> InstanceSummary {
        self.scenario.run(self.definitions[definition].name.as_str(), data).await
    }

    /// Completes the pending task of a step, as [`Scenario::complete`], and waits until the instance settles again.
    ///
    /// # Panics
    /// If the task can not be completed.
    pub async fn complete(&self, id: InstanceId, step: &str, who: &str, data: Value) -> InstanceSummary {
        self.scenario.complete(id, step, who, data).await.unwrap_or_else(|error| panic!("{step}: {error}"));
        self.scenario.settled(id).await
    }
}

/// The folders of the examples by name: those below `example-steps/` that hold definitions.
///
/// # Panics
/// If the folder can not be read.
#[must_use]
pub fn folders() -> Vec<String> {
    let entries = fs::read_dir(root().join("example-steps")).expect("the folder can be read");
    let folders = entries.map(|entry| entry.expect("the folder can be read").path()).filter(|path| path.is_dir());
    let mut names: Vec<_> = folders
        .filter(|folder| !files_in(folder, ".yaml").is_empty())
        .filter_map(|folder| Some(folder.file_name()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

fn definitions_in(folder: &std::path::Path) -> BTreeMap<String, WorkflowDefinition> {
    let read = |file: String| {
        let text = fs::read_to_string(folder.join(format!("{file}.yaml"))).expect("the file can be read");
        let definition = WorkflowDefinition::from_text(&text).unwrap_or_else(|problems| panic!("{file}: {problems}"));
        (file, definition)
    };
    files_in(folder, ".yaml").into_iter().map(read).collect()
}

/// The names of a folder's files that end so, without that end, in order.
fn files_in(folder: &std::path::Path, end: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let names = entries.map(|entry| entry.expect("the folder can be read").file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.filter_map(|name| Some(name.strip_suffix(end)?.to_owned())).collect();
    names.sort();
    names
}

fn runs_others(definition: &WorkflowDefinition) -> bool {
    let mut found = false;
    definition.visit_steps(&mut |visited| found |= matches!(visited.step, StepDefinition::Workflow(_)));
    found
}

/// Registers a definition, with every step that it names as it was built, wherever that was.
async fn register(scenario: &Scenario, mut definition: WorkflowDefinition) {
    let mut named = Vec::new();
    definition.for_each_component_mut(&mut |component| named.push(component.clone()));
    let mut digests = Vec::new();
    for wanted in named {
        let (name, built) = match &wanted {
            ComponentRef::File(path) => {
                let file = path.rsplit('/').next().unwrap_or(path);
                let built = file.trim_end_matches(".wasm").to_owned();
                (built.clone(), built)
            }
            ComponentRef::Registered { name, .. } => {
                let found = REGISTERED.iter().find(|(known, _)| *known == name.as_str());
                let (name, built) = found.unwrap_or_else(|| panic!("nobody knows what `{name}` is made of"));
                ((*name).to_owned(), (*built).to_owned())
            }
            other => panic!("examples name files and registered steps, and not `{other}`"),
        };
        let registered = scenario.push(&name, component(&built)).await.expect("the step fits the contract");
        digests.push((wanted, registered.record.digest));
    }
    definition.for_each_component_mut(&mut |component| {
        let found = digests.iter().find(|(wanted, _)| wanted == component);
        *component = ComponentRef::Digest(found.expect("every component was registered").1);
    });
    scenario.host.engine().registry().register_definition(definition).await.expect("the definition is registered");
}

/// Puts the examples into a folder as they lie in the repository, with the built steps where it builds them.
///
/// # Panics
/// If it can not.
pub fn lay_out(folder: &Path) {
    for example in folders() {
        let to = folder.join("example-steps").join(&example);
        std::fs::create_dir_all(&to).expect("an example is copied");
        for entry in std::fs::read_dir(root().join("example-steps").join(&example)).expect("an example is copied") {
            let from = entry.expect("an example is copied").path();
            std::fs::copy(&from, to.join(from.file_name().expect("an example is copied")))
                .expect("an example is copied");
        }
    }
    std::fs::create_dir_all(folder.join("target/wasm32-wasip2")).expect("an example is copied");
    std::os::unix::fs::symlink(guests_dir(), folder.join("target/wasm32-wasip2/release"))
        .expect("an example is copied");
}
