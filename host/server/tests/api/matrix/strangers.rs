//! Every operation by those who were let in before and are no longer, and by those who try other tenants' ids.

use stepcell_engine::{KEY_ROOM, NewKey};
use stepcell_model::access::{Scope, Scopes};
use stepcell_model::time::Timestamp;

use super::*;

/// A tenant's key that was revoked, and one that is expired.
async fn keys_that_do_not_hold(api: &TestApi) -> [String; 2] {
    let new = || NewKey {
        name: "x".parse().unwrap(),
        tenant: Some("acme".parse().unwrap()),
        user: "ann".parse().unwrap(),
        groups: Vec::new(),
        scopes: Scopes::of(&[Scope::Admin]),
        expires_at: None,
        created_by: None,
    };
    let (key, revoked) = api.engine.create_key(new()).await.unwrap();
    assert_eq!(api.get(revoked.expose(), "/api/v1/keys").await.status, StatusCode::OK, "it held before");
    api.engine.revoke_key(key.id).await.unwrap();
    // Made elsewhere, as nobody makes one that is expired from the beginning.
    let elsewhere = TestApi::new().await;
    elsewhere.post("platform", "/api/v1/admin/tenants", &json!({ "id": "acme" })).await;
    let (mut key, expired) = elsewhere.engine.create_key(new()).await.unwrap();
    key.expires_at = Some(Timestamp::from_unix_ms(key.created_at.unix_ms() - 1));
    api.engine.store().insert_key(key, KEY_ROOM).await.unwrap();
    [revoked.expose().to_owned(), expired.expose().to_owned()]
}

#[tokio::test]
async fn no_operation_is_for_a_key_that_is_revoked_or_expired_or_for_a_tenant_that_is_suspended() {
    let ground = Ground::new().await;
    let [revoked, expired] = keys_that_do_not_hold(&ground.api).await;
    let cases = ground.cases().await;
    let suspend = json!({ "status": "suspended" });
    let suspended = ground.api.send_json("PATCH", "platform", "/api/v1/admin/tenants/acme", &suspend).await;
    assert_eq!(suspended.status, StatusCode::OK, "{}", suspended.text);

    let mut wrong = Vec::new();
    for operation in operations().await.iter().filter(|operation| operation.role != "public") {
        for (who, status, code) in [
            (revoked.as_str(), StatusCode::UNAUTHORIZED, "auth.key_refused"),
            (expired.as_str(), StatusCode::UNAUTHORIZED, "auth.key_refused"),
            ("acme-admin", StatusCode::FORBIDDEN, "tenant.suspended"),
            ("acme-viewer", StatusCode::FORBIDDEN, "tenant.suspended"),
        ] {
            let answer = ground.ask(who, &operation.method, &cases[operation.id.as_str()]).await;
            if answer.status != status || answer.code() != code {
                wrong.push(format!("{} by {who}: {}", operation.id, answer.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What there is of `acme`, each with something of the same form that there is not.
pub(super) fn pairs(ground: &Ground) -> Vec<(String, String)> {
    let ids = [&ground.waiting, &ground.failed, &ground.held, &ground.task, &ground.key, &ground.webhook];
    // The last digit of an id is one by chance.
    let other = |id: &String| {
        let last = if id.ends_with('0') { '1' } else { '0' };
        (id.clone(), format!("{}{last}", &id[..id.len() - 1]))
    };
    let names = [
        ("flow", "flew"),
        ("acme/echo", "acme/ecko"),
        ("TOKEN", "TAKEN"),
        ("=acme", "=axme"),
        ("tenants/acme", "tenants/axme"),
        ("`acme`", "`axme`"),
    ];
    let names = names.map(|(there, not)| (there.to_owned(), not.to_owned()));
    ids.into_iter().chain([&ground.digest, &ground.delivery]).map(other).chain(names).collect()
}

fn swapped(text: &str, pairs: &[(String, String)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (there, not)| text.replace(there, not))
}

/// A request about what there is not, where one is about what there is.
pub(super) fn about_nothing(case: &Case, pairs: &[(String, String)]) -> Option<Case> {
    let path = swapped(&case.path, pairs);
    let (sent, is_other) = match &case.sent {
        Sent::Json(body) => {
            let other: serde_json::Value = serde_json::from_str(&swapped(&body.to_string(), pairs)).unwrap();
            let is_other = other != *body;
            (Sent::Json(other), is_other)
        }
        Sent::Nothing => (Sent::Nothing, false),
        Sent::Component => (Sent::Component, false),
    };
    (is_other || path != case.path).then_some(Case { path, sent, others: case.others })
}

/// Lists that are asked for another tenant's things.
fn lists(ground: &Ground) -> Vec<Case> {
    let paths = [
        format!("/instances?parent_id={}", ground.waiting),
        "/instances?definition_name=flow".to_owned(),
        "/instances?tenant_id=acme".to_owned(),
        format!("/tasks?instance_id={}&status=all", ground.waiting),
        "/tasks?tenant_id=acme".to_owned(),
        "/definitions?tenant_id=acme".to_owned(),
        "/components?tenant_id=acme".to_owned(),
        "/keys?tenant_id=acme".to_owned(),
        "/audit?tenant_id=acme".to_owned(),
        "/usage?tenant_id=acme".to_owned(),
        "/webhooks?tenant_id=acme".to_owned(),
        "/stats?tenant_id=acme".to_owned(),
    ];
    paths.into_iter().map(|path| case(path, Sent::Nothing, Others::TheirOwnList)).collect()
}

/// All that an answer tells, with what there is not in place of what there is.
fn told(answer: &Answer, pairs: &[(String, String)]) -> (StatusCode, Vec<String>, String) {
    let head = answer.head.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    (answer.status, head, swapped(&answer.text, pairs))
}

#[tokio::test]
async fn nothing_tells_another_tenants_things_from_what_there_is_not() {
    let ground = Ground::new().await;
    let (cases, pairs) = (ground.cases().await, pairs(&ground));
    let hidden = [Others::NotThere, Others::NotForThem];
    let mut asked: Vec<(String, Case)> = Vec::new();
    for operation in operations().await {
        let case = &cases[operation.id.as_str()];
        if let Some(nothing) = about_nothing(case, &pairs).filter(|_| hidden.contains(&case.others)) {
            asked.push((operation.method, nothing));
        }
    }
    let count = asked.len();
    asked.extend(lists(&ground).iter().filter_map(|list| Some(("GET".to_owned(), about_nothing(list, &pairs)?))));
    let back: Vec<_> = pairs.iter().map(|(there, not)| (not.clone(), there.clone())).collect();

    let mut wrong = Vec::new();
    for (method, nothing) in &asked {
        let something = about_nothing(nothing, &back).unwrap();
        let of_nothing = ground.ask("other-admin", method, nothing).await;
        let of_something = ground.ask("other-admin", method, &something).await;
        if told(&of_nothing, &pairs) != told(&of_something, &pairs) {
            wrong.push(format!("{method} {}: {of_something:?}\nand not {of_nothing:?}", something.path));
        }
    }

    assert!(count >= 35, "{count} operations are about a thing");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
