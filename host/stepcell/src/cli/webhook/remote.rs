//! `webhook` on a server: the callback goes the way that whoever calls back goes.

use anyhow::Context as _;
use reqwest::StatusCode;
use serde::Deserialize;
use stepcell::engine::Delivered;

use super::{Deliver, Place, Webhook, delivery, print_address, told};
use crate::cli::exit::Exit;
use crate::cli::input::json_or_null;
use crate::cli::open::Settings;
use crate::cli::print::note;
use crate::cli::remote::{Ask, Server};
use crate::cli::shown::Shown;
use crate::cli::summary::{Home, print};

/// Where a step is called back, as a server tells it.
#[derive(Debug, Deserialize)]
struct Callback {
    path: String,
    signing_secret: Option<String>,
}

impl Callback {
    /// What nobody can guess.
    fn token(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

impl Webhook {
    pub(super) async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<Exit> {
        match self {
            Self::Outgoing(verb) => verb.perform_on(settings, server).await?,
            Self::Deliver(verb) => verb.perform_on(settings, server).await?,
            Self::Address(place) => {
                let callback = place.callback(server).await?;
                let (token, secret) = (callback.token(), callback.signing_secret.as_deref());
                print_address(settings, &place, &callback.path, token, secret)?;
            }
        }
        Ok(Exit::Done)
    }
}

impl Place {
    async fn callback(&self, server: &Server) -> anyhow::Result<Callback> {
        let what = || format!("`{}` of {} has no callback address", self.step, self.instance);
        let path = ["instances", &self.instance.to_string(), "callbacks", self.step.as_str()];
        server.get(&path).await.with_context(what)
    }
}

impl Deliver {
    async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<()> {
        let payload = json_or_null(self.data.as_ref(), "--data")?;
        let Place { instance, step } = &self.place;
        let callback = self.place.callback(server).await?;
        let delivery = delivery(callback.signing_secret.as_deref(), &payload, self.id.clone())?;
        let id = instance.to_string();
        let path = ["callbacks", id.as_str(), step.as_str(), callback.token()];
        let ask = Ask::post(&path).body("application/json", delivery.body);
        // What has an id has its effect once.
        let ask = if delivery.id.is_some() { ask.repeatable() } else { ask };
        let ask = ask.head("webhook-id", delivery.id).head("webhook-timestamp", delivery.timestamp);
        let answer = server.send(ask.head("webhook-signature", delivery.signature)).await;
        let answer = answer.with_context(|| format!("can not deliver to `{step}` of {instance}"))?;
        let delivered = if answer.status == StatusCode::ACCEPTED { Delivered::Accepted } else { Delivered::Repeated };
        print(settings, &Shown::from(server.instance(*instance).await?), Home::Database)?;
        note(format!("\n{}; the server goes on with the instance.", told(delivered)));
        Ok(())
    }
}
