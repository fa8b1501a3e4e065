//! `doctor`: whether this machine and these settings hold what the sandbox promises.

mod attacked;
mod environment;
mod hostile;
mod report;

use clap::Args;

use super::exit::Exit;
use super::open::Settings;

/// Look at this machine and these settings: what of it keeps steps in their cells, and whether that holds.
///
/// With `--hostile`, components that attack the host are let loose on these settings, one after the other, on a database
/// of their own that is gone afterwards: endless loops, bombs, floods, lies and the like. For each is said what stopped it,
/// how fast, and what it cost.
///
/// Ends with 0 if everything is as it should be, and with 2 if an attack got further than it may.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Let hostile components loose.
    #[arg(long, env = "STEPCELL_HOSTILE", hide_env_values = true)]
    hostile: bool,
    /// Let only those loose whose names begin so.
    #[arg(long, env = "STEPCELL_ATTACK", hide_env_values = true, value_name = "NAME", requires = "hostile")]
    attack: Vec<String>,
    /// Be the process that is attacked.
    #[arg(long, env = "STEPCELL_ATTACKED_HERE", hide = true, requires = "hostile")]
    attacked_here: bool,
}

impl Doctor {
    pub(crate) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        if !self.hostile {
            return environment::look(settings).await;
        }
        let cases = hostile::chosen(&self.attack)?;
        if self.attacked_here {
            attacked::attack(settings, &cases).await
        } else {
            tokio::task::block_in_place(|| hostile::watch(settings))
        }
    }
}
