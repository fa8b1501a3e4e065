//! What a server refuses, what is refused before it is asked, and how the process ends.

use super::kit::Office;
use crate::tool::Desk;

const NOBODY: &str = "0198c0de-0000-7000-8000-000000000000";

#[test]
fn credentials_that_are_missing_unknown_or_too_small_end_with_1_and_a_hint() {
    let office = Office::with_waiting_instance();
    let url = office.url();

    office.desk.run(&["task", "list", "--server", &url]).exits(1).tells("`--key-file FILE` or STEPCELL_KEY");
    let unknown = office.key("dana").replace(|c: char| c.is_ascii_digit(), "0");
    office
        .desk
        .run(&["task", "list", "--server", &url, "--key", &unknown])
        .exits(1)
        .tells("error: ")
        .tells("--key-file");
    office.run_as("acme-viewer", &["start", "approval"]).exits(1).tells("the scope `operator`");
    office
        .desk
        .run(&["task", "list", "--server", &url, "--key", "no key"])
        .exits(1)
        .tells("characters that no key has");
}

#[test]
fn a_key_comes_from_a_file_or_the_environment_and_is_told_to_nobody() {
    let office = Office::with_waiting_instance();
    let url = office.url();
    let key = office.key("acme-viewer");
    let list = ["instance", "list", "--server", &url, "--output", "json", "--log", "trace"];

    let of_file = office.desk.run(&[&list[..], &["--key-file", "acme-viewer"]].concat()).exits(0);
    let mut command = office.desk.command(&["instance", "list", "--output", "json"]);
    let of_environment = Desk::said(command.env("STEPCELL_SERVER", &url).env("STEPCELL_KEY", &key)).exits(0);

    assert_eq!((of_file.json()["total"].as_u64(), of_environment.json()["total"].as_u64()), (Some(0), Some(0)));
    assert!(of_file.stderr.contains("TRACE") && !of_file.stderr.contains(&key), "{}", of_file.stderr);
}

#[test]
fn what_is_not_there_or_another_tenants_ends_with_3() {
    let office = Office::with_waiting_instance();
    let (instance, task) = (office.desk.instance(), office.desk.task());

    for (who, arguments) in [
        ("dana", ["instance", "show", NOBODY]),
        ("dana", ["instance", "why", NOBODY]),
        ("dana", ["task", "show", NOBODY]),
        ("acme-admin", ["instance", "show", &instance]),
        ("acme-admin", ["task", "claim", &task]),
    ] {
        office.run_as(who, &arguments).exits(3).tells("there is no ");
    }
    office.run(&["start", "nothing"]).exits(3).tells("can not start `nothing`: ");
}

#[test]
fn an_answer_that_does_not_fit_its_form_ends_with_1_and_says_where() {
    let office = Office::with_waiting_instance();
    let task = office.desk.task();

    let wrong = office.run(&["task", "complete", &task, "--data", r#"{"approved": "yes", "level": 9}"#]);

    wrong.exits(1).tells("at /approved: this must be true or false").tells("at /level: ");
    office.run(&["start", "approval", "--data", "{}"]).exits(1).tells("amount");
}

#[test]
fn who_acts_can_not_be_said_to_a_server() {
    let office = Office::with_waiting_instance();
    let (instance, task) = (office.desk.instance(), office.desk.task());

    for arguments in [
        &["task", "claim", &task, "--user", "eve"][..],
        &["task", "complete", &task, "--data", "{}", "--admin"],
        &["task", "complete", &task, "--data", "{}", "--group", "finance"],
        &["task", "reassign", &task, "--to", "eve", "--reason", "x", "--user", "eve"],
        &["instance", "pause", &instance, "--user", "eve"],
    ] {
        office.run(arguments).exits(1).tells("whoever's key it is acts");
    }
    office.desk.run(&["task", "claim", &task]).exits(1).tells("say who acts: `--user USER`");
}

#[test]
fn two_places_at_once_are_a_mistake() {
    let desk = Desk::with_waiting_instance();
    let url = "http://127.0.0.1:1";

    desk.run(&["task", "list", "--db", "stepcell.db", "--server", url]).exits(1).tells("leave one of them out");
    let environment = |arguments: &[&str]| {
        Desk::said(desk.command(arguments).env("STEPCELL_SERVER", url).env("STEPCELL_DB", "stepcell.db"))
    };
    environment(&["task", "list"]).exits(1).tells("STEPCELL_SERVER and STEPCELL_DB name two places");
    environment(&["task", "list", "--db", "stepcell.db"]).exits(0);
    environment(&["check"]).exits(0);
    desk.write("stepcell.toml", "server = \"http://127.0.0.1:1\"\n");
    desk.run(&["task", "list"]).exits(4).tells("can not reach http://127.0.0.1:1");
    desk.run(&["task", "list", "--db", "stepcell.db"]).exits(0);
    desk.run(&["check"]).exits(0);
}

#[test]
fn verbs_of_a_database_refuse_a_server() {
    let desk = Desk::with_waiting_instance();

    for verb in ["serve", "check", "verify", "doctor", "demo"] {
        let said = desk.run(&[verb, "--server", "http://127.0.0.1:1"]).exits(1);
        said.tells(&format!("`stepcell {verb}` can not be done through a server"));
    }
    let export = ["instance", "export", &desk.instance(), "--server", "http://127.0.0.1:1"];
    desk.run(&export).exits(1).tells("exported where the database is");
}

#[test]
fn an_address_that_is_none_ends_with_1_and_one_where_nobody_answers_with_4() {
    let desk = Desk::new();

    desk.run(&["task", "list", "--server", "localhost:8080"]).exits(1).tells("http://127.0.0.1:8080");
    desk.run(&["task", "list", "--server", "http://127.0.0.1:1"])
        .exits(4)
        .tells("can not reach http://127.0.0.1:1/api/v1: ");
    let office = Office::with_approval();
    let elsewhere = format!("{}/elsewhere", office.url());
    office
        .desk
        .run(&["task", "list", "--server", &elsewhere, "--key-file", "dana"])
        .exits(3)
        .tells("there is no route `/elsewhere/tasks`");
}
