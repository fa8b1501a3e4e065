//! What the command line refuses, and what it ends with then.

use std::process::Stdio;

use crate::tool::{APPROVAL, Desk};

const NOBODY: &str = "0198c0de-0000-7000-8000-000000000000";

#[test]
fn a_command_line_that_does_not_read_ends_with_1_and_never_with_a_failed_workflows_2() {
    let desk = Desk::new();
    for arguments in [
        &["dance"][..],
        &[],
        &["run"],
        &["run", "x.yaml", "--frob"],
        &["instance", "show", "not-a-uuid"],
        &["instance", "list", "--status", "done"],
        &["instance", "list", "--limit", "0"],
        &["task", "claim", NOBODY],
        &["start", "hello", "--version", "one"],
        &["serve", "--concurrency", "0"],
        &["events", "--after", "yesterday"],
        &["events", "--after", "-1"],
        &["events", "--type", "done"],
        &["events", "--limit", "0"],
        &["definition", "list", "--log", "loud=very"],
    ] {
        let said = desk.run(arguments).exits(1);
        assert_eq!(said.stdout, "", "{arguments:?}");
        assert_ne!(said.stderr, "", "{arguments:?}");
    }
    assert!(desk.files().is_empty());
}

#[test]
fn help_and_version_end_with_0_on_stdout() {
    let desk = Desk::new();
    for arguments in [&["--help"][..], &["run", "--help"], &["task", "complete", "--help"], &["--version"]] {
        let said = desk.run(arguments).exits(0);
        assert_ne!(said.stdout, "", "{arguments:?}");
    }
}

#[test]
fn verbs_that_need_a_database_end_with_4_where_there_is_none_and_make_none() {
    let desk = Desk::new();
    desk.write("approval.yaml", APPROVAL);
    for arguments in [
        &["instance", "list"][..],
        &["instance", "show", NOBODY],
        &["instance", "cancel", NOBODY, "--reason", "x"],
        &["task", "list"],
        &["task", "complete", NOBODY, "--user", "u", "--data", "{}"],
        &["definition", "list"],
        &["definition", "show", "approval"],
        &["component", "list"],
        &["start", "approval"],
        &["start", "approval", "--wait"],
        &["events", "--follow"],
        &["check"],
    ] {
        desk.run(arguments).exits(4).tells("there is no database `stepcell.db`").tells("definition apply");
    }
    assert_eq!(desk.files(), ["approval.yaml"]);
}

#[test]
fn what_is_named_and_not_there_ends_with_3_and_says_what_there_is() {
    let desk = Desk::with_waiting_instance();
    for (arguments, told) in [
        (&["instance", "show", NOBODY][..], "instance list"),
        (&["instance", "history", NOBODY], "instance list"),
        (&["instance", "graph", NOBODY], "instance list"),
        (&["instance", "cancel", NOBODY, "--reason", "x"], "instance list"),
        (&["events", "--instance", NOBODY], "instance list"),
        (&["task", "show", NOBODY], "task list"),
        (&["task", "claim", NOBODY, "--user", "u"], "task list"),
        (&["task", "complete", NOBODY, "--user", "u", "--data", "{}"], "task list"),
        (&["start", "nothing"], "definition list"),
        (&["start", "approval", "--version", "9.0.0"], "the versions there are: 1.0.0"),
        (&["definition", "show", "nothing"], "definition list"),
        (&["definition", "deactivate", "approval", "--version", "9.0.0"], "the versions there are: 1.0.0"),
        (&["definition", "unregister", "nothing", "--version", "1.0.0"], "definition list"),
        (&["component", "inspect", "acme/pay@1"], "component list"),
        (&["component", "list", "acme/pay"], "component list"),
    ] {
        desk.run(arguments).exits(3).tells(told);
    }
}

#[test]
fn data_that_is_no_json_is_refused_with_its_place() {
    let desk = Desk::new();
    desk.write("approval.yaml", APPROVAL);
    desk.write("data.json", "{\n  \"amount\": twelve\n}");

    let inline = desk.run(&["run", "approval.yaml", "--data", "{amount: 12}"]).exits(1);
    let file = desk.run(&["run", "approval.yaml", "--data", "@data.json"]).exits(1);

    insta::assert_snapshot!(inline.stderr, @r#"
    error: this is not JSON: --data: line 1, column 2: key must be a string
    hint: write JSON in single quotes, as in `'{"amount": 12}'`, or `@file.json`, or `-` for stdin
    "#);
    assert!(file.stderr.contains("data.json: line 2, column 14: "), "{}", file.stderr);
    desk.run(&["run", "approval.yaml", "--data", "@nowhere.json"]).exits(1).tells("can not read `nowhere.json`");
}

#[test]
fn data_that_does_not_fit_the_workflows_schema_is_refused_by_field() {
    let desk = Desk::new();
    desk.write("approval.yaml", APPROVAL);

    let said = desk.run(&["run", "approval.yaml", "--data", r#"{"amount": "much"}"#]).exits(1);

    insta::assert_snapshot!(said.stderr, @"error: can not start `approval`: the initial data is not valid: at /amount: this must be a number");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let desk = Desk::new();
    let mut child =
        desk.command(&["completions", "zsh"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());

    let output = child.wait_with_output().unwrap();

    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}
