//! Whose definitions are: a tenant's own, and those that all share.

use crate::tool::{APPROVAL, Desk};

/// A desk with the approval workflow, shared in 1.0.0, and acme's own in 2.0.0 that eve reviews.
fn desk_with_two_owners() -> Desk {
    let desk = Desk::new();
    desk.write("shared.yaml", APPROVAL);
    desk.write("own.yaml", &APPROVAL.replace("dana", "eve").replace("1.0.0", "2.0.0"));
    desk.run(&["definition", "apply", "shared.yaml"]).exits(0);
    desk.run(&["definition", "apply", "own.yaml", "--tenant", "acme"]).exits(0);
    desk
}

#[test]
fn a_name_means_what_it_means_to_the_tenant() {
    let desk = desk_with_two_owners();

    let started = |more: &[&str]| {
        let start = ["start", "approval", "--data", r#"{"amount": 1}"#, "--wait"];
        desk.json(&[&start[..], more].concat())
    };
    let version =
        |more: &[&str]| desk.json(&[&["definition", "show", "approval"][..], more].concat())["version"].clone();

    let (of_acme, of_globex, of_nobody) =
        (started(&["--tenant", "acme"]), started(&["--tenant", "globex"]), started(&[]));
    assert_eq!((&of_acme["workflow_version"], &of_acme["tasks"][0]["assignee_id"]), (&"2.0.0".into(), &"eve".into()));
    for other in [of_globex, of_nobody] {
        assert_eq!((&other["workflow_version"], &other["tasks"][0]["assignee_id"]), (&"1.0.0".into(), &"dana".into()));
    }
    assert_eq!(version(&["--tenant", "acme"]), "2.0.0");
    assert_eq!(version(&["--tenant", "globex"]), "1.0.0");
    assert_eq!(version(&[]), "1.0.0");
    desk.run(&["definition", "graph", "approval", "--tenant", "acme", "--version", "2.0.0"]).exits(0);
    desk.run(&["definition", "graph", "approval", "--version", "2.0.0"])
        .exits(3)
        .tells("there is no workflow `approval` 2.0.0");
    desk.run(&["definition", "grants", "approval", "--tenant", "acme", "--version", "1.0.0"]).exits(3);
}

#[test]
fn everybodys_definitions_are_listed_with_whose_they_are() {
    let desk = desk_with_two_owners();

    let all = desk.run(&["definition", "list"]).exits(0);
    insta::assert_snapshot!(all.stdout, @"
    NAME      VERSION  STATUS  TENANT  DESCRIPTION
    approval  1.0.0    active  -       A person looks at it.
    approval  2.0.0    active  acme    A person looks at it.
    ");
    let listed = desk.json(&["definition", "list"]);
    assert_eq!((&listed["items"][0]["tenant_id"], &listed["items"][1]["tenant_id"]), (&().into(), &"acme".into()));
    let fields: Vec<_> = listed["items"][1].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["name", "version", "description", "is_active", "created_at", "tenant_id"]);
    let of_acme = desk.json(&["definition", "list", "--tenant", "acme", "--all"]);
    assert_eq!((&of_acme["total"], &of_acme["items"][0]["version"]), (&1.into(), &"2.0.0".into()));
    assert_eq!(desk.json(&["definition", "list", "--tenant", "globex"])["items"][0]["version"], "1.0.0");
}

#[test]
fn a_table_says_nothing_of_tenants_where_all_is_shared() {
    let desk = Desk::new();
    desk.write("approval.yaml", APPROVAL);
    desk.run(&["definition", "apply", "approval.yaml"]).exits(0);

    let listed = desk.run(&["definition", "list"]).exits(0).stdout;

    assert!(listed.starts_with("NAME      VERSION  STATUS  DESCRIPTION\n"), "{listed}");
    let shown = desk.run(&["definition", "show", "approval"]).exits(0).stdout;
    assert!(!shown.contains("tenant"), "{shown}");
}

#[test]
fn a_tenant_changes_its_own_alone() {
    let desk = desk_with_two_owners();
    let of_globex = ["--version", "1.0.0", "--tenant", "globex"];

    for verb in ["deactivate", "unregister"] {
        desk.run(&[&["definition", verb, "approval"][..], &of_globex].concat()).exits(3);
    }
    desk.run(&["definition", "deactivate", "approval", "--version", "2.0.0"])
        .exits(3)
        .tells("there is no workflow `approval` 2.0.0");
    assert_eq!(desk.json(&["definition", "list"])["total"], 2);

    let own = ["--version", "2.0.0", "--tenant", "acme"];
    for (verb, told) in [("deactivate", "deactivated approval 2.0.0\n"), ("unregister", "removed approval 2.0.0\n")] {
        assert_eq!(desk.run(&[&["definition", verb, "approval"][..], &own].concat()).exits(0).stdout, told);
    }
    assert_eq!(desk.json(&["definition", "show", "approval", "--tenant", "acme"])["version"], "1.0.0");
}

#[test]
fn a_file_is_run_and_applied_as_the_tenants_own() {
    let desk = Desk::new();
    desk.write("approval.yaml", APPROVAL);

    let run = ["run", "approval.yaml", "--db", "stepcell.db", "--data", r#"{"amount": 1}"#, "--tenant", "acme"];
    desk.run(&run).exits(0);
    let applied = desk.json(&["definition", "apply", "approval.yaml", "--tenant", "acme"]);
    let shared = desk.json(&["definition", "apply", "approval.yaml"]);

    assert_eq!((&applied["items"][0]["is_new"], &applied["items"][0]["tenant_id"]), (&false.into(), &"acme".into()));
    assert_eq!((&shared["items"][0]["is_new"], &shared["items"][0]["tenant_id"]), (&true.into(), &().into()));
    let fields: Vec<_> = applied["items"][0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields.last(), Some(&"tenant_id"));
    let shown = desk.run(&["definition", "show", "approval", "--tenant", "acme"]).exits(0).stdout;
    assert!(shown.contains("tenant    acme\n"), "{shown}");
}
