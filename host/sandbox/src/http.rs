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
use stepcell_model::attempt::StepCall;
use stepcell_outbound::{Outbound, OutboundRules, is_own_header};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceTable};
use wasmtime_wasi_http::p2::HttpResult;
use wasmtime_wasi_http::p2::bindings::LinkOptions;
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler::Host as _;
use wasmtime_wasi_http::p2::bindings::http::types;
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::{
    Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttp, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};

use self::send::Sender;
use crate::blank::Blanker;
use crate::budget::{HTTP_CHUNK_BYTES, HTTP_FIELDS_BYTES_MAX};
use crate::denials::Denials;

/// What an attempt has of HTTP: made when it first calls it, as most never do.
pub(crate) struct HttpState {
    ctx: WasiHttpCtx,
    hooks: Hooks,
}

/// The interface with the way out, at the version of the bindings; a guest of any patch of it finds it.
const OUTGOING_HANDLER: &str = "wasi:http/outgoing-handler@0.2.12";

/// Adds `wasi:http` to a linker: its types, and the way out.
pub(crate) fn add_to_linker<T: WasiHttpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    types::add_to_linker::<_, WasiHttp>(linker, &LinkOptions::default().into(), T::http)?;
    linker.instance(OUTGOING_HANDLER)?.func_wrap("handle", |mut store, (request, options)| {
        let handled = handle(&mut StoreContextMut::data_mut(&mut store).http(), request, options);
        Ok((handled.map(Ok).or_else(|error| error.downcast().map(Err))?,))
    })
}

/// Makes a request: the stock way, which is handed nothing that it would complain of to the operator. It does so with a
/// line of the host's log for each call, and a guest may call as often as it likes.
fn handle(
    view: &mut WasiHttpCtxView<'_>,
    request: Resource<HostOutgoingRequest>,
    options: Option<Resource<RequestOptions>>,
) -> HttpResult<Resource<HostFutureIncomingResponse>> {
    // The stock way leaves these behind, as handles that nobody has any more.
    let spent = options.as_ref().map(|options| Resource::<RequestOptions>::new_own(options.rep()));
    let made = view.table.get_mut(&request)?;
    made.path_with_query.get_or_insert_with(|| "/".to_owned());
    let answer = if made.authority.is_some() {
        view.handle(request, options)
    } else {
        view.table.delete(request)?;
        Err(types::ErrorCode::HttpRequestUriInvalid.into())
    };
    if let Some(spent) = spent {
        view.table.delete(spent)?;
    }
    answer
}

/// What is asked of the host where the stock implementation would decide itself.
struct Hooks {
    sender: Arc<Sender>,
}

/// What the runtime awaits: the answer, and what goes on after it, which here is nothing.
type Answer = Result<(http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl HttpState {
    pub(crate) fn new(call: &StepCall, outbound: Arc<dyn Outbound>, denials: Denials, blanker: Blanker) -> Self {
        let mut ctx = WasiHttpCtx::new();
        ctx.set_field_size_limit(HTTP_FIELDS_BYTES_MAX);
        let rules = OutboundRules::new(call.grants.clone(), call.info.execution.to_string(), (&call.limits).into())
            .within(call.info.trace);
        Self { ctx, hooks: Hooks { sender: Arc::new(Sender::new(rules, outbound, denials, blanker)) } }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::sync::Mutex;

    use async_trait::async_trait;
    use stepcell_model::attempt::CellLimits;
    use stepcell_model::grants::StepGrants;
    use stepcell_outbound::{OutboundError, OutboundRequest, OutboundResponse};
    use wasmtime_wasi::p2::Pollable as _;
    use wasmtime_wasi_http::FieldMap;

    use super::*;

    /// Remembers what it was to send, and answers.
    #[derive(Default)]
    struct Ears(Mutex<Vec<OutboundRequest>>);

    #[async_trait]
    impl Outbound for Ears {
        async fn send(&self, request: OutboundRequest, _: &OutboundRules) -> Result<OutboundResponse, OutboundError> {
            self.0.lock().unwrap().push(request);
            Ok(OutboundResponse { status: 200, ..OutboundResponse::default() })
        }
    }

    fn made(authority: Option<&str>, path_with_query: Option<&str>) -> HostOutgoingRequest {
        HostOutgoingRequest {
            method: types::Method::Get,
            scheme: None,
            authority: authority.map(str::to_owned),
            path_with_query: path_with_query.map(str::to_owned),
            headers: FieldMap::default(),
            body: None,
        }
    }

    #[tokio::test]
    async fn a_request_without_path_or_scheme_has_the_usual_ones_and_one_without_a_host_is_refused() {
        let heard = Arc::new(Ears::default());
        let rules = OutboundRules::new(StepGrants::default(), "key", (&CellLimits::default()).into());
        let sender = Sender::new(rules, Arc::clone(&heard) as _, Denials::default(), Blanker::default());
        let mut state = HttpState { ctx: WasiHttpCtx::new(), hooks: Hooks { sender: Arc::new(sender) } };
        let mut table = ResourceTable::new();

        let request = table.push(made(Some("api.example"), None)).unwrap();
        let options = table.push(RequestOptions::default()).unwrap();
        let answer = handle(&mut state.view(&mut table), request, Some(options)).unwrap();
        let mut answer = table.delete(answer).unwrap();
        answer.ready().await;
        let request = table.push(made(None, Some("/"))).unwrap();
        let refused = handle(&mut state.view(&mut table), request, None).err().unwrap();

        let sent = heard.0.lock().unwrap().remove(0);
        assert_eq!((sent.scheme.as_str(), sent.path_with_query.as_str()), ("https", "/"));
        assert!(matches!(refused.downcast_ref(), Some(types::ErrorCode::HttpRequestUriInvalid)), "{refused:?}");
        assert!(heard.0.lock().unwrap().is_empty() && table.is_empty());
    }
}
