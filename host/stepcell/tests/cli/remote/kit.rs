//! A server over the database of a desk, with callers that are known by name.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use stepcell::{Access, Host};
use stepcell_server::{ApiOptions, Caller, Guard, Guards, Problem, ProblemCode, Scope, Scopes};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::tool::{APPROVAL, Desk, Said};

/// A desk, and a server that drives its database.
pub(crate) struct Office {
    pub(crate) desk: Desk,
    pub(crate) address: SocketAddr,
    /// Kept as long as the server shall answer.
    _runtime: Runtime,
}

impl Office {
    /// An office whose database has the approval workflow and one instance that waits for dana.
    pub(crate) fn with_waiting_instance() -> Self {
        Self::over(Desk::with_waiting_instance())
    }

    /// An office with one instance of a workflow, driven until it settled. Returns its id, too.
    pub(crate) fn with_instance_of(definition: &str, data: &str) -> (Self, String) {
        let (desk, instance) = Desk::with_instance_of(definition, data);
        (Self::over(desk), instance)
    }

    /// An office with the approval workflow alone.
    pub(crate) fn with_approval() -> Self {
        let desk = Desk::new();
        desk.write("approval.yaml", APPROVAL);
        desk.run(&["definition", "apply", "approval.yaml"]).exits(0);
        Self::over(desk)
    }

    fn over(desk: Desk) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let database = desk.path("stepcell.db");
        let address = runtime.block_on(async move {
            let host = Host::on_sqlite(&database).access(Access::Drive).open().await.unwrap();
            let options = ApiOptions { guards: Guards::none().with(Arc::new(ByName)), ..ApiOptions::default() };
            let router = stepcell_server::router(host.engine().clone(), options);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(async move {
                let _driving = host;
                stepcell_server::serve(listener, router, std::future::pending()).await
            });
            address
        });
        Self { desk, address, _runtime: runtime }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Calls the binary with the server, as somebody.
    pub(crate) fn run_as(&self, who: &str, arguments: &[&str]) -> Said {
        let url = self.url();
        self.desk.run(&[arguments, &["--server", &url, "--key", who]].concat())
    }

    /// Calls the binary with the server, as dana, an administrator of the platform.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        self.run_as("dana", arguments)
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--output", "json"]].concat()).exits(0).json()
    }
}

/// Knows callers by name: `dana` of the platform, or a tenant and a scope as in `acme-viewer`.
struct ByName;

#[async_trait]
impl Guard for ByName {
    async fn authenticate(&self, head: &http::request::Parts) -> Result<Option<Caller>, Problem> {
        let Some(sent) = head.headers.get("authorization") else { return Ok(None) };
        let refused = || Problem::new(ProblemCode::KeyRefused, "the key is not known");
        let name = sent.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")).ok_or_else(refused)?;
        let user = name.parse().map_err(|_| refused())?;
        if name == "dana" {
            return Ok(Some(Caller::of_platform(user, Scopes::all())));
        }
        let (tenant, scope) = name.split_once('-').ok_or_else(refused)?;
        let scope: Scope = scope.parse().map_err(|_| refused())?;
        Ok(Some(Caller::of_tenant(tenant.parse().map_err(|_| refused())?, user, [scope].into_iter().collect())))
    }
}
