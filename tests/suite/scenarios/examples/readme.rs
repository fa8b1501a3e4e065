//! What the examples' README tells to type works as it stands there.

use std::path::Path;
use std::process::{Command, Output};

use stepcell_tests::built::root;
use stepcell_tests::example::lay_out;
use stepcell_tests::scenario::cache_dir;
use stepcell_tests::stepcell_bin;

/// What stands for an id that the command before printed, and what it printed before it.
const IDS: [(&str, &str); 2] = [("TASK", "stepcell task complete "), ("INSTANCE", "instance  ")];

/// What a command says that does not end with 0.
const FAILS: &str = "# exit code 2";

/// The blocks of commands of the README. One that runs cargo builds steps or is the demo, which has its own test.
fn blocks() -> Vec<Vec<String>> {
    let readme = std::fs::read_to_string(root().join("example-steps/README.md")).expect("the examples have a README");
    let blocks = readme.split("```sh\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0));
    let lines = |block: &str| block.lines().map(str::to_owned).collect();
    blocks.filter(|block| !block.contains("cargo ")).map(lines).collect()
}

fn run(folder: &Path, command: &str) -> Output {
    let path = format!("{}:{}", stepcell_bin().parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.args(["-c", command]).current_dir(folder).env("PATH", path);
    bash.env("STEPCELL_CACHE", cache_dir()).env_remove("STEPCELL_DB").output().expect("bash can be run")
}

/// The command with the ids that it wants, from what the command before told.
fn with_ids(command: &str, told: &str) -> String {
    let put_in = |command: String, (wanted, before): &(&str, &str)| {
        if !command.contains(wanted) {
            return command;
        }
        let id = told.split_once(before).and_then(|(_, rest)| rest.split_whitespace().next());
        command.replace(wanted, id.unwrap_or_else(|| panic!("no id for {wanted} in {told}")))
    };
    IDS.iter().fold(command.to_owned(), put_in)
}

#[test]
fn the_commands_of_the_readme_lead_where_it_says() {
    let folder = tempfile::tempdir().unwrap();
    lay_out(folder.path());
    let mut ends = Vec::new();

    for block in blocks() {
        let mut told = String::new();
        for command in block {
            let output = run(folder.path(), &with_ids(&command, &told));
            told = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat();
            assert_eq!(output.status.code(), Some(if command.contains(FAILS) { 2 } else { 0 }), "{command}\n{told}");
        }
        let end = told.lines().find_map(|line| line.strip_prefix("status    ")).unwrap_or_default();
        ends.push(end.to_owned());
    }

    assert_eq!(ends, ["completed", "completed", "waiting at step `prepare`", "failed at step `ship`"]);
}
