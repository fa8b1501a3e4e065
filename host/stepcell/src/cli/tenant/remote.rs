//! `tenant` on a server.

use stepcell_server::wire;

use super::{Tenant, Usage, print_rows};
use crate::cli::exit::{Exit, Refused};
use crate::cli::open::Settings;
use crate::cli::remote::{Ask, Server};

impl Tenant {
    pub(super) async fn perform_on(self, settings: &Settings, server: &Server) -> anyhow::Result<Exit> {
        match self {
            Self::Usage(Usage { tenant, days }) => {
                let ask = Ask::get(&["usage"]).query("days", Some(days)).query("tenant_id", tenant);
                print_rows(settings, &server.all::<wire::Usage>(ask).await?.items)?;
            }
            _ => return Err(Refused::input("tenants are kept where the database is, with `--db FILE`").into()),
        }
        Ok(Exit::Done)
    }
}
