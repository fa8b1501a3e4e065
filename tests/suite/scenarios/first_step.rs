//! A step author's way, as the README tells it: its commands are run to the letter, in an empty folder.

use std::process::Command;

use stepcell_tests::built::root;
use stepcell_tests::scenario::cache_dir;
use stepcell_tests::stepcell_bin;

/// The most commands that the way may take.
const COMMANDS_MAX: usize = 9;

/// What stands in the README between the marks, without the fences.
fn commands() -> String {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("the project has a README");
    let (_, rest) = readme.split_once("<!-- first-step").expect("the README marks where the way begins");
    let (block, _) = rest.split_once("<!-- /first-step -->").expect("the README marks where the way ends");
    let (_, block) = block.split_once("```sh\n").expect("the way is shell commands");
    block.rsplit_once("```").expect("the block ends").0.to_owned()
}

/// How many commands a shell script has, leaving out what its here-documents hold.
fn count(script: &str) -> usize {
    let (mut commands, mut until) = (0, None::<String>);
    for line in script.lines().filter(|line| !line.trim().is_empty()) {
        match &until {
            Some(mark) if line == mark => until = None,
            Some(_) => {}
            None => {
                commands += 1;
                until = line.split_once("<<'").and_then(|(_, mark)| Some(mark.split_once('\'')?.0.to_owned()));
            }
        }
    }
    commands
}

#[test]
fn the_commands_of_the_readme_lead_from_an_empty_folder_to_a_greeting() {
    let folder = tempfile::tempdir().unwrap();
    let script = commands();
    let path = format!("{}:{}", stepcell_bin().parent().unwrap().display(), std::env::var("PATH").unwrap());

    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("STEPCELL", root())
        .env("STEPCELL_CACHE", cache_dir())
        // What the tests' own build is given is not for a step author's; and no test needs the network.
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS")
        .env("CARGO_NET_OFFLINE", "true")
        .output()
        .unwrap();

    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(stdout.contains("Hello, Ada!"), "{stdout}\n{stderr}");
    assert!(count(&script) <= COMMANDS_MAX, "{} commands", count(&script));
}
