//! What an operator does for safety, with the real binary beside a server that drives.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use stepcell::model::id::ComponentDigest;
use stepcell_tests::built::{component, guests_dir};

use crate::binary::{json_of, serve, stepcell, wait_for};

fn digest_of(name: &str) -> String {
    ComponentDigest::of(&component(name)).to_string()
}

fn succeeds(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What a verb says on stderr that is refused with this exit code.
fn refused(command: &mut Command, exit: i32) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(exit), "{stderr}");
    stderr
}

fn push<'c>(command: &'c mut Command, name: &str, version: &str, file: &Path) -> &'c mut Command {
    command.args(["component", "push", "--name", name, "--version", version]).arg(file)
}

fn apply(database: &Path, name: &str, step: &str) {
    let file = database.with_file_name(format!("{name}.yaml"));
    let text = format!("schema: stepcell/v1\nname: {name}\nversion: 1.0.0\ninitial_step: a\nsteps:\n  a: {step}\n");
    std::fs::write(&file, text).unwrap();
    succeeds(stepcell(database).args(["definition", "apply"]).arg(file));
}

fn start(database: &Path, name: &str, more: &[&str]) -> Value {
    json_of(stepcell(database).args(["start", name, "--data", "{}"]).args(more))
}

#[test]
fn revoking_stops_what_runs_in_another_process_and_restoring_lets_it_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("kill-switch.db");
    succeeds(push(&mut stepcell(&database), "probe", "1.0.0", &guests_dir().join("probe.wasm")));
    apply(&database, "endless", "{ type: machine, component: probe@1, config: { do: loop }, limits: { cpu: 60s } }");
    apply(&database, "echo", "{ type: machine, component: probe@1 }");
    let id = start(&database, "endless", &[])["id"].as_str().unwrap().to_owned();
    let _server = serve(&database);
    wait_for(&database, &id, "step_started", "a", 1);

    let digest = digest_of("probe");
    let by = ["--reason", "it mines coins", "--user", "ada"];
    succeeds(stepcell(&database).args(["component", "revoke", &digest]).args(by));

    wait_for(&database, &id, "step_parked", "a", 1);
    let history = json_of(stepcell(&database).args(["instance", "history", &id]));
    let stopped = history["items"].as_array().unwrap().iter().find(|event| event["type"] == "step_retry_scheduled");
    assert_eq!(stopped.unwrap()["failure"]["code"], "engine.revoked");
    let queued = start(&database, "echo", &["--wait"]);
    let why = json_of(stepcell(&database).args(["instance", "why", queued["id"].as_str().unwrap()]));
    assert_eq!(why["now"][0]["about"], "parked");
    assert!(why["now"][0]["text"].as_str().unwrap().contains("is revoked: it mines coins"), "{why}");
    let blocked = json_of(stepcell(&database).args(["component", "blocked"]));
    assert_eq!((&blocked["items"][0]["digest"], &blocked["items"][0]["by"]), (&json!(digest), &json!("ada")));
    let again = refused(push(&mut stepcell(&database), "probe", "2.0.0", &guests_dir().join("probe.wasm")), 1);
    assert!(again.contains("is revoked: it mines coins"), "{again}");

    succeeds(stepcell(&database).args(["component", "restore", &digest]));
    wait_for(&database, queued["id"].as_str().unwrap(), "step_completed", "a", 1);
    refused(stepcell(&database).args(["component", "restore", &digest]), 3);
}

#[test]
fn where_signatures_are_required_only_what_a_trusted_key_signed_is_pushed() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("signed.db");
    let path = |name: &str| folder.path().join(name);
    let probe = path("probe.wasm");
    std::fs::copy(guests_dir().join("probe.wasm"), &probe).unwrap();
    let keygen = |file: &str| {
        let made = json_of(stepcell(&database).args(["component", "keygen", "--out"]).arg(path(file)));
        made["public_key"].as_str().unwrap().to_owned()
    };
    let (ours, strangers) = (keygen("ours.key"), keygen("strangers.key"));
    refused(stepcell(&database).args(["component", "keygen", "--out"]).arg(path("ours.key")), 1);
    let policy =
        format!("schema: stepcell-policy/v1\ntenants:\n  acme: {{ signatures: required, trusted_keys: ['{ours}'] }}\n");
    std::fs::write(path("policy.yaml"), policy).unwrap();
    succeeds(stepcell(&database).args(["policy", "apply"]).arg(path("policy.yaml")));
    let sign = |key: &str, out: &str| {
        let mut command = stepcell(&database);
        command.args(["component", "sign"]).arg(&probe).arg("--key").arg(path(key)).arg("--out").arg(path(out));
        succeeds(&mut command);
    };
    sign("ours.key", "ours.sig");
    sign("strangers.key", "strangers.sig");

    let for_acme = |more: &[&str]| {
        let mut command = stepcell(&database);
        push(&mut command, "probe", "1.0.0", &probe).args(["--tenant", "acme"]).args(more).current_dir(folder.path());
        command
    };
    assert!(refused(&mut for_acme(&[]), 1).contains("is not signed"));
    assert!(refused(&mut for_acme(&["--signature", "strangers.sig"]), 1).contains(&strangers));
    succeeds(&mut for_acme(&["--signature", "ours.sig"]));

    let inspected = json_of(stepcell(&database).args(["component", "inspect", "probe@1", "--tenant", "acme"]));
    assert_eq!((&inspected["signatures"][0]["key"], &inspected["tenant"]), (&json!(ours), &json!("acme")));
    let verify = |more: &[&str]| {
        let mut command = stepcell(&database);
        command.args(["component", "verify"]).arg(&probe).args(more).current_dir(folder.path());
        command
    };
    succeeds(&mut verify(&["--signature", "ours.sig", "--trusted-key", &ours]));
    assert!(
        refused(&mut verify(&["--signature", "ours.sig", "--trusted-key", &strangers]), 2)
            .contains("none that is trusted")
    );
    std::fs::write(&probe, component("noop")).unwrap();
    assert!(refused(&mut verify(&["--signature", "ours.sig"]), 2).contains("the signature is for the component"));
}

#[test]
fn what_a_definition_asks_for_is_listed_with_what_the_policy_allows_and_what_was_used_is_summed() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("grants.db");
    succeeds(push(&mut stepcell(&database), "probe", "1.0.0", &guests_dir().join("probe.wasm")));
    let step = "{ type: machine, component: probe@1, config: { do: { do: secret, name: TOKEN } }, retry: { max_attempts: 1 }, \
                grants: { http: ['https://api.acme.example'], secrets: [TOKEN], clock: real } }";
    apply(&database, "asks", step);
    let policy = folder.path().join("policy.yaml");
    std::fs::write(
        &policy,
        "schema: stepcell-policy/v1\ntenants: { acme: { grants: { http: ['https://*.acme.example'] } } }\n",
    )
    .unwrap();
    succeeds(stepcell(&database).args(["policy", "apply"]).arg(&policy));

    let of_acme = json_of(stepcell(&database).args(["definition", "grants", "asks", "--tenant", "acme"]));
    let of_nobody = json_of(stepcell(&database).args(["definition", "grants", "asks"]));
    let allowed = |listed: &Value| {
        let grants = listed["items"][0]["grants"].as_array().unwrap().iter();
        grants.map(|grant| (grant["kind"].as_str().unwrap().to_owned(), grant["allowed"] == true)).collect::<Vec<_>>()
    };
    let expected = |http| [("http".to_owned(), http), ("secret".to_owned(), false), ("clock".to_owned(), false)];
    assert_eq!((allowed(&of_acme), allowed(&of_nobody)), (expected(true).to_vec(), expected(false).to_vec()));
    assert_eq!(of_acme["items"][0]["purity"], "effectful", "its clock could be real");

    let mut run = stepcell(&database);
    run.args(["run", "--db"]).arg(&database).arg(folder.path().join("asks.yaml"));
    assert_eq!(json_of(&mut run)["error"]["code"], "secret-not-granted");
    let usage = json_of(stepcell(&database).args(["tenant", "usage"]));
    assert_eq!(usage["total"], 1, "{usage}");
    let used = &usage["items"][0];
    // The attempt, and its `on-failure`.
    assert_eq!((&used["tenant"], &used["attempts"], &used["denials"]), (&Value::Null, &json!(2), &json!(1)));
    let history = json_of(stepcell(&database).args(["instance", "list"]));
    let id = history["items"][0]["id"].as_str().unwrap();
    let history = json_of(stepcell(&database).args(["instance", "history", id]));
    let failed = history["items"].as_array().unwrap().iter().find(|event| event["type"] == "step_failed").unwrap();
    let denial = json!([{ "wanted": "secret", "name": "TOKEN", "count": 1 }]);
    assert!(history.to_string().contains(&denial.to_string()), "{failed}");
}
