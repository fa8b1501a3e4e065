//! Definitions from file to registration.

use crate::tool::{APPROVAL, Desk};

const FIVE_MISTAKES: &str = "\
schema: stepcell/v1
name: broken
version: 1.0.0
initial_step: reveiw
steps:
  review: { type: humn }
  pay: { type: machine, component: ./pay.wasm, retry: { max_attempts: 0 } }
edges:
  - { source: review, target: pya }
  - { source: review, target: pay, condition: \"context.get('a' >= 1\" }
";

#[test]
fn every_mistake_of_a_definition_is_told_at_its_line_and_column() {
    let desk = Desk::new();
    desk.write("broken.yaml", FIVE_MISTAKES);

    let said = desk.run(&["run", "broken.yaml"]).exits(1);

    insta::assert_snapshot!(said.stderr, @"
    broken.yaml:4:15: initial_step: `reveiw` is not a step; the steps are review, pay
    broken.yaml:6:19: steps.review.type: `humn` is no type of step; it is one of machine, human, gateway, timer, webhook, signal, sequential, parallel, conditional, workflow; did you mean `human`?
    broken.yaml:7:71: steps.pay.retry.max_attempts: must be from 1 to 100
    broken.yaml:9:31: edges[0].target: edge 0: `pya` is not a step; the steps are review, pay
    broken.yaml:10:47: edges[1].condition: edge 1 from `review` to `pay`: the bracket `(` has no partner
    error: `broken.yaml` has 5 problems
    ");
    for verb in ["validate", "apply"] {
        assert_eq!(desk.run(&["definition", verb, "broken.yaml"]).exits(1).stderr, said.stderr);
    }
    assert_eq!(desk.files(), ["broken.yaml"]);
}

#[test]
fn a_program_that_validates_gets_the_problems_as_json() {
    let desk = Desk::new();
    desk.write("broken.yaml", FIVE_MISTAKES);
    desk.write("approval.yaml", APPROVAL);

    let said = desk.run(&["definition", "validate", "broken.yaml", "--output", "json"]).exits(1).json();

    assert_eq!((said["valid"].as_bool(), said["problems"].as_array().map(Vec::len)), (Some(false), Some(5)));
    assert_eq!((&said["problems"][0]["line"], &said["problems"][0]["column"]), (&4.into(), &15.into()));
    assert_eq!(desk.json(&["definition", "validate", "approval.yaml"])["valid"], true);
}

#[test]
fn components_that_are_missing_or_none_are_told_where_the_definition_names_them() {
    let desk = Desk::new();
    desk.write("text.wasm", "no component");
    desk.write(
        "pay.yaml",
        "schema: stepcell/v1\nname: pay\nversion: 1.0.0\ninitial_step: a\nsteps:\n  \
         a: { type: machine, component: ./none.wasm }\n  b: { type: machine, component: ./text.wasm }\n  \
         c: { type: machine, component: acme/c@1 }\nedges:\n  - { source: a, target: b }\n  - { source: b, target: c }\n",
    );

    let said = desk.run(&["run", "pay.yaml"]).exits(1);

    insta::assert_snapshot!(said.stderr, @r#"
    pay.yaml:6:34: steps.a.component: can not read `./none.wasm`: No such file or directory (os error 2); build it with `cargo build --target wasm32-wasip2 --release`, from a crate with `crate-type = ["cdylib"]`
    pay.yaml:7:34: steps.b.component: `./text.wasm`: the file is no WebAssembly: it does not begin with `\0asm`; push the `.wasm` file that the build made
    pay.yaml:8:34: steps.c.component: component `acme/c` is not registered; push it with `stepcell component push`
    error: `pay.yaml` has 3 problems
    hint: components that are named by version, and workflows, are looked up in a database: `--db FILE`
    "#);
}

#[test]
fn a_version_is_registered_once_and_never_changed() {
    let desk = Desk::new();
    desk.write("approval.yaml", APPROVAL);
    desk.write("changed.yaml", &APPROVAL.replace("dana", "eve"));

    assert_eq!(desk.run(&["definition", "apply", "approval.yaml"]).exits(0).stdout, "registered approval 1.0.0\n");
    assert_eq!(desk.run(&["definition", "apply", "approval.yaml"]).exits(0).stdout, "unchanged approval 1.0.0\n");
    desk.run(&["definition", "apply", "changed.yaml"]).exits(3).tells("is registered with other content");
    let again = ["run", "changed.yaml", "--db", "stepcell.db", "--data", r#"{"amount": 1}"#];
    desk.run(&again).exits(3).tells("write a new `version:`");
}

#[test]
fn a_deactivated_version_starts_nothing_new_and_an_unused_one_can_be_removed() {
    let desk = Desk::new();
    desk.write("approval.yaml", APPROVAL);
    desk.run(&["definition", "apply", "approval.yaml"]).exits(0);

    desk.run(&["definition", "deactivate", "approval", "--version", "1.0.0"]).exits(0);

    desk.run(&["definition", "apply", "approval.yaml"]).exits(0).tells("is deactivated and starts nothing new");
    let data = ["--data", r#"{"amount": 1}"#];
    desk.run(&[&["start", "approval"][..], &data].concat()).exits(3).tells("has no active version");
    desk.run(&[&["start", "approval", "--version", "1.0.0"][..], &data].concat()).exits(3).tells("is deactivated");
    assert_eq!(desk.json(&["definition", "list"])["total"], 0);
    assert_eq!(desk.json(&["definition", "list", "--all"])["items"][0]["is_active"], false);
    let activated = desk.json(&["definition", "activate", "approval", "--version", "1.0.0"]);
    assert_eq!(activated["is_active"], true);
    assert_eq!(desk.json(&["definition", "list"])["total"], 1);
    desk.run(&["definition", "activate", "approval", "--version", "9.0.0"]).exits(3).tells("there is no workflow");
    desk.run(&["definition", "unregister", "approval", "--version", "1.0.0"]).exits(0);
    assert_eq!(desk.json(&["definition", "list", "--all"])["total"], 0);
}

#[test]
fn a_version_that_instances_ran_on_is_not_removed() {
    let desk = Desk::with_waiting_instance();

    desk.run(&["definition", "unregister", "approval", "--version", "1.0.0"]).exits(3).tells("deactivate it instead");
}

#[test]
fn a_workflow_is_drawn_from_its_file_and_from_the_registry_alike() {
    let desk = Desk::with_waiting_instance();

    for format in ["mermaid", "dot", "json"] {
        let of_file = desk.run(&["definition", "graph", "approval.yaml", "--format", format]).exits(0);
        let of_name = desk.run(&["definition", "graph", "approval", "--format", format]).exits(0);
        assert_eq!(of_file.stdout, of_name.stdout);
    }
}

#[test]
fn the_schema_of_definitions_names_every_field() {
    let schema = Desk::new().json(&["definition", "schema"]);

    for field in ["name", "version", "initial_step", "steps", "edges", "limits"] {
        assert!(schema["properties"].get(field).is_some(), "{field}");
    }
}

/// Groups in groups, a step for each item, and everything that waits.
const WHOLE_LANGUAGE: &str = "\
schema: stepcell/v1
name: whole
version: 1.0.0
initial_step: checks
steps:
  checks:
    type: parallel
    complete_when: 2
    steps:
      fraud: { type: human }
      both: { type: sequential, steps: { one: { type: human }, two: { type: human } } }
      way: { type: conditional, key: way, steps: { left: { type: human } } }
  ask: { type: human, for_each: people, assignee_key: item }
  rest: { type: timer, duration: 1h }
  receipt: { type: webhook, signed: true, timeout: 7d }
  word: { type: signal, signal: go }
  child: { type: workflow, workflow: other }
edges:
  - { source: checks, target: ask }
  - { source: ask, target: rest }
  - { source: rest, target: receipt }
  - { source: receipt, target: word }
  - { source: receipt, target: child, outcome: timeout }
  - { source: word, target: child }
";

#[test]
fn a_definition_of_the_whole_language_is_checked_registered_shown_and_drawn() {
    let desk = Desk::new();
    desk.write("whole.yaml", WHOLE_LANGUAGE);
    desk.write("other.yaml", &APPROVAL.replace("name: approval", "name: other"));

    desk.run(&["definition", "validate", "whole.yaml"])
        .exits(0)
        .tells("named by version, and workflows, were not looked");
    desk.run(&["definition", "apply", "whole.yaml"])
        .exits(1)
        .tells("whole.yaml:17:38: steps.child.workflow: there is no");
    desk.run(&["run", "whole.yaml"]).exits(1).tells("are looked up in a database: `--db FILE`");
    desk.run(&["definition", "apply", "other.yaml", "whole.yaml"]).exits(0);
    desk.run(&["definition", "validate", "whole.yaml"]).exits(0);
    let shown = desk.run(&["definition", "show", "whole"]).exits(0).stdout;
    let rows: Vec<_> = shown.lines().skip_while(|line| !line.starts_with("STEP")).map(columns).collect();
    assert_eq!(
        rows[1..],
        [
            "checks|parallel|-|ask",
            "checks/fraud|human|-",
            "checks/both|sequential|-",
            "checks/both/one|human|-",
            "checks/both/two|human|-",
            "checks/way|conditional|-",
            "checks/way/left|human|-",
            "ask|human, for each of people|-|rest",
            "rest|timer|-|receipt",
            "receipt|webhook|-|word, child",
            "word|signal|-|child",
            "child|workflow|-",
        ]
    );
    let graph = desk.json(&["definition", "graph", "whole", "--format", "json"]);
    assert_eq!(graph["nodes"][0]["members"][1]["members"][1]["id"], "checks/both/two");
    let mermaid = desk.run(&["definition", "graph", "whole.yaml"]).exits(0).stdout;
    assert!(mermaid.contains("    subgraph checks[START: Checks]\n        checks_fraud{{Fraud}}\n"), "{mermaid}");
}

/// The cells of a table's line.
fn columns(line: &str) -> String {
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("|")
}

#[test]
fn files_named_in_members_callbacks_and_compensations_are_told_where_they_are_named() {
    let desk = Desk::new();
    desk.write(
        "parts.yaml",
        "schema: stepcell/v1\nname: parts\nversion: 1.0.0\ninitial_step: g\nsteps:\n  g:\n    type: parallel\n    \
         steps:\n      a: { type: machine, component: ./a.wasm, compensate: ./undo.wasm }\n    callback: { type: machine, \
         component: ./merge.wasm }\n",
    );

    for verb in ["validate", "apply"] {
        let said = desk.run(&["definition", verb, "parts.yaml"]).exits(1).stderr;
        let told: Vec<_> = said.lines().filter_map(|line| line.split(": can not read").next()).collect();
        assert_eq!(
            told[..3],
            [
                "parts.yaml:9:38: steps.g.steps.a.component",
                "parts.yaml:9:60: steps.g.steps.a.compensate",
                "parts.yaml:10:43: steps.g.callback.component",
            ],
            "{said}"
        );
    }
}
