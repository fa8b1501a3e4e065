//! `component` on a server. Files are looked at here; the server checks and compiles them.

use anyhow::Context as _;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use stepcell::model::component::Export;
use stepcell::model::definition::ComponentRef;
use stepcell::model::name::{TenantId, UserId};
use stepcell::model::signature::ComponentSignature;
use stepcell::model::time::Timestamp;
use stepcell::store::Inserted;
use stepcell::{Access, Host};
use stepcell_server::wire;

use super::block::{Restore, Revoke, not_blocked, print_blocked, print_restored, print_revoked};
use super::sign::signature_in;
use super::{Component, Inspect, List, Push, bytes_of, in_words, print_pushed, print_rows, purity_of};
use crate::cli::exit::{Exit, Refused};
use crate::cli::open::{Output, Settings};
use crate::cli::print;
use crate::cli::progress::Waiting;
use crate::cli::register::ComponentFile;
use crate::cli::remote::{Ask, Server, not_on_server};

/// A component as a server tells of one.
#[derive(Debug, Deserialize)]
struct Detail {
    #[serde(flatten)]
    component: wire::Component,
    blocked: Option<Block>,
}

/// Why a component may not run, as a server tells it.
#[derive(Debug, Deserialize)]
struct Block {
    kind: String,
    reason: String,
    by: Option<UserId>,
    at: Timestamp,
}

impl Component {
    pub(super) async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<Exit> {
        match self {
            Self::Push(verb) => verb.perform_on(settings, server).await?,
            Self::List(verb) => verb.perform_on(settings, server).await?,
            Self::Inspect(verb) => verb.perform_on(settings, server).await?,
            Self::Revoke(verb) => verb.perform_on(settings, server).await?,
            Self::Restore(verb) => verb.perform_on(settings, server).await?,
            Self::Blocked => {
                print_blocked(settings, &server.all(Ask::get(&["admin", "blocked-components"])).await?.items)?;
            }
            // These work on files alone.
            Self::Keygen(_) | Self::Sign(_) | Self::Verify(_) => return self.perform_here(settings).await,
        }
        Ok(Exit::Done)
    }
}

/// Uploads a component. The same once more has no effect.
pub(crate) async fn upload(
    server: &Server,
    file: ComponentFile,
    tenant: Option<&TenantId>,
    accept_capabilities: Option<bool>,
    signature: Option<&ComponentSignature>,
) -> anyhow::Result<(wire::Component, Inserted)> {
    let _waiting = Waiting::on(format!("uploading {} {}", file.name, file.version));
    let ask = Ask::post(&["components"])
        .query("name", Some(&file.name))
        .query("version", Some(&file.version))
        .query("accept_capabilities", accept_capabilities)
        .query("tenant_id", tenant)
        .head("component-signature", signature.map(serde_json::to_string).transpose()?);
    let answer = server.send(ask.body("application/wasm", file.bytes.to_vec()).repeatable()).await?;
    let inserted = if answer.status == StatusCode::CREATED { Inserted::New } else { Inserted::AlreadyThere };
    Ok((answer.json()?, inserted))
}

impl Push {
    async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<()> {
        let signature = self.signature.as_deref().map(signature_in).transpose()?;
        let what = format!("can not push `{}`", self.file.display());
        let bytes = bytes_of(&self.file)?;
        let host = Host::in_memory().access(Access::Read).concurrency(1).open().await?;
        let identity = self.identity(&host, &bytes);
        host.close().await;
        let (name, version) = identity.with_context(|| what.clone())?;
        let file = ComponentFile { name, version, bytes: bytes.into() };
        let accept = self.accept_capabilities.then_some(true);
        let (record, inserted) =
            upload(server, file, self.tenant.as_ref(), accept, signature.as_ref()).await.context(what)?;
        print_pushed(settings, &record, inserted)
    }
}

impl List {
    async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<()> {
        let ask = Ask::get(&["components"]).query("name", self.name.as_ref()).query("tenant_id", self.tenant);
        let items = server.all(ask).await?.items;
        match &self.name {
            Some(name) if items.is_empty() => Err(Refused::state(format!("there is no component `{name}`")).into()),
            _ => print_rows(settings, &items),
        }
    }
}

impl Inspect {
    async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<()> {
        let is_file = std::path::Path::new(&self.component).is_file();
        let wanted = self.component.parse().ok().filter(|wanted| !is_file && !matches!(wanted, ComponentRef::File(_)));
        if wanted.is_none() {
            return self.perform(settings).await;
        }
        let path = ["components", self.component.as_str()];
        let detail: Detail = server.ask(Ask::get(&path).query("tenant_id", self.owner.tenant)).await?;
        let value = detail.inspected();
        match settings.output {
            Output::Json => print::json(&value),
            Output::Table => print::text(&in_words(&value)),
        }
    }
}

impl Detail {
    /// The same as `inspect` tells of what lies in a database, but for what only the bytes know.
    fn inspected(&self) -> Value {
        let record = &self.component;
        let exports = |wanted: Export| record.exports.iter().any(|export| export == wanted.as_str());
        json!({
            "name": record.name,
            "version": record.version,
            "digest": record.digest,
            "size_bytes": record.size_bytes,
            "is_step": exports(Export::Step),
            "is_gateway": exports(Export::Gateway),
            "imports": null,
            "manifest": record.manifest,
            "exports": record.exports,
            "capabilities": record.capabilities,
            "purity": purity_of(&record.capabilities),
            "tenant": record.tenant,
            "signatures": null,
            "block": self.blocked.as_ref().map(|block| {
                let Block { kind, reason, by, at } = block;
                json!({ "digest": record.digest, "state": kind, "reason": reason, "by": by, "since": at })
            }),
        })
    }
}

impl Revoke {
    async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<()> {
        let Self { digest, reason, user } = self;
        not_on_server("--user", user.as_ref())?;
        let text = digest.to_string();
        let before: Detail = server.get(&["components", &text]).await?;
        let path = ["components", text.as_str(), "revoke"];
        // What is revoked stays so, with its first reason.
        server.send(Ask::post(&path).json(&json!({ "reason": reason })).repeatable()).await?;
        let inserted = if before.blocked.is_none() { Inserted::New } else { Inserted::AlreadyThere };
        print_revoked(settings, &digest, inserted)
    }
}

impl Restore {
    async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<()> {
        let text = self.digest.to_string();
        let before: Detail = server.get(&["components", &text]).await?;
        if before.blocked.is_none() {
            return Err(not_blocked(&self.digest).into());
        }
        let path = ["components", text.as_str(), "restore"];
        // What may run already stays so.
        server.send(Ask::post(&path).repeatable()).await?;
        print_restored(settings, &self.digest)
    }
}
