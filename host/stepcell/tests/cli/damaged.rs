//! Databases that have lost something: refused by every verb, until somebody accepts the loss.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use rustix::process::Signal;
use stepcell::Host;
use stepcell::engine::StartRequest;
use stepcell::model::definition::WorkflowDefinition;

use crate::tool::{APPROVAL, Desk};

/// How many instances wait in a database that was open when its machine or its process ended.
const INSTANCES: usize = 8;

/// A desk with the files of a host as they are while it drives.
async fn crashed() -> Desk {
    let (home, desk) = (tempfile::tempdir().unwrap(), Desk::new());
    let host = Host::on_sqlite(home.path().join("stepcell.db")).open().await.unwrap();
    let definition = WorkflowDefinition::from_text(APPROVAL).unwrap();
    host.engine().registry().register_definition(definition).await.unwrap();
    for amount in 0..INSTANCES {
        let request = StartRequest::new("approval".parse().unwrap()).with_data(serde_json::json!({ "amount": amount }));
        let instance = host.engine().start_workflow(request).await.unwrap().identity.id;
        host.engine().wait_until_settled(instance).await.unwrap();
    }
    for file in std::fs::read_dir(home.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), desk.path(&file.file_name().into_string().unwrap())).unwrap();
    }
    desk
}

fn turn_a_bit(desk: &Desk) {
    let mut log = std::fs::read(desk.path("stepcell.db-wal")).unwrap();
    // Behind what the schema takes, and before the last instance.
    let place = log.len() / 5 * 4;
    log[place] ^= 1;
    std::fs::write(desk.path("stepcell.db-wal"), log).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_whose_driver_was_killed_has_all_that_was_acknowledged() {
    let desk = crashed().await;

    let listed = desk.json(&["instance", "list"]);

    assert_eq!(listed["total"], INSTANCES);
    desk.run(&["check"]).exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_whose_log_is_damaged_ends_every_verb_with_4_and_says_what_to_do() {
    let desk = crashed().await;
    turn_a_bit(&desk);

    for verb in
        [&["serve"][..], &["instance", "list"], &["check"], &["start", "approval", "--data", r#"{"amount": 1}"#]]
    {
        desk.run(verb)
            .exits(4)
            .tells("stepcell.db` has lost what was acknowledged: its log reads up to page ")
            .tells("nothing was touched: restore a backup, or open it in a way that accepts the loss")
            .tells("hint: `stepcell serve --accept-loss` goes on without what is lost, and keeps the damaged log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_accepts_the_loss_serves_what_is_left() {
    let desk = crashed().await;
    turn_a_bit(&desk);

    let serving = desk.serve_with(&["--accept-loss"]);

    assert_eq!(serving.stop_by(Signal::TERM).0, Some(0));
    assert!(desk.files().contains(&"stepcell.db-wal.lost".to_owned()), "{:?}", desk.files());
    let left = desk.json(&["instance", "list"])["total"].as_u64().unwrap();
    assert!((1..INSTANCES as u64).contains(&left), "{left} are left");
    desk.run(&["check"]).exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_its_log_or_without_its_pages_ends_with_4() {
    let desk = crashed().await;
    let log = std::fs::read(desk.path("stepcell.db-wal")).unwrap();
    std::fs::remove_file(desk.path("stepcell.db-wal")).unwrap();
    desk.run(&["serve"]).exits(4).tells("has lost what was acknowledged: its log is missing, and with it ");

    std::fs::write(desk.path("stepcell.db-wal"), log).unwrap();
    std::fs::write(desk.path("stepcell.db"), "").unwrap();
    desk.run(&["serve"])
        .exits(4)
        .tells("stepcell.db` is missing or empty, but its log is not; stop writing to the database and restore it");
}

/// A step that ends at once, with all that its instance was given.
const LARGE: &str = "\
schema: stepcell/v1
name: large
version: 1.0.0
initial_step: w
steps: { w: { type: timer, duration: 0s } }
";

#[test]
fn a_server_whose_disk_fails_ends_with_4_says_why_and_loses_nothing_that_was_acknowledged() {
    let desk = Desk::new();
    desk.write("large.yaml", LARGE);
    desk.write("large.json", &format!(r#"{{"attachment": "{}"}}"#, "x".repeat(2 << 20)));
    desk.run(&["definition", "apply", "large.yaml"]).exits(0);
    // Whatever it writes behind that many KiB of a file fails, as with a disk that is broken there.
    let serve = format!("ulimit -f 700; exec {} serve", env!("CARGO_BIN_EXE_stepcell"));
    let mut shell = std::process::Command::new("bash");
    let shell = shell.args(["-c", &serve]).current_dir(desk.path("")).env("XDG_CACHE_HOME", desk.path("cache"));
    let mut server = shell.env_remove("STEPCELL_DB").stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(server.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    assert!(said.contains("driving"), "{said}");

    desk.run(&["start", "large", "--data", "@large.json"]).exits(0);

    let exit = server.wait().unwrap().code();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(exit, Some(4), "{said}");
    assert!(said.contains("can not go on driving `stepcell.db`: the store takes no more work, because"), "{said}");
    assert!(said.contains("check the disk and start this process again"), "{said}");
    let serving = desk.serve();
    desk.run(&["start", "large", "--data", "{}", "--wait"]).exits(0);
    assert_eq!(serving.stop_by(Signal::TERM).0, Some(0));
    let listed = desk.json(&["instance", "list"]);
    assert_eq!(listed["total"], 2, "{listed}");
    desk.run(&["check"]).exits(0);
}
