//! `wasi:http`: requests of a cell, each sent by [`Outbound`] or denied there.
//!
//! The interface is always there, as toolchains leave its imports in; whether a request may leave is decided when it is
//! made, and a denial is a value that the guest can handle. Bodies are handed over whole: one that a guest writes is
//! read up to its limit before anything is sent, and an answer comes when all of it is there. So a guest must finish
//! writing before it waits for the answer, and nothing of a request goes on once its attempt has ended: the tasks are
//! dropped with the cell.
//!
//! Trailers are not sent, and not handed on. What is incoming in `wasi:http` is not here: a step is no server.

mod held;
mod send;

use std::sync::Arc;

use http::uri::Scheme;
use stepcell_model::attempt::{Denial, StepCall};
use stepcell_outbound::{Outbound, is_own_header};
use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::{
    Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
};

use self::send::Sender;
use crate::budget::{HTTP_CHUNK_BYTES, HTTP_FIELDS_BYTES_MAX};

/// What an attempt has of HTTP: made when it first calls it, as most never do.
pub(crate) struct HttpState {
    ctx: WasiHttpCtx,
    hooks: Hooks,
}

/// What is asked of the host where the stock implementation would decide itself.
struct Hooks {
    sender: Arc<Sender>,
}

/// What the runtime awaits: the answer, and what goes on after it, which here is nothing.
type Answer = Result<(http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl HttpState {
    pub(crate) fn new(call: &StepCall, outbound: Arc<dyn Outbound>) -> Self {
        let mut ctx = WasiHttpCtx::new();
        ctx.set_field_size_limit(HTTP_FIELDS_BYTES_MAX);
        Self { ctx, hooks: Hooks { sender: Arc::new(Sender::new(call, outbound)) } }
    }

    pub(crate) fn view<'a>(&'a mut self, table: &'a mut ResourceTable) -> WasiHttpCtxView<'a> {
        WasiHttpCtxView { hooks: &mut self.hooks, table, ctx: &mut self.ctx }
    }

    /// How many requests were made.
    pub(crate) fn requests(&self) -> u32 {
        self.hooks.sender.requests()
    }

    /// How many bytes of bodies came in.
    pub(crate) fn bytes_in(&self) -> u64 {
        self.hooks.sender.bytes_in()
    }

    /// How many bytes of bodies went out.
    pub(crate) fn bytes_out(&self) -> u64 {
        self.hooks.sender.bytes_out()
    }

    /// Which requests were denied.
    pub(crate) fn denials(&self) -> Vec<Denial> {
        self.hooks.sender.denials()
    }
}

impl WasiHttpHooks for Hooks {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(|name| is_own_header(name.as_str()))
    }

    /// Every one, so that a denial of others is told and recorded as any denial is.
    fn is_supported_scheme(&mut self, _scheme: &Scheme) -> bool {
        true
    }

    /// The host's own header goes in when the request is sent, and not before its host is in its one spelling.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        let sender = Arc::clone(&self.sender);
        Box::new(async move {
            let response = sender.send(request, options).await?;
            Ok((response, Box::new(async { Ok(()) }) as Box<dyn Future<Output = _> + Send>))
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        HTTP_CHUNK_BYTES
    }
}
