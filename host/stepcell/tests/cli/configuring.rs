//! Settings by file, environment and flags, and what of them is in force.

use serde_json::{Value, json};

use crate::tool::Desk;

const FILE: &str = "\
log = \"error\"
cache = \"kept\"

[serve]
concurrency = 7
drain_timeout = \"5s\"
retention = \"30d\"
";

/// One setting of those that `config show` tells.
fn setting(shown: &Value, name: &str) -> (Value, Value) {
    let items = shown["items"].as_array().unwrap();
    let found = items.iter().find(|item| item["name"] == name).unwrap_or_else(|| panic!("{name}: {shown}"));
    (found["value"].clone(), found["origin"].clone())
}

#[test]
fn a_flag_goes_before_the_environment_that_before_the_file_and_that_before_the_default() {
    let desk = Desk::new();
    desk.write("stepcell.toml", FILE);
    let mut command = desk.command(&["config", "show", "--output", "json", "--concurrency", "9"]);
    command.env("STEPCELL_CONCURRENCY", "8").env("STEPCELL_DRAIN_TIMEOUT", "6s");

    let shown = Desk::said(&mut command).exits(0).json();

    assert_eq!(setting(&shown, "serve.concurrency"), (json!("9"), json!({"kind": "flag", "flag": "--concurrency"})));
    let of_environment = json!({"kind": "environment", "variable": "STEPCELL_DRAIN_TIMEOUT"});
    assert_eq!(setting(&shown, "serve.drain_timeout"), (json!("6s"), of_environment));
    let of_file = json!({"kind": "file", "file": "stepcell.toml", "line": 7});
    assert_eq!(setting(&shown, "serve.retention"), (json!("30d"), of_file));
    assert_eq!(setting(&shown, "log").0, "error");
    assert_eq!(setting(&shown, "serve.head_timeout"), (json!("30s"), json!({"kind": "default"})));
    assert_eq!(setting(&shown, "serve.listen"), (Value::Null, json!({"kind": "default"})));
}

#[test]
fn people_see_where_each_setting_comes_from_if_they_ask() {
    let desk = Desk::new();
    desk.write("stepcell.toml", FILE);

    let plain = desk.run(&["config", "show"]).exits(0).stdout;
    let told = desk.run(&["config", "show", "--origin"]).exits(0).stdout;

    assert!(!plain.contains("stepcell.toml"), "{plain}");
    let line = told.lines().find(|line| line.starts_with("serve.concurrency")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["serve.concurrency", "7", "stepcell.toml:5"]);
}

#[test]
fn the_database_that_the_file_names_is_the_one_unless_another_is_named() {
    let desk = Desk::new();
    desk.write("here.toml", "db = \"of-file.db\"\n");
    let database_of = |command: &mut std::process::Command| setting(&Desk::said(command).exits(0).json(), "db").0;
    let show = ["config", "show", "--output", "json", "--config", "here.toml"];

    assert_eq!(database_of(&mut desk.command(&show)), "of-file.db");
    assert_eq!(database_of(desk.command(&show).env("STEPCELL_DB", "of-environment.db")), "of-environment.db");
    assert_eq!(database_of(&mut desk.command(&[&show[..], &["--db", "of-flag.db"]].concat())), "of-flag.db");
    desk.run(&["instance", "list", "--config", "here.toml"]).exits(4).tells("`of-file.db`");
}

#[test]
fn a_file_that_says_what_there_is_not_stops_every_verb() {
    let desk = Desk::new();
    desk.write("stepcell.toml", "[serve]\nlistn = \"127.0.0.1:1\"\n");

    for verb in [&["serve"][..], &["instance", "list"], &["config", "show"]] {
        let said = desk.run(verb).exits(1);
        assert_eq!(
            said.stderr.lines().next(),
            Some("error: stepcell.toml:2: there is no setting `listn` in `[serve]`; did you mean `listen`?")
        );
    }
    desk.run(&["config", "show", "--config", "nowhere.toml"])
        .exits(1)
        .tells("can not read the settings in `nowhere.toml`");
}

#[test]
fn a_secret_in_the_environment_is_not_shown() {
    let desk = Desk::new();
    let secret = "5ec7e7".repeat(11)[..64].to_owned();
    let mut command = desk.command(&["config", "show", "--origin"]);

    let said = Desk::said(command.env("STEPCELL_HOST_KEY", &secret)).exits(0);

    assert!(!said.stdout.contains(&secret) && !said.stderr.contains(&secret), "{said:?}");
}
