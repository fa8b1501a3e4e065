//! Tenants, keys, secrets and the audit log of a server.

use serde_json::json;

use super::kit::Office;

#[test]
fn a_tenant_is_added_limited_and_suspended() {
    let office = Office::empty();

    office.run(&["tenant", "add", "globex", "--name", "Globex"]).exits(0);
    office.run(&["tenant", "add", "globex"]).exits(3).tells("there is a tenant `globex` already");
    office.run(&["tenant", "quota", "globex", "--open-instances", "5", "--components", "2"]).exits(0);
    let changed = office.json(&["tenant", "quota", "globex", "--components", "none"]);
    let suspended = office.json(&["tenant", "suspend", "acme"]);

    assert_eq!((&changed["quotas"]["open_instances"], &changed["quotas"]["components"]), (&json!(5), &json!(null)));
    assert_eq!(suspended["status"], "suspended");
    office.assert_shown_alike(&["tenant", "list"]);
    office.assert_shown_alike(&["tenant", "show", "globex"]);
    office.run_as("acme-viewer", &["task", "list"]).exits(1).tells("suspended");
    office.run(&["tenant", "resume", "acme"]).exits(0);
    office.run_as("acme-viewer", &["task", "list"]).exits(0);
    office.run_as("acme-admin", &["tenant", "list"]).exits(1).tells("administrators of the platform");
    assert_eq!(office.run_as("acme-viewer", &["tenant", "show", "--output", "json"]).exits(0).json()["id"], "acme");
    office.run_as("acme-viewer", &["tenant", "show", "globex"]).exits(3).tells("there is no tenant `globex`");
    office.run(&["tenant", "show"]).exits(3).tells("of no tenant");
    office.desk.run(&["tenant", "show"]).exits(1).tells("say which tenant");
    office.run(&["tenant", "show", "nobody"]).exits(3).tells("there is no tenant `nobody`");
}

#[test]
fn a_key_is_made_once_shown_once_and_revoked() {
    let office = Office::empty();
    let create =
        ["key", "create", "--scope", "viewer,worker", "--user", "eve", "--group", "finance", "--expires", "90d"];

    let made = office.run_as("acme-admin", &[&create[..], &["--output", "json"]].concat()).exits(0).json();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    office.desk.write("eve", key);
    office.run_as("eve", &["task", "list"]).exits(0);

    assert_eq!(
        (&made["tenant_id"], &made["user_id"], &made["created_by"]),
        (&json!("acme"), &json!("eve"), &json!("ann"))
    );
    assert_eq!(made["scopes"], json!(["viewer", "worker"]));
    let listed = office.json(&["key", "list", "--tenant", "acme"]);
    assert_eq!((&listed["total"], listed.to_string().contains(key)), (&json!(3), false));
    assert_eq!(office.json(&["key", "revoke", id])["state"], "revoked");
    office.run_as("eve", &["task", "list"]).exits(1);
    office.run_as("acme-admin", &["key", "revoke", "0198c0de-0000-7000-8000-000000000000"]).exits(3);
}

#[test]
fn a_secret_is_kept_and_deleted_and_never_told() {
    let office = Office::empty();
    office.desk.write("value", "correct horse battery staple\n");

    let set = office.json(&["secret", "set", "billing", "--from-file", "value", "--tenant", "acme"]);
    office.assert_shown_alike(&["secret", "list"]);
    let deleted = office.json(&["secret", "delete", "billing", "--tenant", "acme"]);

    assert_eq!((&set["set"], &deleted["deleted"], &set["tenant"]), (&json!(true), &json!(true), &json!("acme")));
    office.run(&["secret", "delete", "billing", "--tenant", "acme"]).exits(3).tells("there is no secret `billing`");
    office.desk.write("short", "x");
    office.run(&["secret", "set", "billing", "--from-file", "short"]).exits(1);
}

#[test]
fn the_audit_log_tells_who_did_what() {
    let office = Office::empty();
    office.run(&["tenant", "add", "globex"]).exits(0);
    let list = ["audit", "list", "--action", "tenant.create"];

    // A record shows a moment after its request was answered.
    while office.json(&list)["total"] != 1 {}

    let listed = office.json(&list);
    assert_eq!((&listed["items"][0]["user_id"], &listed["items"][0]["outcome"]), (&json!("dana"), &json!("done")));
    office.assert_shown_alike(&list);
    office.run(&["audit", "list", "--before", "9"]).exits(1).tells("`--limit`");
}
