//! Definitions and components of a server.

use serde_json::json;

use super::kit::Office;
use crate::tool::APPROVAL;

const PAY: &str = "\
schema: stepcell/v1
name: pay
version: 1.0.0
initial_step: pay
steps:
  pay: { type: machine, component: ./good.wasm }
  again: { type: machine, component: acme/good@1 }
edges:
  - { source: pay, target: again }
";

/// An office where the files of a workflow lie.
fn with_files() -> Office {
    let office = Office::empty();
    std::fs::write(office.desk.path("good.wasm"), stepcell_hostile::well_behaved_step()).unwrap();
    office.desk.write("pay.yaml", PAY);
    office.desk.write("approval.yaml", APPROVAL);
    office
}

const PUSH: [&str; 7] = ["component", "push", "good.wasm", "--name", "acme/good", "--version", "1.0.0"];

#[test]
fn a_workflow_is_applied_with_the_components_that_it_names_by_path_and_runs() {
    let office = with_files();
    office.run(&["definition", "apply", "pay.yaml"]).exits(1).tells("acme/good");

    let pushed = office.json(&PUSH);
    let again = office.json(&PUSH);
    let applied = office.json(&["definition", "apply", "pay.yaml", "approval.yaml"]);
    let unchanged = office.json(&["definition", "apply", "pay.yaml"]);
    let run = office.json(&["start", "pay", "--wait"]);

    assert_eq!((&pushed["is_new"], &again["is_new"]), (&json!(true), &json!(false)));
    assert_eq!((&applied["total"], &applied["items"][0]["is_new"]), (&json!(2), &json!(true)));
    assert_eq!(unchanged["items"][0]["is_new"], false);
    assert_eq!((&run["status"], &run["history"][1]["step"]), (&json!("completed"), &json!("again")));
    let of_database = office.desk.json(&["definition", "apply", "pay.yaml"]);
    assert_eq!(unchanged, of_database);
}

#[test]
fn what_a_server_shows_of_definitions_and_components_is_what_its_database_shows() {
    let office = with_files();
    office.run(&PUSH).exits(0);
    office.run(&["definition", "apply", "pay.yaml", "approval.yaml"]).exits(0);
    let own = APPROVAL.replace("version: 1.0.0", "version: 2.0.0");
    office.desk.write("own.yaml", &own);
    office.run(&["definition", "apply", "own.yaml", "--tenant", "acme"]).exits(0);
    office.desk.write("next.yaml", &APPROVAL.replace("version: 1.0.0", "version: 1.1.0-rc.1"));
    office.run(&["definition", "apply", "own.yaml", "next.yaml"]).exits(0);

    for arguments in [
        &["definition", "list"][..],
        &["definition", "list", "--all"],
        &["definition", "list", "--tenant", "acme"],
        &["definition", "show", "pay"],
        &["definition", "show", "approval", "--tenant", "acme"],
        &["definition", "graph", "pay"],
        &["definition", "graph", "pay", "--format", "json"],
        &["definition", "graph", "approval.yaml"],
        &["component", "list"],
        &["component", "list", "acme/good"],
    ] {
        office.assert_shown_alike(arguments);
    }
    let inspect = ["component", "inspect", "acme/good@1.0.0"];
    let (mut of_server, mut of_database) = (office.json(&inspect), office.desk.json(&inspect));
    for only_of_bytes in ["imports", "signatures"] {
        assert!(of_server[only_of_bytes].take().is_null());
        of_database[only_of_bytes].take();
    }
    assert_eq!(of_server, of_database);
}

#[test]
fn a_version_is_deactivated_activated_and_removed() {
    let office = with_files();
    office.run(&["definition", "apply", "approval.yaml"]).exits(0);
    let version = ["approval", "--version", "1.0.0"];

    let deactivated = office.json(&[&["definition", "deactivate"], &version[..]].concat());
    office.run(&["start", "approval"]).exits(3).tells("no active version");
    let activated = office.json(&[&["definition", "activate"], &version[..]].concat());
    office.run(&["start", "approval", "--data", r#"{"amount": 1}"#, "--tenant", "acme"]).exits(0);
    office.run(&[&["definition", "unregister"], &version[..]].concat()).exits(3).tells("deactivate it instead");
    office.desk.write("next.yaml", &APPROVAL.replace("1.0.0", "2.0.0"));
    office.run(&["definition", "apply", "next.yaml"]).exits(0);
    let version = ["approval", "--version", "2.0.0"];
    let removed = office.json(&[&["definition", "unregister"], &version[..]].concat());

    assert_eq!((&deactivated["is_active"], &activated["is_active"]), (&json!(false), &json!(true)));
    assert_eq!(removed["version"], "2.0.0");
    office.run(&["definition", "show", "approval", "--version", "2.0.0"]).exits(3).tells("approval");
    office.run(&[&["definition", "unregister"], &version[..]].concat()).exits(3);
    office.run_as("acme-viewer", &["definition", "apply", "approval.yaml"]).exits(1).tells("the scope `author`");
}

#[test]
fn a_component_is_revoked_and_its_first_reason_stays() {
    let office = with_files();
    let digest = office.json(&PUSH)["digest"].as_str().unwrap().to_owned();
    let revoke = |reason| office.json(&["component", "revoke", &digest, "--reason", reason]);

    let (first, second) = (revoke("it lies"), revoke("it steals"));

    assert_eq!((&first["is_new"], &second["is_new"]), (&json!(true), &json!(false)));
    let block = office.json(&["component", "inspect", &digest])["block"].clone();
    assert_eq!(
        (&block["state"], &block["reason"], &block["by"]),
        (&json!("revoked"), &json!("it lies"), &json!("dana"))
    );
    assert_eq!(block, office.desk.json(&["component", "inspect", &digest])["block"]);
    office.run(&["component", "list", "acme/none"]).exits(3).tells("there is no component `acme/none`");
}

#[test]
fn a_component_is_pushed_with_its_signature_where_the_policy_wants_one() {
    let office = with_files();
    let public = office.desk.run(&["component", "keygen", "--out", "ours.key"]).exits(0).stdout;
    office.desk.run(&["component", "sign", "good.wasm", "--key", "ours.key", "--out", "ours.sig"]).exits(0);
    let policy = format!(
        "schema: stepcell-policy/v1\ndefault: {{ signatures: required, trusted_keys: ['{}'] }}\n",
        public.trim()
    );
    office.desk.write("policy.yaml", &policy);
    office.desk.run(&["policy", "apply", "policy.yaml"]).exits(0);

    office.run(&PUSH).exits(1).tells("the component is not signed");
    let pushed = office.json(&[&PUSH[..], &["--signature", "ours.sig"]].concat());

    assert_eq!(pushed["is_new"], true);
    let inspected = office.desk.json(&["component", "inspect", "acme/good@1.0.0"]);
    assert_eq!(inspected["signatures"][0]["key"], public.trim());
}

#[test]
fn a_component_that_was_revoked_is_let_run_again() {
    let office = with_files();
    let digest = office.json(&PUSH)["digest"].as_str().unwrap().to_owned();
    office.run(&["component", "restore", &digest]).exits(3).tells("neither revoked nor in quarantine");
    office.run(&["component", "revoke", &digest, "--reason", "it lies"]).exits(0);
    office.run_as("acme-admin", &["component", "restore", &digest]).exits(1).tells("administrators of the platform");
    office.assert_shown_alike(&["component", "blocked"]);

    let restored = office.json(&["component", "restore", &digest]);

    assert_eq!(restored, json!({ "digest": digest, "restored": true }));
    assert_eq!(office.json(&["component", "inspect", &digest])["block"], json!(null));
    assert_eq!(office.desk.json(&["component", "blocked"])["total"], 0);
}

#[test]
fn a_definition_that_is_wrong_is_told_with_its_lines_and_nothing_is_sent() {
    let office = with_files();
    office.desk.write("wrong.yaml", &PAY.replace("type: machine", "type: machinery"));

    let said = office.run(&["definition", "apply", "approval.yaml", "wrong.yaml"]).exits(1);

    said.tells("wrong.yaml:");
    assert_eq!(office.json(&["definition", "list"])["total"], 0);
}
