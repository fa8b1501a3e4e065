//! `audit` on a server.

use stepcell_server::wire::AuditRow;

use super::{Audit, List, print_rows};
use crate::cli::exit::{Exit, Refused};
use crate::cli::open::Settings;
use crate::cli::remote::{Ask, Server};

impl Audit {
    pub(super) async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<Exit> {
        let Self::List(List { tenant, user, action, before, limit }) = self;
        if before.is_some() {
            let why = "`--before` can not be said to a server; ask for more with `--limit`";
            return Err(Refused::input(why).into());
        }
        let ask = Ask::get(&["audit"]).query("tenant_id", tenant).query("user_id", user).query("action", action);
        let rows = server.rows::<AuditRow>(ask, limit as usize, 0).await?;
        print_rows(settings, &rows.items, rows.total)?;
        Ok(Exit::Done)
    }
}
