//! Fuzzing: the targets of `fuzz/`, one after the other, from the seeds that the tests use.

use std::fs;

use anyhow::{Context, bail};

use crate::stage::Stage;
use crate::workspace::Workspace;

/// A target of `fuzz/`.
struct Target {
    /// The name of its binary, and of the folder of its seeds.
    name: &'static str,
    /// Where the folder with its seeds is, from the top of the workspace.
    seeds: &'static str,
    /// The longest input that is tried, in bytes.
    len_bytes_max: u32,
}

/// Texts that enter the model.
const fn text(name: &'static str) -> Target {
    Target { name, seeds: "host/model/tests/fuzz/seeds", len_bytes_max: 8_000 }
}

/// Files that somebody pushes as components.
const fn component(name: &'static str) -> Target {
    Target { name, seeds: "host/admission/tests/fuzz/seeds", len_bytes_max: 64_000 }
}

/// Every target.
const TARGETS: [Target; 8] = [
    text("definition_yaml"),
    text("definition_json"),
    text("condition"),
    text("json"),
    text("schema"),
    text("export"),
    component("structure"),
    component("admission"),
];

/// How long one input may take, in seconds, before it is a finding.
const INPUT_SECONDS_MAX: u32 = 25;

/// How much memory a run may take, in MiB, before that is a finding. The fuzzer itself keeps what it has learned.
const MEMORY_MIB_MAX: u32 = 1_024;

/// Runs one target, or each of them, for so many seconds. What a run learns stays in `fuzz/corpus/`.
///
/// # Errors
/// If there is no such target, or a run has a finding: libFuzzer says which file holds it.
pub(crate) fn run(workspace: &Workspace, target: Option<&str>, seconds: u32) -> anyhow::Result<()> {
    let chosen: Vec<_> = TARGETS.into_iter().filter(|known| target.is_none_or(|wanted| wanted == known.name)).collect();
    if chosen.is_empty() {
        bail!("there is no such target; the targets are {}", TARGETS.map(|known| known.name).join(", "));
    }
    for Target { name, seeds, len_bytes_max } in chosen {
        let corpus = format!("fuzz/corpus/{name}");
        fs::create_dir_all(workspace.root().join(&corpus)).with_context(|| format!("`{corpus}` can not be made"))?;
        let why = "looking for inputs that break a promise; needs a nightly compiler and cargo-fuzz";
        // Safe code has nothing for an address sanitizer to find, and threads with large stacks are slow under it.
        let engine = ["+nightly", "fuzz", "run", "--sanitizer", "none", name];
        // Not the cargo that runs this task: rustup's own understands `+nightly`.
        Stage::new("fuzz", why, "cargo", workspace.root())
            .args(engine)
            .args([corpus.as_str(), &format!("{seeds}/{name}"), "--"])
            .args([format!("-max_total_time={seconds}"), format!("-timeout={INPUT_SECONDS_MAX}")])
            .args([format!("-max_len={len_bytes_max}"), format!("-rss_limit_mb={MEMORY_MIB_MAX}")])
            .env("CARGO_TARGET_DIR", workspace.target_dir())
            .run()?;
    }
    Ok(())
}
