//! The real binary, killed in the middle of a step: what was finished stays, what ran goes on.

use stepcell_tests::built::guests_dir;

use crate::binary::{json_of, serve, stepcell, wait_for};

#[test]
fn a_host_that_is_killed_in_the_middle_of_a_step_goes_on_with_it_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("killed.db");
    let definition = folder.path().join("slow.yaml");
    let text = "schema: stepcell/v1
name: slow
version: 1.0.0
initial_step: first
steps:
  first: { type: machine, component: probe@1 }
  second: { type: machine, component: probe@1, config: { do: { do: sleep, ms: 1500 } }, retry: { initial_delay: 10ms } }
edges: [{ source: first, target: second }]
";
    std::fs::write(&definition, text).unwrap();
    let probe = guests_dir().join("probe.wasm");
    let push =
        stepcell(&database).args(["component", "push", "--name", "probe", "--version", "1.0.0"]).arg(probe).status();
    assert!(push.unwrap().success());
    assert!(stepcell(&database).args(["definition", "apply"]).arg(&definition).status().unwrap().success());
    let started = json_of(stepcell(&database).args(["start", "slow", "--data", "{}"]));
    let id = started["id"].as_str().unwrap().to_owned();

    let mut server = serve(&database);
    wait_for(&database, &id, "step_started", "second", 1);
    server.kill();
    let killed = json_of(stepcell(&database).args(["instance", "show", &id]));
    assert_eq!(killed["status"], "running");
    let _server = serve(&database);
    wait_for(&database, &id, "step_completed", "second", 1);

    let instance = json_of(stepcell(&database).args(["instance", "show", &id]));
    assert_eq!(instance["status"], "completed");
    let executions = instance["history"].as_array().unwrap();
    assert_eq!(executions.len(), 2, "finished steps do not run again: {instance}");
    assert_eq!(executions[0]["attempts"], 1);
    assert_eq!(executions[1]["attempts"], 2, "the attempt that was killed counts: {instance}");
    assert!(stepcell(&database).arg("check").status().unwrap().success());
}

#[test]
fn a_host_that_drains_ends_what_is_under_way_begins_nothing_and_leaves_nothing_to_recover() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("drained.db");
    let definition = folder.path().join("slow.yaml");
    let text = "schema: stepcell/v1
name: slow
version: 1.0.0
initial_step: first
steps:
  first: { type: machine, component: probe@1, config: { do: { do: sleep, ms: 1500 } } }
  second: { type: machine, component: probe@1 }
edges: [{ source: first, target: second }]
";
    std::fs::write(&definition, text).unwrap();
    let probe = guests_dir().join("probe.wasm");
    let push =
        stepcell(&database).args(["component", "push", "--name", "probe", "--version", "1.0.0"]).arg(probe).status();
    assert!(push.unwrap().success());
    assert!(stepcell(&database).args(["definition", "apply"]).arg(&definition).status().unwrap().success());
    // Each step is on disk before it runs, so that it can be seen from outside.
    let policy = folder.path().join("policy.yaml");
    std::fs::write(&policy, "schema: stepcell-policy/v1\ndefault: { durability: each_step }\n").unwrap();
    assert!(stepcell(&database).args(["policy", "apply"]).arg(&policy).status().unwrap().success());
    let started = json_of(stepcell(&database).args(["start", "slow", "--data", "{}"]));
    let id = started["id"].as_str().unwrap().to_owned();
    let server = serve(&database);
    wait_for(&database, &id, "step_started", "first", 1);

    let exit = server.terminate();

    assert_eq!(exit, Some(0));
    let log_len = std::fs::metadata(folder.path().join("drained.db-wal")).map_or(0, |log| log.len());
    assert_eq!(log_len, 0, "everything is in the database itself");
    let drained = json_of(stepcell(&database).args(["instance", "show", &id]));
    let executions = drained["history"].as_array().unwrap();
    assert_eq!((executions[0]["status"].as_str(), executions[0]["attempts"].as_u64()), (Some("succeeded"), Some(1)));
    let _server = serve(&database);
    wait_for(&database, &id, "step_completed", "second", 1);
    let instance = json_of(stepcell(&database).args(["instance", "show", &id]));
    assert_eq!(instance["status"], "completed");
    let attempts: Vec<_> = instance["history"].as_array().unwrap().iter().map(|step| &step["attempts"]).collect();
    assert_eq!(attempts, [1, 1], "nothing was cut off: {instance}");
}
