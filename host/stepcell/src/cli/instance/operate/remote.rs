//! What operators do to an instance of a server. Who does it is whoever's key it is.

use anyhow::Context as _;
use serde_json::{Value, json};
use stepcell::model::id::InstanceId;

use super::{Cancel, Pause, Resume, Retry, Signal};
use crate::cli::input::json_or_null;
use crate::cli::open::Settings;
use crate::cli::print::note;
use crate::cli::remote::{Server, not_on_server};
use crate::cli::shown::Shown;
use crate::cli::summary::{Home, print};

/// Does something to an instance, and prints it as it is then.
async fn operate(
    settings: &Settings,
    server: &Server,
    id: InstanceId,
    what: &[&str],
    body: Option<Value>,
) -> anyhow::Result<()> {
    let text = id.to_string();
    let path = [&["instances", text.as_str()], what].concat();
    server.operate(&path, body).await.with_context(|| format!("can not {} {id}", what[0].trim_end_matches('s')))?;
    print(settings, &Shown::from(server.instance(id).await?), Home::Database)
}

impl Cancel {
    pub(in crate::cli::instance) async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<()> {
        not_on_server("--user", self.user.as_ref())?;
        let body = json!({ "reason": self.reason, "compensate": self.compensate });
        operate(settings, server, self.id, &["cancel"], Some(body)).await?;
        if self.compensate {
            note("\nThe instance is to be canceled; the server goes on with it.");
        }
        Ok(())
    }
}

impl Retry {
    pub(in crate::cli::instance) async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<()> {
        not_on_server("--user", self.user.as_ref())?;
        let body = json!({ "from_step": self.from_step });
        operate(settings, server, self.id, &["retry"], Some(body)).await?;
        note("\nThe instance is retried; the server goes on with it.");
        Ok(())
    }
}

impl Pause {
    pub(in crate::cli::instance) async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<()> {
        not_on_server("--user", self.user.as_ref())?;
        operate(settings, server, self.id, &["pause"], None).await
    }
}

impl Resume {
    pub(in crate::cli::instance) async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<()> {
        not_on_server("--user", self.user.as_ref())?;
        operate(settings, server, self.id, &["resume"], None).await?;
        note("\nThe instance is resumed; the server goes on with it.");
        Ok(())
    }
}

impl Signal {
    pub(in crate::cli::instance) async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<()> {
        let body = json!({ "payload": json_or_null(self.data.as_ref(), "--data")? });
        operate(settings, server, self.id, &["signals", self.name.as_str()], Some(body)).await?;
        note("\nThe signal is sent; the server goes on with the instance.");
        Ok(())
    }
}
