//! Subscriptions on a server.

use serde::Deserialize;
use serde_json::{Value, json};
use stepcell_webhooks::{WebhookChange, WebhookEdit};

use super::outgoing::{
    Deliveries, List, Named, One, Outgoing, Redeliver, print_count, print_deleted, print_deliveries, print_delivery,
    print_done, print_one, print_rows, print_sent, print_with_secret,
};
use crate::cli::open::Settings;
use crate::cli::remote::{Ask, Server, not_on_server};

/// How many dead deliveries are sent anew.
#[derive(Debug, Deserialize)]
struct Anew {
    count: u64,
}

/// What a subscription shall say, as a server reads it.
fn body_of(wanted: &WebhookChange) -> Value {
    json!({
        "url": wanted.url,
        "types": wanted.types,
        "definition_name": wanted.workflow,
        "description": wanted.description,
        "is_active": wanted.is_active,
    })
}

/// What is to change of a subscription, as a server reads it.
fn body_of_edit(edit: &WebhookEdit) -> Value {
    let WebhookEdit { url, types, workflow, description, is_active } = edit;
    let fields = [
        ("url", url.as_ref().map(|url| json!(url))),
        ("types", types.as_ref().map(|types| json!(types))),
        ("definition_name", workflow.as_ref().map(|name| json!(name))),
        ("description", description.as_ref().map(|text| json!(text))),
        ("is_active", is_active.map(|is_active| json!(is_active))),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

impl Outgoing {
    pub(super) async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<()> {
        match self {
            Self::List(List { tenant }) => {
                let ask = Ask::get(&["webhooks"]).query("tenant_id", tenant);
                print_rows(settings, &server.all(ask).await?.items)
            }
            Self::Show(Named { id }) => print_one(settings, &server.get(&["webhooks", &id.to_string()]).await?),
            Self::Create(verb) => {
                not_on_server("--user", verb.user.as_ref())?;
                let tenant = verb.tenant.clone();
                let mut body = body_of(&verb.wanted());
                body["tenant_id"] = json!(tenant);
                let ask = Ask::post(&["webhooks"]).json(&body).once(None)?;
                print_with_secret(settings, "subscribed", &server.ask(ask).await?)
            }
            Self::Update(verb) => {
                let id = verb.id.to_string();
                let path = ["webhooks", id.as_str()];
                let ask = Ask::patch(&path).json(&body_of_edit(&verb.edit()));
                print_done(settings, "changed", &server.ask(ask).await?)
            }
            Self::Delete(Named { id }) => {
                server.send(Ask::delete(&["webhooks", &id.to_string()])).await?;
                print_deleted(settings, id)
            }
            Self::RotateSecret(Named { id }) => {
                let id = id.to_string();
                let path = ["webhooks", id.as_str(), "rotate-secret"];
                let ask = Ask::post(&path);
                print_with_secret(settings, "gave a new secret to", &server.ask(ask).await?)
            }
            Self::Ping(Named { id }) => {
                print_sent(settings, &server.ask(Ask::post(&["webhooks", &id.to_string(), "ping"])).await?)
            }
            Self::Deliveries(Deliveries { id, status, limit }) => {
                let id = id.to_string();
                let path = ["webhooks", id.as_str(), "deliveries"];
                let rows = server.rows(Ask::get(&path).query("status", status), limit as usize, 0).await?;
                print_deliveries(settings, &rows.items, rows.total)
            }
            Self::Delivery(One { id, delivery }) => {
                let path = ["webhooks", &id.to_string(), "deliveries", &delivery.to_string()];
                print_delivery(settings, &server.get(&path).await?)
            }
            Self::Redeliver(Redeliver { id, delivery: Some(delivery), .. }) => {
                let path = ["webhooks", &id.to_string(), "deliveries", &delivery.to_string(), "redeliver"];
                // One that waits is left as it is.
                print_sent(settings, &server.ask(Ask::post(&path).repeatable()).await?)
            }
            Self::Redeliver(Redeliver { id, delivery: None, since }) => {
                let id = id.to_string();
                let path = ["webhooks", id.as_str(), "redeliver"];
                let anew: Anew = server.ask(Ask::post(&path).json(&json!({ "since": since }))).await?;
                print_count(settings, anew.count)
            }
        }
    }
}
