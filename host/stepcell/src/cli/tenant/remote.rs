//! `tenant` on a server.

use serde_json::{Value, json};
use stepcell::model::access::TenantStatus;
use stepcell::model::name::TenantId;
use stepcell_server::wire;

use super::record::{Add, List, Named, Show, print_rows, print_whole, told};
use super::{Tenant, Usage, print_usage};
use crate::cli::exit::Exit;
use crate::cli::open::Settings;
use crate::cli::remote::{Ask, Server};

impl Tenant {
    pub(super) async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<Exit> {
        match self {
            Self::Add(Add { id, name }) => {
                let body = json!({ "id": id, "display_name": name });
                let ask = Ask::post(&["admin", "tenants"]).json(&body).once(None)?;
                told(settings, "added", &server.ask(ask).await?)?;
            }
            Self::List(List { status }) => {
                let ask = Ask::get(&["admin", "tenants"]).query("status", status);
                print_rows(settings, &server.all(ask).await?.items)?;
            }
            Self::Show(Show { id }) => {
                // Callers of a tenant have no other, and those of the platform name one.
                print_whole(settings, &server.ask(Ask::get(&["tenant"]).query("tenant_id", id)).await?)?;
            }
            Self::Suspend(Named { id }) => {
                let status = json!({ "status": TenantStatus::Suspended });
                told(settings, "suspended", &change(server, &id, &status).await?)?;
            }
            Self::Resume(Named { id }) => {
                let status = json!({ "status": TenantStatus::Active });
                told(settings, "resumed", &change(server, &id, &status).await?)?;
            }
            Self::Quota(verb) => {
                verb.check()?;
                let quotas = json!({ "quotas": verb.named() });
                told(settings, "changed", &change(server, &verb.id, &quotas).await?)?;
            }
            Self::Usage(Usage { tenant, days }) => {
                let ask = Ask::get(&["usage"]).query("days", Some(days)).query("tenant_id", tenant);
                print_usage(settings, &server.all::<wire::Usage>(ask).await?.items)?;
            }
        }
        Ok(Exit::Done)
    }
}

async fn change(server: &Server, id: &TenantId, body: &Value) -> anyhow::Result<wire::Tenant> {
    server.ask(Ask::patch(&["admin", "tenants", id.as_str()]).json(body)).await
}
