//! `key`: what lets people in over HTTP. A key is shown once, and kept as a hash.

mod remote;

use clap::{Args, Subcommand};
use stepcell::engine::NewKey;
use stepcell::model::access::{ApiKeyId, Scope};
use stepcell::model::name::{GroupId, Label, TenantId, UserId};
use stepcell::model::time::{Span, Timestamp};
use stepcell::store::{KeyFilter, LIST_LEN_MAX, PageLimit, Whose};
use stepcell_server::wire::{ApiKey, NewApiKey};

use super::exit::{Exit, Refused};
use super::input::moment;
use super::open::{Output, Settings};
use super::print;

/// Make, list and revoke the API keys that let people in over HTTP.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    Create(Create),
    List(List),
    Revoke(Revoke),
}

/// Make an API key and print it, once: only a hash of it is kept. Makes the database if there is none.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What it allows: viewer, worker, author, operator or admin; as often as there are several.
    #[arg(
        long = "scope",
        env = "STEPCELL_SCOPE",
        hide_env_values = true,
        value_name = "SCOPE",
        required = true,
        value_delimiter = ','
    )]
    scope: Vec<Scope>,
    /// Whose it is [default: the platform's, which reaches every tenant].
    #[arg(long, env = "STEPCELL_TENANT", hide_env_values = true)]
    tenant: Option<TenantId>,
    /// Who comes in with it [default: `admin`, with the scope `admin`; others say who].
    #[arg(long, env = "STEPCELL_USER", hide_env_values = true)]
    user: Option<UserId>,
    /// A group of that user, for human tasks; as often as there are several.
    #[arg(long = "group", env = "STEPCELL_GROUP", hide_env_values = true, value_name = "GROUP", value_delimiter = ',')]
    group: Vec<GroupId>,
    /// What people call it [default: the user's id].
    #[arg(long, env = "STEPCELL_NAME", hide_env_values = true)]
    name: Option<Label>,
    /// When it lets nobody in any more: after how long, such as `90d`, or at which moment, such as `2027-01-31T12:00:00Z`
    /// [default: never].
    #[arg(long, env = "STEPCELL_EXPIRES", hide_env_values = true, value_name = "TIME")]
    expires: Option<Expiry>,
}

/// When a key ends.
#[derive(Clone, Copy, Debug)]
enum Expiry {
    /// So long from now.
    After(Span),
    /// At this moment.
    At(Timestamp),
}

impl std::str::FromStr for Expiry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(span) = text.parse() {
            return Ok(Self::After(span));
        }
        moment(text).map(Self::At).map_err(|error| format!("write a span such as `90d`, or a moment: {error}"))
    }
}

impl Expiry {
    fn moment(self) -> Timestamp {
        match self {
            Self::After(span) => now().after(span.length()),
            Self::At(moment) => moment,
        }
    }
}

/// List API keys, newest first. Nobody is shown a key.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those of this tenant.
    #[arg(long, env = "STEPCELL_TENANT", hide_env_values = true)]
    tenant: Option<TenantId>,
}

/// Revoke an API key: it lets nobody in any more, within 100 ms in every process.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The key's id, as `key list` shows it.
    id: ApiKeyId,
}

impl Key {
    pub(crate) async fn perform(self, settings: &Settings) -> anyhow::Result<Exit> {
        if let Some(server) = settings.server()? {
            return self.perform_on(settings, &server).await;
        }
        match self {
            Self::Create(verb) => verb.perform(settings).await?,
            Self::List(verb) => verb.perform(settings).await?,
            Self::Revoke(verb) => verb.perform(settings).await?,
        }
        Ok(Exit::Done)
    }
}

impl Create {
    /// Who comes in with it. Whoever stands in histories and completes tasks is named, but for the first administrator.
    fn user(&self) -> anyhow::Result<UserId> {
        match &self.user {
            Some(user) => Ok(user.clone()),
            None if self.scope.contains(&Scope::Admin) => Ok(UserId::new("admin")?),
            None => Err(Refused::input("say who comes in with the key, with `--user ID`").into()),
        }
    }

    async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let user = self.user()?;
        let name = match self.name {
            Some(name) => name,
            None => Label::new(&user)?,
        };
        let new = NewKey {
            name,
            tenant: self.tenant,
            user,
            groups: self.group,
            scopes: self.scope.into_iter().collect(),
            expires_at: self.expires.map(Expiry::moment),
            created_by: None,
        };
        let visit = settings.visit_or_make()?;
        let created = visit.engine.create_key(new).await;
        visit.close().await;
        let (key, text) = created?;
        print_created(settings, &NewApiKey { record: ApiKey::at(&key, now()), key: text.expose().to_owned() })
    }
}

fn print_created(settings: &Settings, created: &NewApiKey) -> anyhow::Result<()> {
    if settings.output == Output::Json {
        return print::json(created);
    }
    let NewApiKey { record, key } = created;
    print::note(format!("made key {} with {}; it is shown this once", told(record), record.scopes.join(", ")));
    print::line(&print::plain(key))
}

impl List {
    async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let visit = settings.read()?;
        let whose = self.tenant.map_or(Whose::Anybody, Whose::Of);
        let mut filter = KeyFilter { whose, limit: PageLimit::clamped(LIST_LEN_MAX), after: None };
        let mut keys = Vec::new();
        loop {
            let page = visit.engine.store().list_keys(&filter).await?.items;
            let Some(last) = page.last() else { break };
            filter.after = Some(last.id);
            keys.extend(page);
        }
        print_rows(settings, &keys.iter().map(|key| ApiKey::at(key, now())).collect::<Vec<_>>())
    }
}

fn print_rows(settings: &Settings, items: &[ApiKey]) -> anyhow::Result<()> {
    if settings.output == Output::Json {
        return print::json_list(items, items.len() as u64);
    }
    let headings = ["ID", "PREFIX", "TENANT", "USER", "NAME", "SCOPES", "STATE", "LAST USED", "EXPIRES"];
    print::text(&print::table(headings, items.iter().map(row)))
}

impl Revoke {
    async fn perform(self, settings: &Settings) -> anyhow::Result<()> {
        let visit = settings.visit()?;
        let revoked = visit.engine.revoke_key(self.id).await;
        visit.close().await;
        print_revoked(settings, &ApiKey::at(&revoked?, now()))
    }
}

fn print_revoked(settings: &Settings, key: &ApiKey) -> anyhow::Result<()> {
    match settings.output {
        Output::Json => print::json(key),
        Output::Table => print::line(&format!("revoked key {}", told(key))),
    }
}

fn row(key: &ApiKey) -> [String; 9] {
    [
        key.id.clone(),
        key.prefix.clone(),
        print::or_dash(key.tenant_id.as_ref()),
        key.user_id.clone(),
        key.name.clone(),
        key.scopes.join(", "),
        key.state.clone(),
        print::or_dash(key.last_used_at.as_ref()),
        print::or_dash(key.expires_at.as_ref()),
    ]
}

/// A key's id, and whose it is.
fn told(key: &ApiKey) -> String {
    let of = key.tenant_id.as_ref().map(|tenant| format!(" of tenant `{tenant}`")).unwrap_or_default();
    print::plain(&format!("{}{of}", key.id))
}

fn now() -> Timestamp {
    chrono::Utc::now().into()
}
