//! `stats`: how much there is of what.

use clap::Args;
use stepcell::model::name::TenantId;
use stepcell_server::wire;

use super::exit::Exit;
use super::open::{Output, Settings};
use super::print;
use super::remote::Ask;

/// Count what there is: instances by status, tasks, definitions, components and the bytes of it all.
#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// Only what is this tenant's.
    #[arg(long, env = "STEPCELL_TENANT", hide_env_values = true)]
    tenant: Option<TenantId>,
}

impl Stats {
    pub(crate) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        let counted = match settings.server()? {
            Some(server) => server.ask(Ask::get(&["stats"]).query("tenant_id", self.tenant)).await?,
            None => self.count(settings).await?,
        };
        print_counts(settings, &counted)?;
        Ok(Exit::Done)
    }

    async fn count(&self, settings: &Settings) -> anyhow::Result<wire::Stats> {
        let visit = settings.read()?;
        Ok(visit.store().load_stats(self.tenant.as_ref(), chrono::Utc::now().into()).await?.into())
    }
}

fn print_counts(settings: &Settings, counted: &wire::Stats) -> anyhow::Result<()> {
    if settings.output == Output::Json {
        return print::json(counted);
    }
    let instances = counted.instances.iter().map(|(status, count)| (format!("instances {status}"), *count));
    let others = [
        ("tasks pending", Some(counted.tasks_pending)),
        ("tasks overdue", Some(counted.tasks_overdue)),
        ("definitions", Some(counted.definitions)),
        ("components", Some(counted.components)),
        ("bytes stored", Some(counted.stored_bytes)),
        ("letters", counted.letters),
    ];
    let others = others.into_iter().filter_map(|(what, count)| Some((what.to_owned(), count?)));
    let rows = instances.chain(others).map(|(what, count)| [what, count.to_string()]);
    print::text(&print::table(["WHAT", "COUNT"], rows))
}
