//! `webhook list`, `create` and what follows: who is told what happens, and what became of telling them.

use std::str::FromStr;

use clap::{Args, Subcommand};
use serde_json::json;
use stepcell::engine::EventType;
use stepcell::model::id::{DeliveryId, WebhookId};
use stepcell::model::name::{TenantId, UserId, WorkflowName};
use stepcell::model::time::Timestamp;
use stepcell::model::webhook::{DeliveryStatus, WebhookUrl};
use stepcell::store::{DeliveryFilter, LIST_LEN_MAX, PageLimit, WebhookFilter};
use stepcell_server::wire;
use stepcell_webhooks::{Subscribed, Subscription, WebhookChange, WebhookEdit, Webhooks};

use crate::cli::input::moment;
use crate::cli::open::{Output, Settings, Visit};
use crate::cli::print;

/// What there is to do with subscriptions.
#[derive(Debug, Subcommand)]
pub(crate) enum Outgoing {
    List(List),
    /// Show a subscription.
    Show(Named),
    Create(Create),
    Update(Update),
    /// Delete a subscription with its deliveries.
    Delete(Named),
    /// Give a subscription a new secret and print it, once; for a day deliveries are signed with the one before, too.
    RotateSecret(Named),
    /// Send a subscription's address an event of type `ping`, to see whether somebody is there.
    Ping(Named),
    Deliveries(Deliveries),
    /// Show a delivery with what is sent.
    Delivery(One),
    Redeliver(Redeliver),
}

/// List the subscriptions of addresses to what happens.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those of this tenant.
    #[arg(long, env = "STEPCELL_TENANT", hide_env_values = true)]
    pub(super) tenant: Option<TenantId>,
}

/// One subscription.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Its id, as `webhook list` shows it.
    pub(super) id: WebhookId,
}

/// Subscribe an address: what happens from now on is told to it. Prints the signing secret, once.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Where to tell: `https://host/path`.
    pub(super) url: WebhookUrl,
    /// Only events of this type, such as `workflow_completed`; as often as there are several [default: all].
    #[arg(long = "type", env = "STEPCELL_TYPE", hide_env_values = true, value_name = "TYPE", value_delimiter = ',')]
    types: Vec<EventType>,
    /// Only events of instances of this workflow.
    #[arg(long, env = "STEPCELL_DEFINITION", hide_env_values = true, value_name = "NAME")]
    definition: Option<WorkflowName>,
    /// What it is for.
    #[arg(long, env = "STEPCELL_DESCRIPTION", hide_env_values = true)]
    description: Option<String>,
    /// Whose it is, and of whose instances to tell [default: the platform's, of all].
    #[arg(long, env = "STEPCELL_TENANT", hide_env_values = true)]
    pub(super) tenant: Option<TenantId>,
    /// Who makes it.
    #[arg(long, env = "STEPCELL_USER", hide_env_values = true)]
    pub(super) user: Option<UserId>,
}

/// Change what a subscription says. What is not named stays as it is.
#[derive(Debug, Args)]
pub(crate) struct Update {
    /// Its id, as `webhook list` shows it.
    pub(super) id: WebhookId,
    /// Where to tell.
    #[arg(long, env = "STEPCELL_URL", hide_env_values = true)]
    url: Option<WebhookUrl>,
    /// Only events of this type; as often as there are several, and an empty one for all.
    #[arg(long = "type", env = "STEPCELL_TYPE", hide_env_values = true, value_name = "TYPE", value_delimiter = ',')]
    types: Vec<AnyOr<EventType>>,
    /// Only events of instances of this workflow; an empty one for all.
    #[arg(long, env = "STEPCELL_DEFINITION", hide_env_values = true, value_name = "NAME")]
    definition: Option<AnyOr<WorkflowName>>,
    /// What it is for; an empty one for nothing.
    #[arg(long, env = "STEPCELL_DESCRIPTION", hide_env_values = true)]
    description: Option<String>,
    /// Whether anything is told. What waits for one that is not active any more is dead, and may be sent anew.
    #[arg(long, env = "STEPCELL_ACTIVE", hide_env_values = true, value_name = "BOOL")]
    active: Option<bool>,
}

/// One of some, or any: an empty text.
#[derive(Clone, Debug)]
struct AnyOr<T>(Option<T>);

impl<T: FromStr> FromStr for AnyOr<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text.is_empty() { Ok(Self(None)) } else { text.parse().map(|one| Self(Some(one))) }
    }
}

/// List what became of deliveries, latest made first.
#[derive(Debug, Args)]
pub(crate) struct Deliveries {
    /// The subscription.
    pub(super) id: WebhookId,
    /// Only those with this status: `pending`, `delivered` or `dead`.
    #[arg(long, env = "STEPCELL_STATUS", hide_env_values = true)]
    pub(super) status: Option<DeliveryStatus>,
    /// How many at most.
    #[arg(long, env = "STEPCELL_LIMIT", hide_env_values = true, value_name = "N", default_value_t = 50,
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) limit: u32,
}

/// One delivery.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// The subscription.
    pub(super) id: WebhookId,
    /// The delivery, as `webhook deliveries` shows it.
    pub(super) delivery: DeliveryId,
}

/// Send a delivery anew, whatever became of it, or all that are dead. One that waits for its next attempt is sent now.
#[derive(Debug, Args)]
pub(crate) struct Redeliver {
    /// The subscription.
    pub(super) id: WebhookId,
    /// The delivery [default: all that are dead].
    pub(super) delivery: Option<DeliveryId>,
    /// Only those that were given up at this moment or later, such as `2027-01-31T12:00:00Z`.
    #[arg(long, env = "STEPCELL_SINCE", hide_env_values = true, value_name = "TIME", value_parser = moment,
        conflicts_with = "delivery")]
    pub(super) since: Option<Timestamp>,
}

impl Outgoing {
    pub(super) async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let visit = match &self {
            Self::List(_) | Self::Show(_) | Self::Deliveries(_) | Self::Delivery(_) => settings.read()?,
            Self::Create(_) => settings.visit_with_key()?,
            Self::RotateSecret(_) => {
                settings.existing_database()?;
                settings.visit_with_key()?
            }
            Self::Update(_) | Self::Delete(_) | Self::Ping(_) | Self::Redeliver(_) => settings.visit()?,
        };
        let outcome = self.perform_in(settings, &visit).await;
        visit.close().await;
        outcome
    }

    async fn perform_in(self, settings: &Settings, visit: &Visit) -> anyhow::Result<()> {
        let webhooks = Webhooks::new(visit.engine.clone());
        match self {
            Self::List(List { tenant }) => print_rows(settings, &list(&webhooks, tenant).await?),
            Self::Show(Named { id }) => print_one(settings, &(&webhooks.load(id).await?).into()),
            Self::Create(verb) => {
                let (tenant, by, wanted) = (verb.tenant.clone(), verb.user.clone(), verb.wanted());
                let made = webhooks.subscribe(Subscription { tenant, wanted, by }).await?;
                print_with_secret(settings, "subscribed", &with_secret(&made))
            }
            Self::Update(verb) => {
                let id = verb.id;
                print_done(settings, "changed", &(&webhooks.edit(id, verb.edit()).await?).into())
            }
            Self::Delete(Named { id }) => {
                webhooks.delete(id).await?;
                print_deleted(settings, id)
            }
            Self::RotateSecret(Named { id }) => {
                print_with_secret(settings, "gave a new secret to", &with_secret(&webhooks.rotate_secret(id).await?))
            }
            Self::Ping(Named { id }) => print_sent(settings, &(&webhooks.ping(id).await?).into()),
            Self::Deliveries(Deliveries { id, status, limit }) => {
                let webhook = webhooks.load(id).await?.id;
                let filter = DeliveryFilter { webhook, status, before: None, limit: PageLimit::clamped(limit) };
                let page = webhooks.list_deliveries(&filter).await?;
                let rows: Vec<_> = page.items.iter().map(|(_, row)| wire::DeliveryRow::from(row)).collect();
                print_deliveries(settings, &rows, page.total)
            }
            Self::Delivery(One { id, delivery }) => {
                print_delivery(settings, &(&webhooks.load_delivery(id, delivery).await?).into())
            }
            Self::Redeliver(Redeliver { id, delivery: Some(delivery), .. }) => {
                print_sent(settings, &(&webhooks.redeliver(id, delivery).await?).into())
            }
            Self::Redeliver(Redeliver { id, delivery: None, since }) => {
                let since = since.unwrap_or(Timestamp::from_unix_ms(0));
                print_count(settings, webhooks.redeliver_dead(id, since).await?)
            }
        }
    }
}

async fn list(webhooks: &Webhooks, tenant: Option<TenantId>) -> anyhow::Result<Vec<wire::Webhook>> {
    let mut filter = WebhookFilter { tenant, after: None, limit: PageLimit::clamped(LIST_LEN_MAX) };
    let mut rows = Vec::new();
    loop {
        let page = webhooks.list(&filter).await?.items;
        let Some(last) = page.last() else { return Ok(rows) };
        filter.after = Some(last.id);
        rows.extend(page.iter().map(wire::Webhook::from));
    }
}

fn with_secret(made: &Subscribed) -> wire::WebhookWithSecret {
    wire::WebhookWithSecret { webhook: (&made.webhook).into(), secret: made.secret.expose().to_owned() }
}

impl Create {
    /// What the subscription shall say.
    pub(super) fn wanted(self) -> WebhookChange {
        let Self { url, types, definition: workflow, description, .. } = self;
        WebhookChange { url, types, workflow, description, is_active: true }
    }
}

impl Update {
    /// What is to change; what is not named stays.
    pub(super) fn edit(self) -> WebhookEdit {
        let Self { url, types, definition, description, active, .. } = self;
        let named = || types.iter().filter_map(|AnyOr(named)| *named).collect();
        WebhookEdit {
            url,
            types: (!types.is_empty()).then(named),
            workflow: definition.map(|AnyOr(name)| name),
            description: description.map(|text| Some(text).filter(|text| !text.is_empty())),
            is_active: active,
        }
    }
}

pub(super) fn print_rows(settings: &Settings, items: &[wire::Webhook]) -> anyhow::Result<()> {
    if settings.output == Output::Json {
        return print::json_list(items, items.len() as u64);
    }
    let row = |webhook: &wire::Webhook| {
        [
            webhook.id.to_string(),
            webhook.url.clone(),
            types_of(webhook),
            print::or_dash(webhook.definition_name.as_ref()),
            print::or_dash(webhook.tenant_id.as_ref()),
            activity_of(webhook),
        ]
    };
    print::text(&print::table(["ID", "URL", "TYPES", "WORKFLOW", "TENANT", "STATUS"], items.iter().map(row)))
}

fn types_of(webhook: &wire::Webhook) -> String {
    let types: Vec<_> = webhook.types.iter().map(ToString::to_string).collect();
    if types.is_empty() { "all".to_owned() } else { types.join(", ") }
}

fn activity_of(webhook: &wire::Webhook) -> String {
    match (&webhook.stopped, webhook.is_active) {
        (Some(why), _) => format!("stopped: {why}"),
        (None, true) => "active".to_owned(),
        (None, false) => "inactive".to_owned(),
    }
}

pub(super) fn print_one(settings: &Settings, webhook: &wire::Webhook) -> anyhow::Result<()> {
    match settings.output {
        Output::Json => print::json(webhook),
        Output::Table => print_rows(settings, std::slice::from_ref(webhook)),
    }
}

pub(super) fn print_done(settings: &Settings, done: &str, webhook: &wire::Webhook) -> anyhow::Result<()> {
    match settings.output {
        Output::Json => print::json(webhook),
        Output::Table => print::line(&print::plain(&format!("{done} webhook {}: {}", webhook.id, webhook.url))),
    }
}

pub(super) fn print_with_secret(settings: &Settings, done: &str, made: &wire::WebhookWithSecret) -> anyhow::Result<()> {
    if settings.output == Output::Json {
        return print::json(made);
    }
    print::note(format!("{done} webhook {}; its secret is shown this once", made.webhook.id));
    print::line(&print::plain(&made.secret))
}

pub(super) fn print_deleted(settings: &Settings, id: WebhookId) -> anyhow::Result<()> {
    match settings.output {
        Output::Json => print::json(&json!({ "id": id, "deleted": true })),
        Output::Table => print::line(&format!("deleted webhook {id}")),
    }
}

pub(super) fn print_sent(settings: &Settings, delivery: &wire::DeliveryRow) -> anyhow::Result<()> {
    match settings.output {
        Output::Json => print::json(delivery),
        Output::Table => print::line(&format!("delivery {} will be sent", delivery.id)),
    }
}

pub(super) fn print_count(settings: &Settings, count: u64) -> anyhow::Result<()> {
    match settings.output {
        Output::Json => print::json(&json!({ "count": count })),
        Output::Table => print::line(&format!("{count} will be sent anew")),
    }
}

pub(super) fn print_deliveries(settings: &Settings, items: &[wire::DeliveryRow], total: u64) -> anyhow::Result<()> {
    if settings.output == Output::Json {
        return print::json_list(items, total);
    }
    let row = |delivery: &wire::DeliveryRow| {
        [
            delivery.id.to_string(),
            delivery.kind.clone(),
            delivery.status.to_string(),
            delivery.attempts.to_string(),
            print::or_dash(delivery.last_status.as_ref()),
            print::or_dash(delivery.next_attempt_at.as_ref()),
            delivery.last_error.as_deref().map(print::shortened).unwrap_or_default(),
        ]
    };
    let headings = ["ID", "TYPE", "STATUS", "ATTEMPTS", "ANSWER", "NEXT", "ERROR"];
    print::text(&print::table(headings, items.iter().map(row)))
}

pub(super) fn print_delivery(settings: &Settings, delivery: &wire::Delivery) -> anyhow::Result<()> {
    if settings.output == Output::Json {
        return print::json(delivery);
    }
    print_deliveries(settings, std::slice::from_ref(&delivery.delivery), 1)?;
    print::line(&print::plain(&delivery.body.to_string()))
}
