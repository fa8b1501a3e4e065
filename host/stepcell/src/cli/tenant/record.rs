//! The records of tenants.

use std::collections::BTreeMap;

use clap::Args;
use stepcell::engine::WorkflowEngine;
use stepcell::model::access::{Quota, Quotas, TenantRecord, TenantStatus};
use stepcell::model::name::{Label, TenantId};
use stepcell::model::time::Timestamp;
use stepcell::store::{Inserted, LIST_LEN_MAX, PageLimit, TenantFilter};
use stepcell_server::wire;

use super::super::exit::Refused;
use super::super::open::{Output, Settings};
use super::super::print;

/// Keep a new tenant. Makes the database if there is none.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Its id.
    pub(super) id: TenantId,
    /// What people call it [default: its id].
    #[arg(long, env = "STEPCELL_NAME", hide_env_values = true)]
    pub(super) name: Option<Label>,
}

/// List the tenants that there is a record of.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those with this status.
    #[arg(long, env = "STEPCELL_STATUS", hide_env_values = true)]
    pub(super) status: Option<TenantStatus>,
}

/// Show a tenant: what it may have, and what it has.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Its id; through a server, that of the key's tenant without one.
    pub(super) id: Option<TenantId>,
}

/// One tenant.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Its id.
    pub(super) id: TenantId,
}

/// Say how much a tenant may have. What is not named stays as it is; `none` is as much as it likes.
#[derive(Debug, Args)]
pub(crate) struct SetQuota {
    /// The tenant.
    pub(super) id: TenantId,
    /// Instances that are not finished.
    #[arg(long, env = "STEPCELL_OPEN_INSTANCES", hide_env_values = true, value_name = "N")]
    open_instances: Option<Limit>,
    /// Starts of instances in a second.
    #[arg(long, env = "STEPCELL_STARTS_PER_SECOND", hide_env_values = true, value_name = "N")]
    starts_per_second: Option<Limit>,
    /// Bytes that instances, components and definitions keep.
    #[arg(long, env = "STEPCELL_STORED_BYTES", hide_env_values = true, value_name = "N")]
    stored_bytes: Option<Limit>,
    /// Versions of components.
    #[arg(long, env = "STEPCELL_COMPONENTS", hide_env_values = true, value_name = "N")]
    components: Option<Limit>,
    /// Time on a CPU in a day of UTC, in milliseconds.
    #[arg(long, env = "STEPCELL_CPU_MS_PER_DAY", hide_env_values = true, value_name = "N")]
    cpu_ms_per_day: Option<Limit>,
}

/// A number, or `none`.
#[derive(Clone, Copy, Debug)]
struct Limit(Option<u64>);

impl std::str::FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        text.parse().map(|number| Self(Some(number))).map_err(|_| "write a whole number, or `none`".to_owned())
    }
}

impl Add {
    pub(super) async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let mut record = TenantRecord::new(self.id, now())?;
        if let Some(name) = self.name {
            record.display_name = name;
        }
        let visit = settings.visit_or_make()?;
        let added = visit.engine.add_tenant(record.clone()).await;
        visit.close().await;
        if added? == Inserted::AlreadyThere {
            return Err(Refused::state(format!("there is a tenant `{}` already", record.id)).into());
        }
        told(settings, "added", &(&record).into())
    }
}

impl List {
    pub(super) async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let visit = settings.read()?;
        let mut filter =
            TenantFilter { status: self.status, limit: PageLimit::clamped(LIST_LEN_MAX), ..TenantFilter::default() };
        let mut tenants = Vec::new();
        loop {
            let page = visit.engine.store().list_tenants(&filter).await?.items;
            let Some(last) = page.last() else { break };
            filter.after = Some(last.id.clone());
            tenants.extend(page);
        }
        print_rows(settings, &tenants.iter().map(wire::Tenant::from).collect::<Vec<_>>())
    }
}

pub(super) fn print_rows(settings: &Settings, items: &[wire::Tenant]) -> anyhow::Result<()> {
    if settings.output == Output::Json {
        return print::json_list(items, items.len() as u64);
    }
    let row = |tenant: &wire::Tenant| {
        let wire::Tenant { id, display_name, status, quotas: most, created_at } = tenant;
        [id.clone(), display_name.clone(), status.clone(), quotas((*most).into()), created_at.to_string()]
    };
    print::text(&print::table(["TENANT", "NAME", "STATUS", "QUOTAS", "CREATED"], items.iter().map(row)))
}

impl Show {
    pub(super) async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let Some(id) = self.id else {
            let why = "say which tenant; `stepcell tenant list` shows those there are";
            return Err(Refused::input(why).into());
        };
        let visit = settings.read()?;
        let record = visit.engine.get_tenant(&id).await?;
        let day = now().unix_ms().div_euclid(86_400_000);
        let used = visit.engine.store().load_tenant_use(&id, day).await?;
        print_whole(settings, &wire::TenantDetail { tenant: (&record).into(), used: used.into() })
    }
}

impl Named {
    pub(super) async fn becomes(self, settings: &Settings, status: TenantStatus) -> anyhow::Result<()> {
        let what = match status {
            TenantStatus::Suspended => "suspended",
            TenantStatus::Active => "resumed",
        };
        change(settings, &self.id, what, move |record| record.status = status).await
    }
}

pub(super) fn print_whole(settings: &Settings, detail: &wire::TenantDetail) -> anyhow::Result<()> {
    if settings.output == Output::Json {
        return print::json(detail);
    }
    let wire::TenantDetail { tenant, used } = detail;
    print::line(&print::plain(&format!("{} ({}), {}", tenant.id, tenant.display_name, tenant.status)))?;
    let quotas = Quotas::from(tenant.quotas);
    let rows = [
        (Quota::OpenInstances, Some(used.open_instances)),
        (Quota::StartsPerSecond, None),
        (Quota::StoredBytes, Some(used.stored_bytes)),
        (Quota::Components, Some(used.components)),
        (Quota::CpuMsPerDay, Some(used.cpu_ms_per_day)),
    ];
    let row = |(quota, used): (Quota, Option<u64>)| {
        [quota.to_string(), print::or_dash(used.as_ref()), print::or_dash(quotas.limit(quota).as_ref())]
    };
    print::text(&print::table(["QUOTA", "USED", "AT MOST"], rows.map(row)))
}

impl SetQuota {
    pub(super) async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        self.check()?;
        let id = self.id.clone();
        change(settings, &id, "changed", move |record| self.set(&mut record.quotas)).await
    }

    fn given(&self) -> [(Quota, Option<Limit>); 5] {
        [
            (Quota::OpenInstances, self.open_instances),
            (Quota::StartsPerSecond, self.starts_per_second),
            (Quota::StoredBytes, self.stored_bytes),
            (Quota::Components, self.components),
            (Quota::CpuMsPerDay, self.cpu_ms_per_day),
        ]
    }

    /// Looks whether there is anything to set.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.given().iter().any(|(_, limit)| limit.is_some()) {
            return Ok(());
        }
        Err(Refused::input("there is no quota to set; name one, such as `--open-instances 100`").into())
    }

    /// What was given, by name; null is as much as it likes.
    pub(super) fn named(&self) -> BTreeMap<String, Option<u64>> {
        let given = self.given().into_iter();
        given.filter_map(|(quota, limit)| limit.map(|Limit(limit)| (quota.to_string(), limit))).collect()
    }

    /// Sets what was given, and leaves the rest.
    fn set(&self, quotas: &mut Quotas) {
        for (quota, limit) in self.given() {
            if let Some(Limit(limit)) = limit {
                quotas.set(quota, limit);
            }
        }
    }
}

async fn change(
    settings: &Settings,
    id: &TenantId,
    what: &str,
    change: impl Fn(&mut TenantRecord) + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let visit = settings.visit()?;
    let engine: &WorkflowEngine = &visit.engine;
    let changed = engine.change_tenant(id, change).await;
    visit.close().await;
    told(settings, what, &(&changed?).into())
}

pub(super) fn told(settings: &Settings, what: &str, tenant: &wire::Tenant) -> anyhow::Result<()> {
    match settings.output {
        Output::Json => print::json(tenant),
        Output::Table => print::line(&format!("{what} tenant `{}`: {}", tenant.id, quotas(tenant.quotas.into()))),
    }
}

fn quotas(quotas: Quotas) -> String {
    let told = |quota: &Quota| quotas.limit(*quota).map(|limit| format!("{quota} {limit}"));
    let told: Vec<_> = Quota::ALL.iter().filter_map(told).collect();
    if told.is_empty() { "no quotas".to_owned() } else { told.join(", ") }
}

fn now() -> Timestamp {
    chrono::Utc::now().into()
}
