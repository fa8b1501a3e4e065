//! Databases that can not be used, and those that can be looked at all the same.

use stepcell_store::conformance::mark_as_newer;

use crate::tool::Desk;

#[test]
fn a_database_that_a_newer_version_wrote_ends_every_verb_with_4() {
    let desk = Desk::with_waiting_instance();
    mark_as_newer(desk.path("stepcell.db")).unwrap();

    for arguments in [
        &["instance", "list"][..],
        &["check"],
        &["serve"],
        &["definition", "apply", "approval.yaml"],
        &["start", "approval", "--data", r#"{"amount": 1}"#],
        &["run", "approval.yaml", "--db", "stepcell.db", "--data", r#"{"amount": 1}"#],
    ] {
        desk.run(arguments).exits(4).tells("run the newer version that wrote it");
    }
}

#[test]
fn a_file_that_is_no_database_ends_with_4_and_is_left_as_it_was() {
    let desk = Desk::new();
    desk.write("notes.db", "these are my notes, not a database at all");

    for verb in [&["instance", "list"][..], &["serve"], &["check"]] {
        desk.run(&[verb, &["--db", "notes.db"]].concat()).exits(4).tells("is not a stepcell database");
    }

    assert_eq!(std::fs::read_to_string(desk.path("notes.db")).unwrap(), "these are my notes, not a database at all");
}

#[test]
fn a_folder_that_is_not_there_ends_with_4() {
    let desk = Desk::new();

    desk.run(&["serve", "--db", "nowhere/x.db"]).exits(4).tells("check that its folder is there");
}

#[test]
fn a_sound_database_is_found_to_be_so_and_counted() {
    let desk = Desk::with_waiting_instance();

    let told = desk.run(&["check"]).exits(0).stdout;

    assert_eq!(told, "checked 1 instance and 0 components: everything fits together\n");
    let counted = desk.json(&["check"]);
    assert_eq!((&counted["instances"], &counted["components"]), (&1.into(), &0.into()));
}

#[test]
fn a_disk_that_takes_no_more_ends_with_4_and_nothing_is_half_stored() {
    let desk = Desk::with_waiting_instance();
    let large = format!(r#"{{"amount": 1, "attachment": "{}"}}"#, "x".repeat(2 << 20));
    desk.write("large.json", &large);
    let start = format!("ulimit -f 700; exec {} start approval --data @large.json", env!("CARGO_BIN_EXE_stepcell"));

    let mut shell = std::process::Command::new("bash");
    let refused = shell.args(["-c", &start]).current_dir(desk.path("")).env_remove("STEPCELL_DB").output().unwrap();

    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.contains("check the disk"), "{said}");
    let listed = desk.run(&["instance", "list", "--output", "json"]).exits(0).json();
    assert_eq!(listed["total"], 1, "what was there before is there, and nothing else");
    desk.run(&["check"]).exits(0);
}
