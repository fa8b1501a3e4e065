//! Tenants, keys and the audit log from the command line.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use rustix::process::Signal;
use serde_json::json;

use crate::tool::Desk;

/// Asks for a path with a key, and returns the first line of the answer.
fn status(address: &str, path: &str, key: &str) -> String {
    ask(address, "GET", path, key)
}

fn ask(address: &str, method: &str, path: &str, key: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("host: here\r\nconnection: close\r\nauthorization: Bearer {key}\r\n");
    write!(stream, "{method} {path} HTTP/1.1\r\n{head}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_tenant_is_added_limited_suspended_and_resumed() {
    let desk = Desk::new();
    desk.run(&["tenant", "add", "acme", "--name", "Acme & sons"]).exits(0);

    desk.run(&["tenant", "add", "acme"]).exits(3).tells("there is a tenant `acme` already");
    desk.run(&["tenant", "quota", "acme"]).exits(1).tells("there is no quota to set");
    desk.run(&["tenant", "quota", "acme", "--open-instances", "5", "--components", "2"]).exits(0);
    let changed = desk.json(&["tenant", "quota", "acme", "--components", "none"]);
    let suspended = desk.json(&["tenant", "suspend", "acme"]);
    let listed = desk.json(&["tenant", "list"]);
    desk.run(&["tenant", "resume", "acme"]).exits(0);
    let shown = desk.json(&["tenant", "show", "acme"]);

    assert_eq!((&changed["quotas"]["open_instances"], &changed["quotas"]["components"]), (&json!(5), &json!(null)));
    assert_eq!((&suspended["status"], &listed["items"][0]["status"]), (&json!("suspended"), &json!("suspended")));
    assert_eq!((&shown["status"], &shown["display_name"]), (&json!("active"), &json!("Acme & sons")));
    assert_eq!(shown["used"]["open_instances"], 0);
    desk.run(&["tenant", "suspend", "nobody"]).exits(3).tells("there is no tenant `nobody`");
}

#[test]
fn a_key_is_printed_once_and_lets_its_owner_in_until_it_is_revoked() {
    let desk = Desk::new();
    let made = desk.json(&["key", "create", "--scope", "viewer", "--user", "ann", "--expires", "90d"]);
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let (_serving, address) = desk.serve_http(&[]);

    let before = status(&address, "/api/v1/instances", key);
    let listed = desk.run(&["key", "list"]).exits(0);
    desk.run(&["key", "revoke", id]).exits(0);
    while status(&address, "/api/v1/instances", key).contains("200") {}

    assert!(before.contains("200"), "{before}");
    assert!(listed.stdout.contains(&key[4..12]) && !listed.stdout.contains(&key[13..]), "{}", listed.stdout);
    assert_eq!(desk.json(&["key", "list"])["items"][0]["state"], "revoked");
    assert!(status(&address, "/api/v1/instances", key).contains("401"));
}

#[test]
fn a_key_of_a_tenant_that_is_not_there_is_not_made() {
    let desk = Desk::new();

    desk.run(&["key", "create", "--scope", "admin", "--tenant", "acme"]).exits(3).tells("there is no tenant `acme`");
    desk.run(&["key", "create", "--scope", "root"]).exits(1).tells("is none of viewer, worker");
    desk.run(&["key", "create"]).exits(1).tells("--scope");
}

#[test]
fn a_key_is_somebodys_and_ends_after_a_time_or_at_a_moment() {
    let desk = Desk::new();

    desk.run(&["key", "create", "--scope", "viewer"]).exits(1).tells("`--user ID`");
    let first = desk.json(&["key", "create", "--scope", "admin", "--expires", "2099-01-31T12:00:00Z"]);
    desk.run(&["key", "create", "--scope", "admin", "--expires", "2001-01-31T12:00:00Z"]).exits(1);
    desk.run(&["key", "create", "--scope", "admin", "--expires", "soon"]).exits(1).tells("written in RFC 3339");

    assert_eq!((&first["user_id"], &first["expires_at"]), (&json!("admin"), &json!("2099-01-31T12:00:00.000Z")));
}

#[test]
fn a_server_without_any_key_says_how_the_first_is_made() {
    let desk = Desk::new();
    let (serving, lines) = desk.serve_from_the_first_line();
    drop(serving);
    let told = lines.iter().find(|line| line.contains("stepcell key create")).unwrap().trim().to_owned();
    let command: Vec<_> = told.split_whitespace().skip(1).collect();

    let key = desk.run(&command).exits(0).tells("it is shown this once").stdout;
    let (_serving, lines) = desk.serve_from_the_first_line();

    assert!(key.starts_with("sck_"), "{key}");
    assert!(!lines.iter().any(|line| line.contains("key create")), "{lines:?}");
    assert_eq!(desk.json(&["audit", "list"])["total"], 0);
}

/// Asks for so many changes of a server with a key of the platform, all of which are refused, and stops it.
fn ask_and_stop(desk: &Desk, count: u32) {
    let made = desk.json(&["key", "create", "--scope", "admin", "--user", "ann"]);
    let (serving, address) = desk.serve_http(&[]);
    for number in 0..count {
        let path = format!("/api/v1/secrets/S{number}");
        let answer = ask(&address, "DELETE", &path, made["key"].as_str().unwrap());
        assert!(answer.contains("404"), "{answer}");
    }
    assert_eq!(serving.stop_by(Signal::TERM).0, Some(0));
}

#[test]
fn what_a_server_answered_before_it_stopped_is_in_the_audit_log() {
    let desk = Desk::new();

    ask_and_stop(&desk, 20);

    let log = desk.json(&["audit", "list"]);
    assert_eq!((&log["total"], &log["items"][0]["target"]), (&json!(20), &json!("/secrets/S19")));
    assert_eq!(desk.json(&["audit", "list", "--action", "secret.delete"])["total"], 20);
    desk.run(&["audit", "list", "--action", "nonsense"]).exits(1).tells("`nonsense` is no action of the API");
}

#[test]
fn a_server_lets_go_of_records_that_are_too_old() {
    let desk = Desk::new();
    ask_and_stop(&desk, 3);

    let mut serving = desk.serve_with(&["--audit-retention", "1ms"]);
    let said = serving.line();

    assert!(said.starts_with("deleted 3 records of the audit log from before"), "{said}");
    assert_eq!(serving.stop_by(Signal::TERM).0, Some(0));
    assert_eq!(desk.json(&["audit", "list"])["total"], 0);
}
