//! `secret`: confidential values that steps are granted by name. No verb ever shows one.

mod remote;

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;
use stepcell::model::name::{SecretName, TenantId};
use stepcell::model::secret::{SECRET_BYTES_MAX, SecretText};
use stepcell::store::{PageLimit, SecretFilter};
use stepcell_server::wire;

use super::exit::{Exit, Refused};
use super::open::{Output, Settings};
use super::print;

/// Keep secrets that steps may be granted.
#[derive(Debug, Subcommand)]
pub(crate) enum Secret {
    Set(Set),
    /// List the secrets by tenant and name. Nobody is shown a value.
    List,
    Delete(Named),
}

/// Keep a secret, encrypted with the host's key, in place of the value that it has.
///
/// The value is read from stdin or a file, so that no list of processes and no shell's history shows it; a line break at
/// its end is left out. Makes the database if there is none.
#[derive(Debug, Args)]
pub(crate) struct Set {
    #[command(flatten)]
    named: Named,
    /// The file that holds the value [default: stdin].
    #[arg(long, env = "STEPCELL_SECRET_FILE", hide_env_values = true, value_name = "FILE")]
    from_file: Option<PathBuf>,
}

/// A secret.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Its name, as `grants` name it.
    name: SecretName,
    /// Whose it is [default: of instances without a tenant].
    #[arg(long, env = "STEPCELL_TENANT", hide_env_values = true)]
    tenant: Option<TenantId>,
}

impl Secret {
    pub(crate) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        if let Some(server) = settings.server()? {
            return self.perform_on(settings, &server).await;
        }
        match self {
            Self::Set(verb) => verb.perform(settings).await?,
            Self::List => list(settings).await?,
            Self::Delete(verb) => verb.delete(settings).await?,
        }
        Ok(Exit::Done)
    }
}

impl Set {
    async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let value = self.value()?;
        let visit = settings.visit_with_key()?;
        let Named { name, tenant } = self.named;
        let set = visit.engine.set_secret(tenant.clone(), name.clone(), value).await;
        visit.close().await;
        set?;
        told(settings, "set", &Named { name, tenant })
    }

    fn value(&self) -> anyhow::Result<SecretText> {
        let mut text = String::new();
        let most = SECRET_BYTES_MAX as u64 + 2;
        match &self.from_file {
            Some(file) => {
                let failed = || format!("can not read `{}`", file.display());
                std::fs::File::open(file)
                    .with_context(failed)?
                    .take(most)
                    .read_to_string(&mut text)
                    .with_context(failed)?;
            }
            None => drop(
                std::io::stdin().take(most).read_to_string(&mut text).context("can not read the value from stdin")?,
            ),
        }
        let len = text.strip_suffix('\n').map_or(text.len(), |text| text.strip_suffix('\r').unwrap_or(text).len());
        text.truncate(len);
        Ok(SecretText::new(text))
    }
}

impl Named {
    async fn delete(self, settings: &Settings) -> anyhow::Result<()> {
        let visit = settings.visit()?;
        let deleted = visit.engine.delete_secret(self.tenant.as_ref(), &self.name).await;
        visit.close().await;
        if !deleted? {
            let missing = format!(
                "there is no secret `{}`{}; `stepcell secret list` shows those there are",
                self.name,
                self.of()
            );
            return Err(Refused::state(missing).into());
        }
        told(settings, "deleted", &self)
    }

    fn of(&self) -> String {
        self.tenant.as_ref().map(|tenant| format!(" of tenant `{tenant}`")).unwrap_or_default()
    }
}

fn told(settings: &Settings, what: &str, named: &Named) -> anyhow::Result<()> {
    match settings.output {
        Output::Json => print::json(&json!({ "name": named.name, "tenant": named.tenant, what: true })),
        Output::Table => print::line(&format!("{what} `{}`{}", named.name, named.of())),
    }
}

async fn list(settings: &Settings) -> anyhow::Result<()> {
    let visit = settings.read()?;
    let mut secrets = Vec::new();
    let mut filter = SecretFilter { limit: PageLimit::MAX, ..SecretFilter::default() };
    loop {
        let page = visit.engine.list_secrets(&filter).await?;
        let Some(last) = page.items.last() else { break };
        filter.after = Some((last.tenant.clone(), last.name.clone()));
        secrets.extend(page.items.iter().map(wire::Secret::from));
    }
    print_rows(settings, &secrets)
}

fn print_rows(settings: &Settings, secrets: &[wire::Secret]) -> anyhow::Result<()> {
    if settings.output == Output::Json {
        let item = |secret: &wire::Secret| json!({ "name": secret.name, "tenant": secret.tenant_id, "updated_at": secret.updated_at });
        let items: Vec<_> = secrets.iter().map(item).collect();
        return print::json_list(&items, items.len() as u64);
    }
    let row = |secret: &wire::Secret| {
        [print::or_dash(secret.tenant_id.as_ref()), secret.name.clone(), secret.updated_at.to_string()]
    };
    print::text(&print::table(["TENANT", "NAME", "UPDATED"], secrets.iter().map(row)))
}
