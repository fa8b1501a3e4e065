//! `audit`: who did what over HTTP.

mod remote;

use clap::{Args, Subcommand};
use stepcell::model::name::{ActionName, TenantId, UserId};
use stepcell::store::{AuditFilter, PageLimit, Whose};
use stepcell_server::audit_actions;
use stepcell_server::wire::AuditRow;

use super::exit::{Exit, Refused};
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
    /// Only the log of this tenant: what its callers did, and what others did to its things.
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
        if let Some(server) = settings.server()? {
            return self.perform_on(settings, &server).await;
        }
        match self {
            Self::List(verb) => verb.perform(settings).await?,
        }
        Ok(Exit::Done)
    }
}

impl List {
    async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let visit = settings.read()?;
        if let Some(unknown) = &self.action {
            let known = audit_actions(visit.engine.clone());
            if !known.contains(unknown) {
                let known = known.iter().map(ActionName::as_str).collect::<Vec<_>>().join(", ");
                return Err(Refused::input(format!("`{unknown}` is no action of the API; it knows {known}")).into());
            }
        }
        let filter = AuditFilter {
            whose: self.tenant.map_or(Whose::Anybody, Whose::Of),
            action: self.action,
            user: self.user,
            after: self.before,
            limit: PageLimit::clamped(self.limit),
            ..AuditFilter::default()
        };
        let page = visit.engine.store().list_audit(&filter).await?;
        print_rows(settings, &page.items.iter().map(AuditRow::from).collect::<Vec<_>>(), page.total)
    }
}

fn print_rows(settings: &Settings, items: &[AuditRow], total: u64) -> anyhow::Result<()> {
    if settings.output == Output::Json {
        return print::json_list(items, total);
    }
    let headings = ["NUMBER", "AT", "TENANT", "USER", "ACTION", "TARGET", "OUTCOME", "REQUEST"];
    print::text(&print::table(headings, items.iter().map(row)))
}

fn row(row: &AuditRow) -> [String; 8] {
    [
        row.number.to_string(),
        row.at.to_string(),
        print::or_dash(row.tenant_id.as_ref()),
        print::or_dash(row.user_id.as_ref()),
        row.action.clone(),
        print::or_dash(row.target.as_ref()),
        row.outcome.clone(),
        print::or_dash(row.request_id.as_ref()),
    ]
}
