//! `events`: what happened in a database or on a server, and what happens there.

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use stepcell::engine::{EventFeed, EventFilter, EventType, FeedStart};
use stepcell::model::history::{Event, HistoryEntry};
use stepcell::model::id::InstanceId;
use stepcell::model::name::{TenantId, WorkflowName};

use super::event::{self, object};
use super::exit::Exit;
use super::input::instance_id;
use super::open::{Output, Settings};
use super::print::{self, note};
use super::remote::{EventStream, Wanted, entries_of};
use super::stops::Stops;

/// Print what happened, event by event in the order in which it was committed, and with `--follow` what happens.
///
/// Works beside whoever drives the database. Each event has a position, which it shares with those of the same
/// transition; `--after` goes on behind one, and misses nothing. With `--output json` each event is a line of its own.
/// SIGTERM, Ctrl-C and a reader that goes away end it with 0.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Go on with what happens from now on, until stopped.
    #[arg(long, env = "STEPCELL_FOLLOW", hide_env_values = true)]
    follow: bool,
    /// Begin after this position, or with `now` after all that there is [default: with the first event].
    #[arg(long, env = "STEPCELL_AFTER", hide_env_values = true, value_name = "POSITION", value_parser = start)]
    after: Option<FeedStart>,
    /// Only what happened to this instance.
    #[arg(long, env = "STEPCELL_INSTANCE", hide_env_values = true, value_name = "ID", value_parser = instance_id)]
    instance: Option<InstanceId>,
    /// Only what happened to instances of this workflow, of any version.
    #[arg(long, env = "STEPCELL_WORKFLOW", hide_env_values = true, value_name = "NAME")]
    workflow: Option<WorkflowName>,
    /// Only what happened to this tenant's instances.
    #[arg(long, env = "STEPCELL_TENANT", hide_env_values = true)]
    tenant: Option<TenantId>,
    /// Only events of this type, such as `workflow_failed`; may be given several times, or with commas between.
    #[arg(long = "type", env = "STEPCELL_TYPE", hide_env_values = true, value_name = "TYPE", value_delimiter = ',')]
    types: Vec<EventType>,
    /// End after this many events; those of one transition stay together, so there may be a few more.
    #[arg(long, env = "STEPCELL_LIMIT", hide_env_values = true, value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// Reads where to begin.
fn start(text: &str) -> Result<FeedStart, String> {
    if text == "now" {
        return Ok(FeedStart::Now);
    }
    let position = text.parse().map_err(|_| "a position is a number, as each event has one, or `now`".to_owned())?;
    Ok(FeedStart::After(position))
}

impl Events {
    pub(crate) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        let mut stops = Stops::listen()?;
        tokio::select! {
            told = self.tell_all(settings) => told?,
            () = stops.next() => {}
            () = print::reader_gone() => {}
        }
        Ok(Exit::Done)
    }

    async fn tell_all(&self, settings: &Settings) -> anyhow::Result<()> {
        if let Some(server) = settings.server()? {
            return self.tell_of_server(server.events(self.wanted()).await?, settings.output).await;
        }
        let visit = settings.read()?;
        let filter = EventFilter {
            instance: self.instance,
            workflow: self.workflow.clone(),
            tenant: self.tenant.clone(),
            types: self.types.clone(),
        };
        let start = self.after.unwrap_or(FeedStart::Beginning);
        let feed = visit.engine.events(filter, start).await.context("can not read the events")?;
        self.tell(feed, settings.output).await
    }

    /// What is asked of a server.
    fn wanted(&self) -> Wanted {
        let types: Vec<_> = self.types.iter().map(ToString::to_string).collect();
        let after = match self.after.unwrap_or(FeedStart::Beginning) {
            FeedStart::Beginning => Some("0".to_owned()),
            FeedStart::After(position) => Some(position.to_string()),
            FeedStart::Now => None,
        };
        let filter = [
            ("after", after),
            ("instance_id", self.instance.map(|id| id.to_string())),
            ("definition_name", self.workflow.as_ref().map(ToString::to_string)),
            ("tenant_id", self.tenant.as_ref().map(ToString::to_string)),
            ("types", (!types.is_empty()).then(|| types.join(","))),
        ];
        let filter = filter.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        Wanted { filter, follow: self.follow, limit: self.limit }
    }

    /// Prints what the stream tells, until that is enough: an event each time, which came about with those at its position.
    async fn tell_of_server(&self, mut stream: EventStream<'_>, output: Output) -> anyhow::Result<()> {
        if output == Output::Table {
            say(heading()).await?;
        }
        let mut told = 0;
        while let Some(row) = stream.next().await? {
            for entry in entries_of(vec![row])? {
                say(lines(&entry, output)?).await?;
            }
            told += 1;
        }
        if output == Output::Json {
            return Ok(());
        }
        match stream.position() {
            None => note("no events"),
            Some(position) if self.limit.is_some_and(|limit| told >= limit) => go_on_after(position),
            Some(_) => {}
        }
        Ok(())
    }

    /// Prints what the feed tells, until that is enough.
    async fn tell(&self, mut feed: EventFeed, output: Output) -> anyhow::Result<()> {
        if output == Output::Table {
            say(heading()).await?;
        }
        let mut told = 0;
        while self.limit.is_none_or(|limit| told < limit) {
            let next = if self.follow { feed.next().await? } else { feed.find_next().await? };
            let Some(entry) = next else {
                if told == 0 && output == Output::Table {
                    note("no events");
                }
                return Ok(());
            };
            told += entry.events.len() as u64;
            say(lines(&entry, output)?).await?;
        }
        if output == Output::Table {
            go_on_after(feed.position());
        }
        Ok(())
    }
}

fn go_on_after(position: u64) {
    note(format!("\n`--after {position}` goes on"));
}

fn heading() -> String {
    row(["POSITION", "AT", "INSTANCE", "EVENT", "WHAT"])
}

/// Prints text without a hold on the thread: whoever reads it may take long, and meanwhile signals are heard.
async fn say(text: String) -> anyhow::Result<()> {
    tokio::task::spawn_blocking(move || print::text(&text)).await?
}

/// The events of a transition, a line each.
fn lines(entry: &HistoryEntry, output: Output) -> anyhow::Result<String> {
    let line = |event| match output {
        Output::Json => Ok(format!("{}\n", to_json(entry, event)?)),
        Output::Table => in_words(entry, event),
    };
    entry.events.iter().map(line).collect()
}

fn to_json(entry: &HistoryEntry, event: &Event) -> anyhow::Result<Value> {
    let place = json!({ "position": entry.position, "seq": entry.seq, "instance": entry.instance, "at": entry.at });
    let mut fields = object(place);
    fields.extend(event::fields(event));
    fields.extend(event.trace().map(event::trace_fields).unwrap_or_default());
    Ok(Value::Object(fields))
}

fn in_words(entry: &HistoryEntry, event: &Event) -> anyhow::Result<String> {
    let (name, what) = event::words(event)?;
    Ok(row([&entry.position.to_string(), &entry.at.to_string(), &entry.instance.to_string(), &name, &what]))
}

/// A line of a table that has no end: its columns are as wide as what they hold can be.
fn row([position, at, instance, event, what]: [&str; 5]) -> String {
    let line = format!("{position:<8}  {at:<24}  {instance:<36}  {event:<20}  {what}");
    format!("{}\n", line.trim_end())
}
