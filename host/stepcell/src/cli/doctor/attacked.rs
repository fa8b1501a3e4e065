//! The process that is attacked: a host with these settings, and every attack on it, one after the other.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use stepcell::Host;
use stepcell::hostile::{HostileCase, ProcessUsage, Siege};

use super::report::{Afterwards, Attack, Told, Usage};
use crate::cli::exit::Exit;
use crate::cli::open::Settings;
use crate::cli::print;

/// How long the process may take to give back what attacks cost it.
const GIVING_BACK_MAX: Duration = Duration::from_secs(30);

/// How often is looked whether it has.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Lets components loose, and tells what came of each.
pub(super) async fn attack(settings: &Settings, cases: &[&'static HostileCase]) -> anyhow::Result<Exit> {
    let folder = tempfile::tempdir().context("can not make a folder for the database that is attacked")?;
    // What any host comes to keep for its whole life is there before, and is nothing that an attack left.
    besiege(settings, &folder.path().join("before"), &one_of_each_group(cases), |_| Ok(())).await?;
    let before = Usage::from(ProcessUsage::measure());
    let good_step_works = besiege(settings, &folder.path().join("attacked"), cases, tell).await?;
    let (after, given_back) = given_back(before).await;
    tell(&Told::Ended(Afterwards::new(before, after, given_back, good_step_works)))?;
    Ok(Exit::Done)
}

/// The first attack of each group.
fn one_of_each_group(cases: &[&'static HostileCase]) -> Vec<&'static HostileCase> {
    let mut first = cases.to_vec();
    first.dedup_by_key(|case| case.group);
    first
}

/// Attacks a host in a folder, closes it, and says whether a step that harms nobody works after all attacks.
async fn besiege(
    settings: &Settings,
    folder: &Path,
    cases: &[&'static HostileCase],
    tell: impl Fn(&Told) -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let host = open(settings, folder).await?;
    let siege = Siege::begin(&host).await.context("not even a step that harms nobody can be registered")?;
    for case in cases {
        tell(&Told::Attacking(case.name.to_owned()))?;
        let attack = siege.attack(case).await;
        let attack = attack.with_context(|| format!("the host could not do its part while it was attacked with `{}`", case.name))?;
        tell(&Told::Attacked(Attack::from(&attack)))?;
    }
    let works = siege.good_step_works().await.context("no step can be started any more")?;
    host.close().await;
    Ok(works)
}

/// A host with these settings, and nothing of theirs that lasts.
async fn open(settings: &Settings, folder: &Path) -> anyhow::Result<Host> {
    std::fs::create_dir(folder).context("can not make a folder for the database that is attacked")?;
    let builder = settings.with_cache(Host::on_sqlite(folder.join("attacked.db"))).cache(folder.join("cache"));
    builder.open().await.context("can not open the database that is attacked")
}

/// Waits until the process is as it was before, and no longer than it may take.
async fn given_back(before: Usage) -> (Usage, Duration) {
    let began = Instant::now();
    loop {
        let after = Usage::from(ProcessUsage::measure());
        if after.leftovers(before).is_empty() || began.elapsed() > GIVING_BACK_MAX {
            return (after, began.elapsed());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

fn tell(told: &Told) -> anyhow::Result<()> {
    print::line(&serde_json::to_string(told)?)
}
