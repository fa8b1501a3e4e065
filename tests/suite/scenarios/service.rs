//! The way to a first request, as the README tells it: its commands are run to the letter.

use std::process::Command;

use stepcell_tests::built::root;
use stepcell_tests::example::lay_out;
use stepcell_tests::scenario::cache_dir;
use stepcell_tests::stepcell_bin;

/// The address in the README; a port of the test's own stands in its place.
const ADDRESS: &str = "127.0.0.1:8080";

fn commands() -> String {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("the project has a README");
    let (_, rest) = readme.split_once("<!-- service").expect("the README marks where the way begins");
    let (block, _) = rest.split_once("<!-- /service -->").expect("the README marks where the way ends");
    let (_, block) = block.split_once("```sh\n").expect("the way is shell commands");
    block.rsplit_once("```").expect("the block ends").0.to_owned()
}

/// A port that nobody listened on a moment ago.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("a listener has an address").to_string()
}

#[test]
fn three_requests_of_the_readme_start_an_instance_see_its_task_and_complete_it() {
    let folder = tempfile::tempdir().unwrap();
    let script = commands();
    assert_eq!(script.matches("curl -s ").count(), 3, "{script}");
    // What begins in the background ends with the script.
    let script = format!("trap 'kill $(jobs -p); wait' EXIT\n{script}").replace(ADDRESS, &free_address());
    let path = format!("{}:{}", stepcell_bin().parent().unwrap().display(), std::env::var("PATH").unwrap());
    lay_out(folder.path());

    let output = Command::new("timeout")
        .args(["120", "bash", "-euo", "pipefail", "-c", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("STEPCELL_CACHE", cache_dir())
        .output()
        .unwrap();

    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(stdout.contains(r#""title":"ada wants 420 for travel: approve?""#), "{stdout}\n{stderr}");
    let last = stdout.rsplit_once(r#"{"id""#).expect("the last answer is an instance").1;
    assert!(last.contains(r#""workflow_name":"examples/expense-approval""#), "{stdout}\n{stderr}");
}
