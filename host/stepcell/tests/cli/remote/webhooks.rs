//! Outgoing webhooks and counts, on a server and on its database.

use serde_json::{Value, json};

use super::kit::Office;

const URL: &str = "https://example.com/hooks";

fn id_of(made: &Value) -> String {
    made["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_subscription_is_made_changed_and_deleted_and_its_secret_is_told_twice_at_most() {
    let office = Office::empty();
    let create = ["webhook", "create", URL, "--type", "workflow_failed", "--definition", "pay", "--tenant", "acme"];

    let made = office.json(&create);
    let id = id_of(&made);
    let rotated = office.json(&["webhook", "rotate-secret", &id]);
    office.assert_shown_alike(&["webhook", "list"]);
    office.assert_shown_alike(&["webhook", "show", &id]);
    let changed = office.json(&["webhook", "update", &id, "--type", "", "--description", "ours", "--active", "false"]);

    assert_eq!((&made["tenant_id"], &made["types"]), (&json!("acme"), &json!(["workflow_failed"])));
    for (told, before) in [(&made, ""), (&rotated, made["secret"].as_str().unwrap())] {
        let secret = told["secret"].as_str().unwrap();
        assert!(secret.starts_with("whsec_") && secret != before, "{told}");
    }
    assert!(!office.run(&["webhook", "list", "--output", "json"]).stdout.contains("whsec_"));
    assert_eq!((&changed["types"], &changed["definition_name"]), (&json!([]), &json!("pay")));
    assert_eq!(
        (&changed["description"], &changed["is_active"], &changed["url"]),
        (&json!("ours"), &json!(false), &json!(URL))
    );
    office.run_as("acme-viewer", &["webhook", "list"]).exits(1).tells("the scope `operator`");
    assert_eq!(office.json(&["webhook", "delete", &id]), json!({ "id": id, "deleted": true }));
    office.run(&["webhook", "show", &id]).exits(3).tells("there is no webhook");
    office.run(&["webhook", "create", "nowhere"]).exits(1);
}

#[test]
fn a_subscription_is_kept_in_a_database_as_on_its_server() {
    let office = Office::empty();

    let made = office.desk.json(&["webhook", "create", URL, "--user", "ann"]);
    let id = id_of(&made);
    office.assert_shown_alike(&["webhook", "show", &id]);
    let changed = office.desk.json(&["webhook", "update", &id, "--url", "https://example.com/x", "--active", "false"]);
    office.desk.run(&["webhook", "ping", &id]).exits(3).tells("activate it first");
    office.desk.run(&["webhook", "redeliver", &id]).exits(3).tells("activate it first");

    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"), "{made}");
    assert_eq!((&made["created_by"], &changed["url"]), (&json!("ann"), &json!("https://example.com/x")));
    assert_ne!(office.desk.json(&["webhook", "rotate-secret", &id])["secret"], made["secret"]);
    office.desk.run(&["webhook", "delete", &id]).exits(0);
    office.desk.run(&["webhook", "delete", &id]).exits(3).tells("there is no webhook");
    assert_eq!(office.json(&["webhook", "list"])["total"], 0);
}

#[test]
fn a_ping_is_a_delivery_that_is_shown_and_sent_anew() {
    let office = Office::empty();
    // Nobody is there: an address of this machine is refused before anything is sent.
    let id = id_of(&office.json(&["webhook", "create", "http://127.0.0.1:9/hooks"]));

    let ping = office.json(&["webhook", "ping", &id]);
    let delivery = id_of(&ping);
    let listed = office.json(&["webhook", "deliveries", &id]);
    let shown = office.json(&["webhook", "delivery", &id, &delivery]);
    let again = office.json(&["webhook", "redeliver", &id, &delivery]);

    assert_eq!(
        (&ping["type"], &listed["total"], &listed["items"][0]["id"]),
        (&json!("ping"), &json!(1), &json!(delivery))
    );
    assert_eq!((&shown["body"]["type"], &again["id"]), (&json!("ping"), &json!(delivery)));
    let told = office.run(&["webhook", "redeliver", &id, &delivery]).exits(0);
    assert_eq!(told.stdout, format!("delivery {delivery} will be sent\n"));
    assert_eq!(office.json(&["webhook", "redeliver", &id, "--since", "2099-01-31T12:00:00Z"]), json!({ "count": 0 }));
    office.run(&["webhook", "redeliver", &id, "--since", "soon"]).exits(1).tells("RFC 3339");
    office
        .desk
        .run(&["webhook", "delivery", &id, "0198c0de-0000-7000-8000-000000000000"])
        .exits(3)
        .tells("no delivery");
}

#[test]
fn what_there_is_is_counted_alike() {
    let office = Office::with_waiting_instance();

    let counted = office.json(&["stats"]);

    assert_eq!((&counted["instances"], &counted["tasks_pending"]), (&json!({ "waiting": 1 }), &json!(1)));
    office.assert_shown_alike(&["stats"]);
    let of_tenant = office.run_as("acme-viewer", &["stats", "--output", "json"]).exits(0).json();
    assert_eq!((&of_tenant["instances"], &of_tenant["letters"]), (&json!({}), &json!(null)));
}
