//! `webhook`: callbacks of webhook steps, as whoever calls back would deliver them, and outgoing webhooks.

mod outgoing;
mod outgoing_remote;
mod remote;

use anyhow::Context as _;
use chrono::Utc;
use clap::{Args, Subcommand};
use serde_json::json;
use stepcell::WorkflowEngine;
use stepcell::engine::{CallbackAddress, Delivered, Delivery};
use stepcell::model::id::InstanceId;
use stepcell::model::json::Json;
use stepcell::model::name::StepName;
use stepcell::model::time::Timestamp;

use super::advance::advance;
use super::exit::Exit;
use super::input::{JsonSource, instance_id, json_or_null};
use super::open::{Output, Settings};
use super::print::{self, note, plain};

/// Deliver callbacks to webhook steps, and keep outgoing webhooks: who is told what happens.
#[derive(Debug, Subcommand)]
pub(crate) enum Webhook {
    Deliver(Deliver),
    /// Show where a step is called back: the path, with its token, and what deliveries are signed with.
    ///
    /// Whoever knows the token may deliver: show it to nobody else.
    Address(Place),
    #[command(flatten)]
    Outgoing(outgoing::Outgoing),
}

/// Which step of which instance.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The instance.
    #[arg(long, env = "STEPCELL_INSTANCE", hide_env_values = true, value_name = "ID", value_parser = instance_id)]
    instance: InstanceId,
    /// The webhook step; a member of a group is `group/member`.
    #[arg(long, env = "STEPCELL_STEP", hide_env_values = true)]
    step: StepName,
}

/// Deliver a callback as whoever calls back would, signed where the step wants that.
///
/// The step that waits gets it, and one that is still to come gets it then. The same delivery once more has no effect.
/// This process drives the instance on, or whatever process drives the database does.
#[derive(Debug, Args)]
pub(crate) struct Deliver {
    #[command(flatten)]
    place: Place,
    /// What it says [default: null].
    #[arg(long, env = "STEPCELL_DATA", hide_env_values = true, value_name = "JSON|@FILE|-")]
    data: Option<JsonSource>,
    /// What tells the delivery from others: the same once more has no effect.
    #[arg(long, env = "STEPCELL_DELIVERY_ID", hide_env_values = true, value_name = "DELIVERY")]
    id: Option<String>,
}

impl Webhook {
    pub(crate) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        if let Some(server) = settings.server()? {
            return self.perform_on(settings, &server).await;
        }
        match self {
            Self::Deliver(verb) => verb.perform(settings).await,
            Self::Address(place) => place.print(settings).await,
            Self::Outgoing(verb) => verb.perform(settings).await.map(|()| Exit::Done),
        }
    }
}

impl Place {
    async fn address(&self, engine: &WorkflowEngine) -> anyhow::Result<CallbackAddress> {
        let what = || format!("`{}` of {} has no callback address", self.step, self.instance);
        engine.webhook_address(self.instance, &self.step).await.with_context(what)
    }

    async fn print(&self, settings: &Settings) -> anyhow::Result<Exit> {
        let address = self.address(&settings.read()?.engine).await?;
        print_address(settings, self, &address.path(), &address.token, address.signing_secret.as_deref())?;
        Ok(Exit::Done)
    }
}

fn print_address(
    settings: &Settings,
    place: &Place,
    path: &str,
    token: &str,
    signing_secret: Option<&str>,
) -> anyhow::Result<()> {
    if settings.output == Output::Json {
        return print::json(&json!({
            "instance": place.instance,
            "step": place.step,
            "path": path,
            "token": token,
            "signing_secret": signing_secret,
        }));
    }
    print::text(&plain_lines(&[("path", Some(path)), ("token", Some(token)), ("secret", signing_secret)]))
}

fn plain_lines(fields: &[(&str, Option<&str>)]) -> String {
    fields.iter().filter_map(|(label, text)| Some(format!("{label:<7} {}\n", plain((*text)?)))).collect()
}

/// Says whether it had come before, and returns what was done.
fn told(delivered: Delivered) -> &'static str {
    match delivered {
        Delivered::Accepted => "The callback is delivered",
        Delivered::Repeated => {
            note("This callback was delivered before; nothing was changed.");
            "Nothing was changed"
        }
    }
}

impl Deliver {
    async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        let payload = json_or_null(self.data.as_ref(), "--data")?;
        let Place { instance, step } = &self.place;
        let mut delivered = Delivered::Accepted;
        let advanced = advance(settings, async |engine| {
            let address = self.place.address(engine).await?;
            let delivery = delivery(address.signing_secret.as_deref(), &payload, self.id.clone())?;
            let what = || format!("can not deliver to `{step}` of {instance}");
            delivered = engine.deliver_webhook(*instance, step, &address.token, delivery).await.with_context(what)?;
            Ok(*instance)
        });
        let advanced = advanced.await?;
        advanced.print(settings, told(delivered))
    }
}

fn delivery(signing_secret: Option<&str>, payload: &Json, id: Option<String>) -> anyhow::Result<Delivery> {
    let delivery = Delivery::of(payload);
    let Some(secret) = signing_secret else { return Ok(Delivery { id, ..delivery }) };
    let now = Utc::now();
    // A signed delivery has an id; without one that is given, no other has this.
    let id = id.unwrap_or_else(|| format!("cli-{}-{}", now.timestamp_micros(), std::process::id()));
    Ok(delivery.signed(&id, Timestamp::from(now), secret)?)
}
