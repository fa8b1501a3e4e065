//! `tenant`: who they are, what they may have, and what they used.

mod record;
mod remote;

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use stepcell::model::access::TenantStatus;
use stepcell::model::guard::Usage as Sum;
use stepcell::model::name::TenantId;
use stepcell::model::time::Timestamp;
use stepcell::store::{PageLimit, UsageFilter, Whose};
use stepcell_server::wire;

use super::exit::Exit;
use super::open::{Output, Settings};
use super::print;

/// The most days that one look goes back.
const DAYS_MAX: i64 = 3_650;

/// Keep tenants: what they may have, and what they used.
#[derive(Debug, Subcommand)]
pub(crate) enum Tenant {
    Add(record::Add),
    List(record::List),
    Show(record::Show),
    /// Let nobody in with a tenant's keys, and start nothing of it; what runs goes on.
    Suspend(record::Named),
    /// Let a suspended tenant go on.
    Resume(record::Named),
    Quota(record::SetQuota),
    Usage(Usage),
}

/// Show what attempts used, summed up by tenant, and how often each limit ended one.
#[derive(Debug, Args)]
pub(crate) struct Usage {
    /// Only this tenant.
    #[arg(long, env = "STEPCELL_TENANT", hide_env_values = true)]
    tenant: Option<TenantId>,
    /// How many days in UTC, today among them.
    #[arg(long, env = "STEPCELL_DAYS", hide_env_values = true, default_value_t = 30, value_name = "N",
        value_parser = clap::value_parser!(i64).range(1..=DAYS_MAX))]
    days: i64,
}

impl Tenant {
    pub(crate) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        if let Some(server) = settings.server()? {
            return self.perform_on(settings, &server).await;
        }
        match self {
            Self::Add(verb) => verb.perform(settings).await?,
            Self::List(verb) => verb.perform(settings).await?,
            Self::Show(verb) => verb.perform(settings).await?,
            Self::Suspend(named) => named.becomes(settings, TenantStatus::Suspended).await?,
            Self::Resume(named) => named.becomes(settings, TenantStatus::Active).await?,
            Self::Quota(verb) => verb.perform(settings).await?,
            Self::Usage(verb) => verb.perform(settings).await?,
        }
        Ok(Exit::Done)
    }
}

impl Usage {
    async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let visit = settings.read()?;
        let today = Timestamp::from_unix_ms(chrono::Utc::now().timestamp_millis()).unix_ms().div_euclid(86_400_000);
        let mut sums = BTreeMap::<Option<TenantId>, Sum>::new();
        let whose = self.tenant.map_or(Whose::Anybody, Whose::Of);
        let mut filter = UsageFilter { whose, since_day: today - self.days + 1, after: None, limit: PageLimit::MAX };
        loop {
            let page = visit.engine.list_usage(&filter).await?;
            let Some(last) = page.items.last() else { break };
            filter.after = Some(last.tenant.clone());
            for used in page.items {
                sums.entry(used.tenant).or_default().add(&used.usage);
            }
        }
        let items: Vec<_> = sums.into_iter().map(|(tenant, used)| wire::Usage { used, tenant }).collect();
        print_usage(settings, &items)
    }
}

fn print_usage(settings: &Settings, items: &[wire::Usage]) -> anyhow::Result<()> {
    if settings.output == Output::Json {
        return print::json_list(items, items.len() as u64);
    }
    let headings =
        ["TENANT", "ATTEMPTS", "CPU", "WALL", "PEAK MEMORY", "HOST CALLS", "IN", "OUT", "DENIED", "ENDED BY"];
    print::text(&print::table(headings, items.iter().map(|row_of| row(row_of.tenant.as_ref(), &row_of.used))))
}

fn row(tenant: Option<&TenantId>, sum: &Sum) -> [String; 10] {
    let seconds = |us: u64| format!("{}.{:03} s", us / 1_000_000, us / 1_000 % 1_000);
    let kib = |bytes: u64| format!("{} KiB", bytes.div_ceil(1_024));
    let codes: Vec<_> = sum.codes.iter().map(|(code, count)| format!("{code} {count}")).collect();
    [
        print::or_dash(tenant),
        sum.attempts.to_string(),
        seconds(sum.cpu_us),
        seconds(sum.wall_us),
        kib(sum.memory_bytes_peak),
        sum.host_calls.to_string(),
        kib(sum.bytes_in),
        kib(sum.bytes_out),
        sum.denials.to_string(),
        codes.join(", "),
    ]
}
