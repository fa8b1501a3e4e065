//! `secret` on a server, which keeps values and never tells one.

use serde_json::json;
use stepcell_server::wire;

use super::{Named, Secret, Set, print_rows, told};
use crate::cli::exit::Exit;
use crate::cli::open::Settings;
use crate::cli::remote::{Ask, Server};

impl Secret {
    pub(super) async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<Exit> {
        match self {
            Self::Set(verb) => verb.perform_on(settings, server).await?,
            Self::List => {
                let mut secrets = server.all::<wire::Secret>(Ask::get(&["secrets"])).await?.items;
                secrets.sort_by(|one, other| (&one.tenant_id, &one.name).cmp(&(&other.tenant_id, &other.name)));
                print_rows(settings, &secrets)?;
            }
            Self::Delete(named) => {
                let path = ["secrets", named.name.as_str()];
                server.send(Ask::delete(&path).query("tenant_id", named.tenant.as_ref())).await?;
                told(settings, "deleted", &named)?;
            }
        }
        Ok(Exit::Done)
    }
}

impl Set {
    async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<()> {
        let value = self.value()?;
        let Named { name, tenant } = &self.named;
        let path = ["secrets", name.as_str()];
        let ask = Ask::put(&path).query("tenant_id", tenant.as_ref()).json(&json!({ "value": value.expose() }));
        server.send(ask).await?;
        told(settings, "set", &self.named)
    }
}
