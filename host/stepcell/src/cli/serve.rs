//! `serve`: drives a database until it is told to stop, and answers HTTP meanwhile.

mod callers;
mod listening;
mod metrics;
mod settings;
mod traces;

use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use stepcell::engine::Tracing;
use stepcell::model::time::Span;
use stepcell::store::{KeyFilter, Losses, PageLimit};
use stepcell::{Access, Host, HostBuilder};

use super::exit::Exit;
use super::open::{Settings, cannot_open};
use super::print::{note, shell_word};
use super::prune::Retention;
use super::stops::{Stops, Told};

use self::listening::Listening;
use self::settings::HttpSettings;
use self::traces::{Collector, Telling};

/// Drive everything in the database until stopped.
///
/// SIGTERM and Ctrl-C drain: nothing new begins, requests and attempts under way end, and the process ends with 0. A second
/// signal ends it at once; what was under way then is run again by the next one that drives.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// How many attempts may run at once [default: 16 for each processor].
    #[arg(long, env = "STEPCELL_CONCURRENCY", hide_env_values = true, value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=1000))]
    concurrency: Option<u16>,
    /// Delete instances that finished that long ago, such as `30d`, little by little in the background: see `prune`.
    #[arg(long, env = "STEPCELL_RETENTION", hide_env_values = true, value_name = "AGE")]
    retention: Option<Span>,
    /// Delete records of the audit log that are that old; `0s` keeps them for ever.
    #[arg(long, env = "STEPCELL_AUDIT_RETENTION", hide_env_values = true, value_name = "AGE", default_value = "90d")]
    audit_retention: Span,
    /// Go on where the database has lost something that was acknowledged, as a damaged disk or a removed file makes it. What
    /// came before the loss is kept, and the damaged log beside the database, with `-wal.lost` at its end.
    #[arg(long, env = "STEPCELL_ACCEPT_LOSS", hide_env_values = true)]
    accept_loss: bool,
    /// Tell a collector of OTLP over HTTP what instances do, such as `http://127.0.0.1:4318` [default: that of
    /// OTEL_EXPORTER_OTLP_ENDPOINT, if it is set]. Further OTEL_ variables say how.
    #[arg(long, env = "STEPCELL_OTLP_ENDPOINT", hide_env_values = true, value_name = "URL")]
    otlp_endpoint: Option<String>,
    #[command(flatten)]
    http: HttpSettings,
}

impl Serve {
    pub(crate) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        let database = settings.database();
        let mut stops = Stops::listen()?.with_reload()?;
        let mut listening = Listening::begin(&self.http).await?;
        let collector = Collector::find(self.otlp_endpoint.as_deref())?;
        let tracing = if collector.is_some() { Tracing::Told } else { Tracing::PassedOn };
        let host =
            self.builder(settings, &database)?.tracing(tracing).open().await.with_context(|| cannot_open(&database))?;
        listening.open(&host, &self.http);
        if self.http.listen.is_some() {
            tell_of_first_key(&host, &database).await?;
        }
        let telling = match collector {
            Some(collector) => Some(Telling::begin(host.engine(), collector).await),
            None => None,
        };
        note(format!("driving {}; stop with Ctrl-C", database.display()));
        let retention = self.retention.map(|age| Retention::of(host.store(), age));
        let of_audit = (!self.audit_retention.length().is_zero()).then_some(self.audit_retention);
        let audit_retention = of_audit.map(|age| Retention::of_audit(host.store(), age));
        let fault = loop {
            tokio::select! {
                told = stops.next_or_reload() => match told {
                    Told::Stop => break None,
                    Told::Reload => listening.reload(),
                },
                fault = host.engine().faulted() => break Some(fault),
            }
        };
        match &fault {
            Some(_) => listening.front().fault(),
            None => listening.front().drain(),
        }
        note("stopping: the attempts under way end first; stop again to end at once");
        tokio::spawn(async move {
            stops.next().await;
            note("stopped at once; what was under way is run again by the next one that drives");
            std::process::exit(Exit::BadInput as i32);
        });
        let fault = match fault {
            Some(fault) => Some(fault),
            None => self.http.serve_on(&host).await.inspect(|_| listening.front().fault()),
        };
        drop((retention, audit_retention));
        listening.stop().await;
        if let Some(telling) = telling {
            telling.stop().await;
        }
        host.close().await;
        listening.end().await;
        match fault {
            Some(fault) => Err(anyhow::Error::from(fault).context(cannot_go_on(&database))),
            None => Ok(Exit::Done),
        }
    }

    fn builder(&self, settings: &Settings, database: &Path) -> anyhow::Result<HostBuilder> {
        let mut builder = settings.with_settings(Host::on_sqlite(database))?.access(Access::Drive);
        if self.accept_loss {
            builder = builder.losses(Losses::Accept);
        }
        if let Some(attempts) = self.concurrency {
            builder = builder.concurrency(attempts.into());
        }
        Ok(builder)
    }
}

/// Says how the first key is made, where there is none: nobody comes in otherwise.
async fn tell_of_first_key(host: &Host, database: &Path) -> anyhow::Result<()> {
    let any = KeyFilter { limit: PageLimit::clamped(1), ..KeyFilter::default() };
    if host.store().list_keys(&any).await?.total == 0 {
        let database = shell_word(&database.display().to_string());
        note(format!(
            "there is no API key yet, so nobody comes in; make the first one with\n  stepcell key create --db {database} --scope \
             admin --name first"
        ));
    }
    Ok(())
}

fn cannot_go_on(database: &Path) -> String {
    format!("can not go on driving `{}`", database.display())
}
