//! `policy`: what the operator allows tenants.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use stepcell::model::name::TenantId;
use stepcell::model::policy::Policy as Document;

use super::exit::{Exit, Refused};
use super::input::text_of_file;
use super::open::{Output, Settings};
use super::print;

/// Say what tenants' steps may reach and use, and whose components are trusted.
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    Apply(File),
    /// Check a policy's file. Nothing is stored.
    Validate(File),
    Show(Show),
    /// Print the JSON Schema of policies, for editors.
    Schema,
}

/// Put a policy in place of the one that holds; attempts that begin from now on are held to it.
///
/// Makes the database if there is none.
#[derive(Debug, Args)]
pub(crate) struct File {
    /// The policy, as YAML or JSON.
    file: PathBuf,
}

/// Show the policy that holds, or what it says of one tenant.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// What holds for this tenant.
    #[arg(long, env = "STEPCELL_TENANT", hide_env_values = true)]
    tenant: Option<TenantId>,
}

impl Policy {
    pub(crate) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        match self {
            Self::Apply(file) => file.apply(settings).await?,
            Self::Validate(file) => {
                file.read()?;
                print::line(&format!("`{}` is valid", file.file.display()))?;
            }
            Self::Show(verb) => verb.perform(settings).await?,
            Self::Schema => print::json(&Document::json_schema())?,
        }
        Ok(Exit::Done)
    }
}

impl File {
    fn read(&self) -> anyhow::Result<Document> {
        let told = |problems| Refused::input(format!("`{}` is not valid:\n{problems}", self.file.display()));
        Ok(Document::from_text(&text_of_file(&self.file)?).map_err(told)?)
    }

    async fn apply(&self, settings: &Settings) -> anyhow::Result<()> {
        let policy = self.read()?;
        let visit = settings.visit_or_make()?;
        let applied = visit.engine.apply_policy(&policy).await;
        visit.close().await;
        applied?;
        match settings.output {
            Output::Json => print::json(&policy.to_json()),
            Output::Table => {
                print::line(&format!("the policy holds now; {} named", print::counted(policy.tenants.len(), "tenant")))
            }
        }
    }
}

impl Show {
    async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let visit = settings.read()?;
        let policy = visit.engine.policy().await?;
        let Some(tenant) = self.tenant else { return print::json(&policy.to_json()) };
        let of = policy.of(Some(&tenant));
        print::json(&json!({
            "tenant": tenant,
            "grants": *of.grants,
            "limits": of.limits,
            "concurrency": of.concurrency,
            "durability": of.durability,
            "signatures": of.signatures,
            "trusted_keys": of.trusted_keys,
        }))
    }
}
