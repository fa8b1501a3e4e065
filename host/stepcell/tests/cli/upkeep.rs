//! What operators do with what is kept: verify it, export it, prune it, back it up.

use rustix::process::Signal;
use stepcell_store::conformance::forge_history;

use crate::tool::{APPROVAL, Desk};

const NOBODY: &str = "0198c0de-0000-7000-8000-000000000000";

const QUICK: &str = "\
schema: stepcell/v1
name: quick
version: 1.0.0
initial_step: pause
steps:
  pause: { type: timer, duration: 1ms }
";

/// A desk with an instance that completed, one that was canceled, and one that waits. Returns their ids, too.
fn with_instances() -> (Desk, [String; 3]) {
    let (desk, completed) = Desk::with_instance_of(QUICK, "{}");
    desk.write("approval.yaml", APPROVAL);
    desk.run(&["definition", "apply", "approval.yaml"]).exits(0);
    let start =
        || desk.json(&["start", "approval", "--data", r#"{"amount": 1}"#, "--wait"])["id"].as_str().unwrap().to_owned();
    let canceled = start();
    desk.run(&["instance", "cancel", &canceled, "--reason", "not now"]).exits(0);
    // The newest event is of one that is not finished.
    let waiting = start();
    (desk, [completed, canceled, waiting])
}

#[test]
fn histories_that_are_as_they_were_committed_verify_beside_a_driver_too() {
    let (desk, [completed, ..]) = with_instances();
    let serving = desk.serve();

    let all = desk.run(&["verify"]).exits(0).stdout;
    let one = desk.run(&["verify", &completed]).exits(0).stdout;

    assert!(all.starts_with("verified 3 instances with "), "{all}");
    assert!(all.ends_with(" transitions: every link holds\n"), "{all}");
    let head = desk.json(&["verify", &completed])["head"].as_str().unwrap().to_owned();
    assert!(one.ends_with(&format!("every link holds\nhead {head}\n")), "{one}");
    let counted = desk.json(&["verify"]);
    assert_eq!((&counted["instances"], &counted["broken"]), (&3.into(), &0.into()));
    assert_eq!(serving.stop_by(Signal::TERM).0, Some(0));
}

#[test]
fn a_row_that_somebody_changed_ends_with_2_and_is_named() {
    let (desk, [completed, canceled, _]) = with_instances();
    assert_eq!(forge_history(desk.path("stepcell.db"), "not now", "why not").unwrap(), 1);

    let said = desk.run(&["verify"]).exits(2).stdout;

    let (first, second) = said.split_once('\n').unwrap();
    assert!(first.ends_with(": 1 break found"), "{said}");
    assert!(second.contains(&canceled) && second.contains("is not what was committed"), "{said}");
    let broken = desk.run(&["verify", &canceled, "--output", "json"]).exits(2).json();
    assert_eq!(broken["breaks"][0]["kind"], "altered");
    desk.run(&["verify", &completed]).exits(0);
}

#[test]
fn a_head_that_was_noted_is_found_for_ever_unless_history_was_written_anew() {
    let (desk, [.., waiting]) = with_instances();
    let noted = desk.json(&["verify", &waiting])["head"].as_str().unwrap().to_owned();
    desk.run(&["instance", "cancel", &waiting, "--reason", "x"]).exits(0);

    let found = desk.run(&["verify", &waiting, "--head", &noted]).exits(0).stdout;
    assert!(found.contains("the head that was noted is that of transition "), "{found}");

    let other = "0".repeat(64);
    let lost = desk.run(&["verify", &waiting, "--head", &other]).exits(2).stdout;
    assert!(lost.contains("is not in the chain any more"), "{lost}");
    desk.run(&["verify", "--head", &noted]).exits(1).tells("a head is that of one instance");
    desk.run(&["verify", &waiting, "--head", "abc"]).exits(1).tells("64 hexadecimal digits");
    desk.run(&["verify", NOBODY]).exits(3).tells("instance list");
}

#[test]
fn an_exported_history_proves_itself_without_the_database() {
    let (desk, [_, canceled, _]) = with_instances();
    desk.run(&["instance", "export", &canceled, "--out", "history.jsonl"])
        .exits(0)
        .tells("transitions to history.jsonl");
    let printed = desk.run(&["instance", "export", &canceled]).exits(0).stdout;
    let head = desk.json(&["verify", &canceled])["head"].as_str().unwrap().to_owned();
    std::fs::remove_file(desk.path("stepcell.db")).unwrap();

    assert_eq!(std::fs::read_to_string(desk.path("history.jsonl")).unwrap(), printed);
    let said = desk.run(&["verify", "--file", "history.jsonl", "--head", &head]).exits(0).stdout;
    assert!(said.contains(&canceled) && said.contains("every link holds"), "{said}");
    desk.write("changed.jsonl", &printed.replace("not now", "why not"));
    desk.run(&["verify", "--file", "changed.jsonl"]).exits(2);
    let shorter = printed.trim_end().rsplit_once('\n').unwrap().0;
    desk.write("shorter.jsonl", shorter);
    let said = desk.run(&["verify", "--file", "shorter.jsonl"]).exits(2).stdout;
    assert!(said.contains("its row is missing"), "{said}");
    for (name, text) in [("empty.jsonl", ""), ("notes.jsonl", "these are notes"), ("list.jsonl", "[]")] {
        desk.write(name, text);
        desk.run(&["verify", "--file", name]).exits(1).tells(name);
    }
    desk.run(&["verify", "--file", "nowhere.jsonl"]).exits(1).tells("nowhere.jsonl");
}

#[test]
fn an_export_replaces_no_file_and_needs_an_instance() {
    let (desk, [completed, ..]) = with_instances();
    desk.write("mine.txt", "mine");

    desk.run(&["instance", "export", &completed, "--out", "mine.txt"]).exits(4).tells("mine.txt");
    desk.run(&["instance", "export", NOBODY]).exits(3).tells("instance list");

    assert_eq!(std::fs::read_to_string(desk.path("mine.txt")).unwrap(), "mine");
}

#[test]
fn what_finished_long_ago_is_pruned_and_the_rest_stays() {
    let (desk, [completed, canceled, waiting]) = with_instances();
    let older = |age: &'static str, more: &[&str]| desk.run(&[&["prune", "--older-than", age], more].concat());

    older("1h", &[]).exits(0).tells("nothing finished before");
    let would = older("0s", &["--dry-run", "--output", "json"]).exits(0).json();
    assert_eq!((&would["total"], &would["rows"], &would["dry_run"]), (&2.into(), &0.into(), &true.into()));
    let one = older("0s", &["--status", "completed"]).exits(0);
    assert_eq!(one.stdout, "WORKFLOW  STATUS     INSTANCES\nquick     completed  1\n");
    one.tells("deleted 1 instance that finished before");
    desk.run(&["instance", "show", &completed]).exits(3);

    let rest = older("0s", &["--batch", "1", "--output", "json"]).exits(0).json();
    assert_eq!((&rest["total"], &rest["items"][0]["status"]), (&1.into(), &"canceled".into()));
    desk.run(&["instance", "show", &canceled]).exits(3);
    assert_eq!(desk.instance(), waiting);
    desk.run(&["check"]).exits(0);
    desk.run(&["verify"]).exits(0);
}

#[test]
fn pruning_beside_a_driver_leaves_what_that_one_drives_alone() {
    let (desk, [_, _, waiting]) = with_instances();
    let serving = desk.serve();

    let pruned = desk.json(&["prune", "--older-than", "0s"]);
    desk.run(&["task", "complete", &desk.task(), "--user", "dana", "--data", r#"{"approved": false}"#]).exits(0);
    let again = desk.json(&["start", "approval", "--data", r#"{"amount": 2}"#])["id"].as_str().unwrap().to_owned();

    assert_eq!(pruned["total"], 2);
    assert_eq!(serving.stop_by(Signal::TERM).0, Some(0));
    let left = desk.json(&["instance", "list"]);
    let left: Vec<_> = left["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(left, [&again, &waiting]);
    desk.run(&["check"]).exits(0);
    desk.run(&["verify"]).exits(0);
}

#[test]
fn an_idempotency_key_is_free_once_its_instance_is_pruned() {
    let desk = Desk::new();
    desk.write("quick.yaml", QUICK);
    desk.run(&["definition", "apply", "quick.yaml"]).exits(0);
    let start =
        || desk.json(&["start", "quick", "--idempotency-key", "once", "--wait"])["id"].as_str().unwrap().to_owned();
    let first = start();
    assert_eq!(start(), first);
    desk.run(&["start", "quick", "--wait"]).exits(0);

    assert_eq!(desk.json(&["prune", "--older-than", "0s"])["total"], 1);

    assert_ne!(start(), first);
}

#[test]
fn pruning_is_refused_for_what_is_no_end_and_without_an_age() {
    let (desk, _) = with_instances();

    desk.run(&["prune"]).exits(1).tells("--older-than");
    desk.run(&["prune", "--older-than", "soon"]).exits(1).tells("is no duration");
    desk.run(&["prune", "--older-than", "1d", "--status", "waiting"]).exits(1).tells("`waiting` is no end");
    desk.run(&["prune", "--older-than", "1d", "--batch", "0"]).exits(1);
}

#[test]
fn a_subscriber_goes_on_behind_what_was_pruned() {
    let (desk, [.., waiting]) = with_instances();
    let lines = desk.run(&["events", "--output", "json"]).exits(0).stdout;
    let position = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["position"].as_u64().unwrap();
    let (first, last) = (position(lines.lines().next().unwrap()), position(lines.lines().last().unwrap()));

    desk.run(&["prune", "--older-than", "0s"]).exits(0);
    desk.run(&["events", "--after", &last.to_string()]).exits(0);
    desk.run(&["instance", "cancel", &waiting, "--reason", "x"]).exits(0);

    let told = desk.run(&["events", "--after", &first.to_string(), "--output", "json"]).exits(0).stdout;
    assert!(told.lines().all(|line| line.contains(&waiting)), "{told}");
    assert!(position(told.lines().last().unwrap()) > last, "{told}");
}

#[test]
fn a_server_with_a_retention_prunes_by_itself() {
    let (desk, [.., waiting]) = with_instances();
    let mut serving = desk.serve_with(&["--retention", "0s"]);

    let said = serving.line();

    assert!(said.starts_with("deleted 2 instances that finished before"), "{said}");
    assert_eq!(serving.stop_by(Signal::TERM).0, Some(0));
    assert_eq!(desk.instance(), waiting);
}

#[test]
fn a_backup_made_beside_a_driver_is_a_sound_database_with_everything_in_it() {
    let (desk, [completed, ..]) = with_instances();
    let serving = desk.serve();

    let made = desk.json(&["backup", "copy.db"]);
    assert_eq!(serving.stop_by(Signal::TERM).0, Some(0));

    assert_eq!(made["file"], "copy.db");
    assert_eq!(made["bytes"], desk.path("copy.db").metadata().unwrap().len());
    desk.run(&["check", "--db", "copy.db"]).exits(0);
    desk.run(&["verify", "--db", "copy.db"]).exits(0);
    desk.run(&["instance", "show", &completed, "--db", "copy.db"]).exits(0);
    assert_eq!(desk.json(&["instance", "list", "--db", "copy.db"])["total"], 3);
    assert!(!desk.files().iter().any(|name| name.starts_with("copy.db.")), "{:?}", desk.files());
}

/// Two steps that lead to each other, until there were too many of them.
const TICKING: &str = "\
schema: stepcell/v1
name: ticking
version: 1.0.0
initial_step: tick
terminal_steps: [never]
limits: { iterations: 1000 }
steps:
  tick: { type: timer, duration: 1ms }
  tock: { type: gateway, mode: exclusive }
  never: { type: gateway, mode: exclusive }
edges:
  - { source: tick, target: tock }
  - { source: tock, target: never, condition: \"false\" }
  - { source: tock, target: tick, default: true }
";

#[test]
fn backups_made_while_instances_move_are_sound_and_verify_and_have_what_was_acknowledged() {
    let desk = Desk::new();
    desk.write("ticking.yaml", TICKING);
    desk.run(&["definition", "apply", "ticking.yaml"]).exits(0);
    let serving = desk.serve();
    let mut last = 0;

    for round in 1..=4_u64 {
        desk.run(&["start", "ticking"]).exits(0);
        let copy = format!("copy-{round}.db");
        let made = desk.json(&["backup", &copy]);

        assert!(made["last_position"].as_u64().unwrap() > last, "{made}");
        last = made["last_position"].as_u64().unwrap();
        let checked = desk.json(&["check", "--db", &copy]);
        assert_eq!((&checked["instances"], &checked["problems"]), (&round.into(), &serde_json::json!([])));
        let verified = desk.json(&["verify", "--db", &copy]);
        assert_eq!((&verified["instances"], &verified["broken"]), (&round.into(), &0.into()));
    }
    assert_eq!(serving.stop_by(Signal::TERM).0, Some(0));
}

#[test]
fn a_backup_that_the_disk_has_no_room_for_ends_with_4_and_leaves_nothing() {
    let (desk, _) = with_instances();
    let backup = format!("ulimit -f 100; exec {} backup copy.db", env!("CARGO_BIN_EXE_stepcell"));

    let mut shell = std::process::Command::new("bash");
    shell.args(["-c", &backup]).current_dir(desk.path("")).env_remove("STEPCELL_DB");

    Desk::said(&mut shell).exits(4).tells("can not back up `stepcell.db`");
    assert!(!desk.files().iter().any(|name| name.starts_with("copy.db")), "{:?}", desk.files());
    desk.run(&["verify"]).exits(0);
}

#[test]
fn a_backup_replaces_a_file_only_if_it_is_told_to_and_verifies_it_on_request() {
    let (desk, _) = with_instances();
    desk.write("copy.db", "mine");

    desk.run(&["backup", "copy.db"]).exits(3).tells("is there already").tells("`--force` replaces it");
    assert_eq!(std::fs::read_to_string(desk.path("copy.db")).unwrap(), "mine");
    let told = desk.run(&["backup", "copy.db", "--force", "--verify"]).exits(0);
    assert!(told.stdout.starts_with("verified 3 instances"), "{told:?}");
    told.tells("the host's key is not in it");
    forge_history(desk.path("stepcell.db"), "not now", "why not").unwrap();
    desk.run(&["backup", "other.db", "--verify"]).exits(2);
    desk.run(&["backup", "nowhere/copy.db"]).exits(4).tells("nowhere/copy.db.partial");
    desk.run(&["backup", "copy.db", "--db", "nothing.db"]).exits(4).tells("there is no database");
}
