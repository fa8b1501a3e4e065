//! The process that is attacked: a host with these settings, and every attack on it, one after the other.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use stepcell::Host;
use stepcell::hostile::{AttackReport, HostileCase, ProcessUsage, Siege};

use super::report::{Afterwards, Attack, Told, Usage};
use crate::cli::exit::Exit;
use crate::cli::open::Settings;
use crate::cli::print;

/// How long the process may take to give back what attacks cost it.
const GIVING_BACK_MAX: Duration = Duration::from_secs(30);

/// How often is looked whether it has.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Lets components loose twice, and tells what came of each.
///
/// What a process comes to keep for its whole life, such as code and an allocator's free lists, is there after the first
/// round. What the second one leaves, every further one would leave, too.
pub(super) async fn attack(settings: &Settings, cases: &[&'static HostileCase]) -> anyhow::Result<Exit> {
    let folder = tempfile::tempdir().context("can not make a folder for the database that is attacked")?;
    let first = besiege(settings, &folder.path().join("first"), cases, |_| true).await?;
    let before = Usage::from(ProcessUsage::measure());
    let again = besiege(settings, &folder.path().join("again"), cases, |attack| !attack.is_contained()).await?;
    let (after, given_back) = given_back(before).await;
    tell(&Told::Ended(Afterwards::new(before, after, given_back, first && again)))?;
    Ok(Exit::Done)
}

/// Attacks a host in a folder, closes it, and says whether a step that harms nobody works after all attacks.
async fn besiege(
    settings: &Settings,
    folder: &Path,
    cases: &[&'static HostileCase],
    is_told: impl Fn(&AttackReport) -> bool,
) -> anyhow::Result<bool> {
    let host = open(settings, folder).await?;
    let siege = Siege::begin(&host).await.context("not even a step that harms nobody can be registered")?;
    for case in cases {
        tell(&Told::Attacking(case.name.to_owned()))?;
        let attack = siege.attack(case).await;
        let attack = attack
            .with_context(|| format!("the host could not do its part while it was attacked with `{}`", case.name))?;
        if is_told(&attack) {
            tell(&Told::Attacked(Attack::from(&attack)))?;
        }
    }
    let works = siege.good_step_works().await.context("no step can be started any more")?;
    host.close().await;
    Ok(works)
}

/// A host with these settings, and nothing of theirs that lasts.
async fn open(settings: &Settings, folder: &Path) -> anyhow::Result<Host> {
    std::fs::create_dir(folder).context("can not make a folder for the database that is attacked")?;
    let builder = settings.with_settings(Host::on_sqlite(folder.join("attacked.db")))?.cache(folder.join("cache"));
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
