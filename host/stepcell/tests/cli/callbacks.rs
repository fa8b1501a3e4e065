//! `webhook`: callbacks as whoever calls back delivers them, and where they go.

use rustix::process::Signal;

use crate::tool::Desk;

/// A callback, and a signed one after it.
const CALLED_BACK: &str = "\
schema: stepcell/v1
name: called-back
version: 1.0.0
initial_step: receipt
steps:
  receipt: { type: webhook, callback_key: receipt }
  signed: { type: webhook, signed: true }
  look: { type: human }
edges:
  - { source: receipt, target: signed }
  - { source: signed, target: look }
";

fn deliver<'a>(instance: &'a str, step: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["webhook", "deliver", "--instance", instance, "--step", step], more].concat()
}

#[test]
fn a_callback_takes_its_instance_on_and_the_same_once_more_has_no_effect() {
    let (desk, instance) = Desk::with_instance_of(CALLED_BACK, "{}");

    let said = desk.run(&deliver(&instance, "receipt", &["--data", r#"{"paid": true}"#, "--id", "d1"])).exits(0);
    assert!(said.stdout.contains("waiting at step `signed`"), "{}", said.stdout);
    let repeated = desk.run(&deliver(&instance, "receipt", &["--data", r#"{"paid": false}"#, "--id", "d1"]));
    repeated.exits(0).tells("This callback was delivered before; nothing was changed.");

    let shown = desk.json(&deliver(&instance, "signed", &["--data", "1"]));
    assert_eq!(shown["current_step"], "look");
    assert_eq!(shown["data"]["receipt"]["paid"], true);
    assert_eq!((&shown["history"][1]["step"], &shown["history"][1]["output"]), (&"signed".into(), &1.into()));
    desk.run(&["check"]).exits(0);
}

#[test]
fn an_early_callback_is_kept_and_used() {
    let (desk, instance) = Desk::with_instance_of(CALLED_BACK, "{}");

    let early = desk.json(&deliver(&instance, "signed", &["--id", "s1"]));
    assert_eq!(early["current_step"], "receipt");
    let done = desk.json(&deliver(&instance, "receipt", &[]));

    assert_eq!(done["current_step"], "look");
}

#[test]
fn the_suggested_commands_deliver_and_tell_the_address() {
    let (desk, instance) = Desk::with_instance_of(CALLED_BACK, "{}");

    let said = desk.run(&["instance", "show", &instance]).exits(0).stderr;

    assert!(said.contains("waits for a callback at `receipt`"), "{said}");
    let commands: Vec<_> = said.lines().filter_map(|line| line.trim().strip_prefix("stepcell ")).collect();
    let call = |command: &str| {
        let mut shell = std::process::Command::new("sh");
        shell.arg("-c").arg(format!("{} {command}", env!("CARGO_BIN_EXE_stepcell"))).current_dir(desk.path(""));
        Desk::said(&mut shell).exits(0).stdout
    };
    assert!(call(commands[1]).starts_with(&format!("path    /callbacks/{instance}/receipt/")));
    assert!(call(commands[0]).contains("waiting at step `signed`"));
}

#[test]
fn an_address_is_told_with_its_secrets_which_are_logged_nowhere() {
    let (desk, instance) = Desk::with_instance_of(CALLED_BACK, "{}");
    let address = |step| ["webhook", "address", "--instance", &instance, "--step", step].map(str::to_owned);
    let json = |step| desk.json(&address(step).each_ref().map(String::as_str));

    let (open, signed) = (json("receipt"), json("signed"));

    let keys: Vec<_> = signed.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["instance", "step", "path", "token", "signing_secret"]);
    let token = signed["token"].as_str().unwrap();
    assert_eq!(signed["path"], format!("/callbacks/{instance}/signed/{token}"));
    let secret = signed["signing_secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_"), "{secret}");
    assert_eq!(open["signing_secret"], serde_json::Value::Null);
    assert_ne!(open["token"], signed["token"]);
    let said = desk.run(&[&deliver(&instance, "signed", &["--log", "trace"])[..]].concat()).exits(0);
    assert!(!said.stderr.contains(token) && !said.stderr.contains(secret), "{}", said.stderr);
}

#[test]
fn what_is_no_webhook_step_has_no_address_and_a_finished_instance_takes_no_callback() {
    let (desk, instance) = Desk::with_instance_of(CALLED_BACK, "{}");

    desk.run(&deliver(&instance, "look", &[])).exits(3).tells("there are receipt, signed");
    desk.run(&deliver(&instance, "nothing", &[])).exits(3).tells("`nothing` is no webhook step");
    desk.run(&["webhook", "address", "--instance", &instance, "--step", "look"]).exits(3).tells("no webhook step");
    desk.run(&deliver(&instance, "no step", &[])).exits(1);
    desk.run(&deliver(&instance, "receipt", &["--data", "{"])).exits(1).tells("this is not JSON");
    desk.run(&deliver(&instance, "receipt", &["--id", ""])).exits(1).tells("1 to 256 bytes");
    desk.run(&["instance", "cancel", &instance, "--reason", "x"]).exits(0);
    desk.run(&deliver(&instance, "receipt", &[])).exits(3).tells("is already canceled");
    desk.run(&deliver("0198c0de-0000-7000-8000-000000000000", "receipt", &[])).exits(3).tells("instance list");
}

#[test]
fn beside_a_driver_a_callback_is_delivered_and_that_one_goes_on() {
    let (desk, instance) = Desk::with_instance_of(CALLED_BACK, "{}");
    let serving = desk.serve();

    let said = desk.run(&deliver(&instance, "receipt", &[])).exits(0);

    said.tells("The callback is delivered; another process goes on with the instance");
    assert_eq!(serving.stop_by(Signal::TERM).0, Some(0));
    desk.run(&["check"]).exits(0);
}
