//! The demo, with fewer webhooks than it ships: it works twice on one database, and what it tells to do next works.

use std::path::Path;
use std::process::{Command, Output};

use stepcell_tests::built::{guests_dir, root};
use stepcell_tests::scenario::cache_dir;
use stepcell_tests::stepcell_bin;

/// How many of the webhooks the test sends; among them is one that a person must look at.
const WEBHOOKS: usize = 40;

fn demo(folder: &Path) -> String {
    let webhooks =
        std::fs::read_to_string(root().join("example-steps/webhook-triage/github-webhooks.ndjson")).expect("they ship");
    let data = folder.join("webhooks.ndjson");
    let few: String = webhooks.lines().take(WEBHOOKS).map(|line| format!("{line}\n")).collect();
    std::fs::write(&data, few).expect("the folder can be written");
    let mut command = Command::new(stepcell_bin());
    command.args(["demo", "--steps"]).arg(guests_dir()).arg("--data").arg(data).arg("--db").arg(folder.join("demo.db"));
    told(&command.env("STEPCELL_CACHE", cache_dir()).output().expect("the binary can be run"))
}

fn told(output: &Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    stdout.into_owned()
}

fn row<'a>(text: &'a str, tenant: &str) -> Vec<&'a str> {
    let row = text.lines().find(|line| line.starts_with(tenant)).unwrap_or_else(|| panic!("no {tenant} in {text}"));
    row.split_whitespace().collect()
}

#[test]
fn the_demo_works_twice_and_so_does_what_it_tells_to_do_next() {
    let folder = tempfile::tempdir().unwrap();

    let first = demo(folder.path());
    let second = demo(folder.path());

    for text in [&first, &second] {
        assert_eq!(row(text, "initech"), ["initech", "0", "0", "4"], "the endless step is stopped each time: {text}");
        assert_eq!(row(text, "acme")[3], "0", "{text}");
        assert_eq!(row(text, "globex")[3], "0", "{text}");
        assert!(text.contains("engine.cpu"), "{text}");
    }
    let next: Vec<_> = first.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    assert_eq!(next.len(), 3, "{first}");
    let run = |command: &str| told(&Command::new("bash").args(["-c", command]).output().expect("bash can be run"));
    assert!(run(next[0]).contains("review"), "the tasks that wait are listed");
    assert!(run(next[1]).contains("completed"), "the task's instance goes on to its end");
    assert!(run(next[2]).contains("archive"), "its history shows the step after the task");
}
