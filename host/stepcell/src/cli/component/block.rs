//! `component revoke`, `restore` and `blocked`: which components may not run.

use clap::Args;
use serde_json::json;
use stepcell::model::guard::ComponentBlock;
use stepcell::model::id::ComponentDigest;
use stepcell::model::name::UserId;
use stepcell::store::Inserted;
use stepcell_server::wire::BlockedComponent;

use crate::cli::exit::Refused;
use crate::cli::open::{Output, Settings};
use crate::cli::print;

/// Let a component run no more: what runs is stopped, what is queued is held back, and nothing may name it.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The component, as `sha256:…`.
    pub(super) digest: ComponentDigest,
    /// Why, for whoever asks why an instance does not go on.
    #[arg(long, env = "STEPCELL_REASON", hide_env_values = true)]
    pub(super) reason: String,
    /// Who decides it.
    #[arg(long, env = "STEPCELL_USER", hide_env_values = true)]
    pub(super) user: Option<UserId>,
}

/// Let a component run again that was revoked or put in quarantine; what was held back goes on.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The component, as `sha256:…`.
    pub(super) digest: ComponentDigest,
}

impl Revoke {
    pub(super) async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let visit = settings.visit()?;
        let revoked = visit.engine.revoke_component(self.digest, &self.reason, self.user).await;
        visit.close().await;
        print_revoked(settings, &self.digest, revoked?)
    }
}

/// Says that a component may not run.
pub(super) fn print_revoked(settings: &Settings, digest: &ComponentDigest, inserted: Inserted) -> anyhow::Result<()> {
    let is_new = inserted == Inserted::New;
    match settings.output {
        Output::Json => print::json(&json!({ "digest": digest, "is_new": is_new })),
        Output::Table if is_new => print::line(&format!("revoked {digest}")),
        Output::Table => print::line(&format!("{digest} may not run already; its first reason stays")),
    }
}

impl Restore {
    pub(super) async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let visit = settings.visit()?;
        let restored = visit.engine.restore_component(&self.digest).await;
        visit.close().await;
        if !restored? {
            return Err(not_blocked(&self.digest).into());
        }
        print_restored(settings, &self.digest)
    }
}

/// Says that a component may run already.
pub(super) fn not_blocked(digest: &ComponentDigest) -> Refused {
    Refused::state(format!(
        "{digest} is neither revoked nor in quarantine; `stepcell component blocked` shows those that are"
    ))
}

/// Says that a component may run again.
pub(super) fn print_restored(settings: &Settings, digest: &ComponentDigest) -> anyhow::Result<()> {
    match settings.output {
        Output::Json => print::json(&json!({ "digest": digest, "restored": true })),
        Output::Table => print::line(&format!("{digest} may run again")),
    }
}

/// Lists the components that may not run.
pub(super) async fn list(settings: &Settings) -> anyhow::Result<()> {
    let blocks = settings.read()?.engine.list_blocks().await?;
    print_blocked(settings, &blocks.iter().map(BlockedComponent::from).collect::<Vec<_>>())
}

pub(super) fn print_blocked(settings: &Settings, items: &[BlockedComponent]) -> anyhow::Result<()> {
    if settings.output == Output::Json {
        return print::json_list(items, items.len() as u64);
    }
    let row = |block: &BlockedComponent| {
        [
            block.digest.to_string(),
            block.state.clone(),
            block.since.to_string(),
            print::or_dash(block.by.as_ref()),
            print::shortened(&block.reason),
        ]
    };
    print::text(&print::table(["DIGEST", "STATE", "SINCE", "BY", "REASON"], items.iter().map(row)))
}

/// A block as programs read it.
pub(super) fn as_json(block: &ComponentBlock) -> serde_json::Value {
    json!({ "digest": block.digest, "state": block.kind, "reason": block.reason, "by": block.by, "since": block.at })
}
