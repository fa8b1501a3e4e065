//! `audit`: who did what over HTTP.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use stepcell::model::access::AuditEntry;
use stepcell::model::name::{ActionName, TenantId, UserId};
use stepcell::store::{AuditFilter, PageLimit, Whose};

use super::exit::Exit;
use super::open::{Output, Settings};
use super::print;

/// See who did what.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    List(List),
}

/// List what was asked for over HTTP that changes something, newest first.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only what was done in the name of this tenant.
    #[arg(long, env = "STEPCELL_TENANT", hide_env_values = true)]
    tenant: Option<TenantId>,
    /// Only what this user did.
    #[arg(long, env = "STEPCELL_USER", hide_env_values = true)]
    user: Option<UserId>,
    /// Only this action, such as `instance.cancel`.
    #[arg(long, env = "STEPCELL_ACTION", hide_env_values = true)]
    action: Option<ActionName>,
    /// Only what came before the record with this number.
    #[arg(long, env = "STEPCELL_BEFORE", hide_env_values = true, value_name = "NUMBER")]
    before: Option<u64>,
    /// How many at most.
    #[arg(long, env = "STEPCELL_LIMIT", hide_env_values = true, value_name = "N", default_value_t = 50,
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

impl Audit {
    pub(crate) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        match self {
            Self::List(verb) => verb.perform(settings).await?,
        }
        Ok(Exit::Done)
    }
}

impl List {
    async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let visit = settings.read()?;
        let filter = AuditFilter {
            whose: self.tenant.map_or(Whose::Anybody, Whose::Of),
            action: self.action,
            user: self.user,
            after: self.before,
            limit: PageLimit::clamped(self.limit),
            ..AuditFilter::default()
        };
        let page = visit.engine.store().list_audit(&filter).await?;
        if settings.output == Output::Json {
            let items: Vec<_> = page.items.iter().map(as_json).collect();
            return print::json_list(&items, page.total);
        }
        let headings = ["NUMBER", "AT", "TENANT", "USER", "ACTION", "TARGET", "OUTCOME", "REQUEST"];
        print::text(&print::table(headings, page.items.iter().map(row)))
    }
}

fn row(entry: &AuditEntry) -> [String; 8] {
    let record = &entry.record;
    [
        entry.number.to_string(),
        record.at.to_string(),
        print::or_dash(record.tenant.as_ref()),
        print::or_dash(record.user.as_ref()),
        record.action.to_string(),
        print::or_dash(record.target.as_ref()),
        record.outcome.to_string(),
        print::or_dash(record.request_id.as_ref()),
    ]
}

fn as_json(entry: &AuditEntry) -> Value {
    let record = &entry.record;
    json!({
        "number": entry.number, "at": record.at, "tenant_id": record.tenant, "user_id": record.user, "key_id": record.key,
        "action": record.action, "target": record.target, "outcome": record.outcome, "request_id": record.request_id,
        "details": record.details,
    })
}
