//! `key` on a server.

use serde_json::json;

use super::{Create, Expiry, Key, List, Revoke, print_created, print_revoked, print_rows};
use crate::cli::exit::Exit;
use crate::cli::open::Settings;
use crate::cli::remote::{Ask, Server};

impl Key {
    pub(super) async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<Exit> {
        match self {
            Self::Create(verb) => verb.perform_on(settings, server).await?,
            Self::List(List { tenant }) => {
                let ask = Ask::get(&["keys"]).query("tenant_id", tenant);
                print_rows(settings, &server.all(ask).await?.items)?;
            }
            Self::Revoke(Revoke { id }) => {
                // What is revoked stays so.
                let id = id.to_string();
                let revoked = server.ask(Ask::delete(&["keys", &id]).repeatable()).await?;
                print_revoked(settings, &revoked)?;
            }
        }
        Ok(Exit::Done)
    }
}

impl Create {
    async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<()> {
        let user = self.user()?;
        let scopes: Vec<_> = self.scope.iter().map(ToString::to_string).collect();
        let body = json!({
            "name": self.name.as_ref().map_or_else(|| user.to_string(), ToString::to_string),
            "user_id": user,
            "groups": self.group,
            "scopes": scopes,
            "expires_at": self.expires.map(Expiry::moment),
            "tenant_id": self.tenant,
        });
        print_created(settings, &server.ask(Ask::post(&["keys"]).json(&body).once(None)?).await?)
    }
}
