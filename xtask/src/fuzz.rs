//! Fuzzing: the targets of `fuzz/`, one after the other, from the seeds that the tests use.

use std::fs;

use anyhow::{Context, bail};

use crate::stage::Stage;
use crate::workspace::Workspace;

/// The targets, by the names of their binaries and of the folders of their seeds.
const TARGETS: [&str; 5] = ["definition_yaml", "definition_json", "condition", "json", "schema"];

/// Where the seeds are, from the top of the workspace.
const SEEDS: &str = "host/model/tests/fuzz/seeds";

/// How long one text may take, in seconds, before it is a finding.
const TEXT_SECONDS_MAX: u32 = 25;

/// The longest text that is tried, in bytes.
const TEXT_LEN_BYTES_MAX: u32 = 8_000;

/// Runs one target, or each of them, for so many seconds. What a run learns stays in `fuzz/corpus/`.
///
/// # Errors
/// If there is no such target, or a run has a finding: libFuzzer says which file holds it.
pub(crate) fn run(workspace: &Workspace, target: Option<&str>, seconds: u32) -> anyhow::Result<()> {
    let chosen: Vec<_> = TARGETS.into_iter().filter(|name| target.is_none_or(|wanted| wanted == *name)).collect();
    if chosen.is_empty() {
        bail!("there is no such target; the targets are {}", TARGETS.join(", "));
    }
    for name in chosen {
        let corpus = format!("fuzz/corpus/{name}");
        fs::create_dir_all(workspace.root().join(&corpus)).with_context(|| format!("`{corpus}` can not be made"))?;
        let why = "looking for texts that break a promise; needs a nightly compiler and cargo-fuzz";
        // Safe code has nothing for an address sanitizer to find, and threads with large stacks are slow under it.
        let engine = ["+nightly", "fuzz", "run", "--sanitizer", "none", name];
        // Not the cargo that runs this task: rustup's own understands `+nightly`.
        Stage::new("fuzz", why, "cargo", workspace.root())
            .args(engine)
            .args([corpus.as_str(), &format!("{SEEDS}/{name}"), "--"])
            .args([format!("-max_total_time={seconds}"), format!("-timeout={TEXT_SECONDS_MAX}")])
            .args([format!("-max_len={TEXT_LEN_BYTES_MAX}")])
            .env("CARGO_TARGET_DIR", workspace.target_dir())
            .run()?;
    }
    Ok(())
}
