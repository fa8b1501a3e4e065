//! A host that sends, and a server of the test's own that takes.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use stepcell_engine::signing::SigningSecret;
use stepcell_engine::{ComponentFacts, ComponentRefused, EngineOptions, SimulatedClock, StepRunner, WorkflowEngine};
use stepcell_model::attempt::{AttemptReport, HookReport, StepCall};
use stepcell_model::failure::Failure;
use stepcell_model::history::Event;
use stepcell_model::host_key::HostKey;
use stepcell_model::id::{ComponentDigest, WebhookId};
use stepcell_model::name::{StepName, TenantId};
use stepcell_model::policy::Policy;
use stepcell_model::time::Timestamp;
use stepcell_model::transition::Transition;
use stepcell_model::webhook::{DeliveryStatus, WebhookDelivery};
use stepcell_outbound::HttpOutbound;
use stepcell_store::conformance::fixture::{self, start_as};
use stepcell_store::{DeliveryFilter, MemoryStore, PageLimit, SqliteOptions, SqliteStore, WorkflowStore};
use stepcell_webhooks::{Dispatching, Subscribed, Subscription, WebhookChange, Webhooks};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

const SOON: Duration = Duration::from_secs(30);

/// Runs nothing: what happens is committed by the tests.
struct Nobody;

#[async_trait]
impl StepRunner for Nobody {
    async fn inspect(&self, _: Arc<[u8]>) -> Result<ComponentFacts, ComponentRefused> {
        unreachable!("nothing is registered")
    }

    async fn prepare(&self, _: Option<&TenantId>, _: ComponentDigest, _: Arc<[u8]>) -> Result<(), ComponentRefused> {
        unreachable!("nothing is prepared")
    }

    fn is_prepared(&self, _: &ComponentDigest) -> bool {
        true
    }

    async fn run(&self, _: StepCall) -> AttemptReport {
        unreachable!("nothing runs")
    }

    async fn run_gateway(&self, _: StepCall, _: Vec<StepName>) -> AttemptReport {
        unreachable!("nothing runs")
    }

    async fn run_failure_hook(&self, _: StepCall, _: Failure) -> HookReport {
        unreachable!("nothing runs")
    }
}

pub(crate) struct Host {
    pub(crate) store: Arc<dyn WorkflowStore>,
    pub(crate) clock: Arc<SimulatedClock>,
    pub(crate) webhooks: Webhooks,
    dispatching: Option<Dispatching>,
    pub(crate) attempts: watch::Receiver<u64>,
}

impl Host {
    /// A host in memory that may reach this machine.
    pub(crate) async fn new() -> Self {
        let host = Self::on(Arc::new(MemoryStore::new()), NOW).await;
        host.open_loopback().await;
        host
    }

    /// A host on a database, which may be there already.
    pub(crate) async fn on_sqlite(folder: &std::path::Path, now: Timestamp) -> Self {
        let store = SqliteStore::open(folder.join("test.db"), SqliteOptions::default()).unwrap();
        let host = Self::on(Arc::new(store), now).await;
        host.open_loopback().await;
        host
    }

    /// A host that may reach what is public alone.
    pub(crate) async fn on(store: Arc<dyn WorkflowStore>, now: Timestamp) -> Self {
        fixture::register(&store).await.unwrap();
        let clock = Arc::new(SimulatedClock::at(now));
        let host_key = Some(HostKey::take(&mut [7; 32]));
        let options = EngineOptions { clock: Arc::clone(&clock) as _, host_key, ..EngineOptions::default() };
        let webhooks = Webhooks::new(WorkflowEngine::new(Arc::clone(&store), Arc::new(Nobody), options));
        let mut host = Self { store, clock, webhooks, dispatching: None, attempts: watch::channel(0).1 };
        host.begin();
        host
    }

    /// Begins to send, if it does not.
    pub(crate) fn begin(&mut self) {
        let outbound = Arc::new(HttpOutbound::new("").unwrap());
        let dispatching = self.webhooks.dispatch(outbound).unwrap();
        self.attempts = dispatching.attempts();
        self.dispatching = Some(dispatching);
    }

    /// Sends nothing more once what is under way has ended.
    pub(crate) async fn stop(&mut self) {
        self.dispatching.take().unwrap().stop().await;
    }

    /// Sends nothing more at once, as if the process had ended.
    pub(crate) fn kill(&mut self) {
        drop(self.dispatching.take());
    }

    pub(crate) async fn open_loopback(&self) {
        let policy = "{ schema: stepcell-policy/v1, default: { grants: { private_networks: ['127.0.0.0/8'] } } }";
        self.webhooks.engine().apply_policy(&Policy::from_text(policy).unwrap()).await.unwrap();
    }

    pub(crate) async fn subscribe(&self, tenant: Option<&str>, url: &str) -> Subscribed {
        self.webhooks.subscribe(subscription(tenant, wanted(url))).await.unwrap()
    }

    /// Commits the first transition of that instance of a tenant, with events.
    pub(crate) async fn commit(&self, number: u128, tenant: Option<&str>, events: Vec<Event>) -> u64 {
        let first = start_as(number, |identity| identity.tenant = tenant.map(fixture::tenant));
        self.store.commit(Transition { events, ..first }).await.unwrap().position
    }

    /// Waits until there were that many attempts since it began to send.
    pub(crate) async fn attempted(&mut self, number: u64) {
        let wait = self.attempts.wait_for(|attempts| *attempts >= number);
        timeout(SOON, wait).await.expect("they are made").unwrap();
    }

    /// Waits until a subscription's deliveries look so.
    pub(crate) async fn until(
        &self,
        id: WebhookId,
        looks: impl Fn(&[WebhookDelivery]) -> bool,
    ) -> Vec<WebhookDelivery> {
        let mut attempts = self.attempts.clone();
        let wait = async {
            loop {
                attempts.mark_unchanged();
                let deliveries = self.deliveries(id).await;
                if looks(&deliveries) {
                    return deliveries;
                }
                attempts.changed().await.unwrap();
            }
        };
        timeout(SOON, wait).await.expect("they come to look so")
    }

    pub(crate) async fn ended(&self, id: WebhookId, number: usize) -> Vec<WebhookDelivery> {
        let is_ended = |delivery: &&WebhookDelivery| delivery.status != DeliveryStatus::Pending;
        self.until(id, |deliveries| deliveries.iter().filter(is_ended).count() >= number).await
    }

    /// The deliveries of a subscription, first made first.
    pub(crate) async fn deliveries(&self, id: WebhookId) -> Vec<WebhookDelivery> {
        let filter = DeliveryFilter { webhook: id, status: None, before: None, limit: PageLimit::MAX };
        let page = self.webhooks.list_deliveries(&filter).await.unwrap();
        page.items.into_iter().rev().map(|(_, delivery)| delivery).collect()
    }

    /// Passes the time until the next attempt of what waits.
    pub(crate) async fn pass_to_next_attempt(&self, id: WebhookId) {
        let pending = self.store.list_pending(id, 1).await.unwrap();
        self.clock.set(pending[0].next_attempt_at.unwrap());
    }
}

pub(crate) fn subscription(tenant: Option<&str>, wanted: WebhookChange) -> Subscription {
    Subscription { tenant: tenant.map(fixture::tenant), wanted, by: None }
}

pub(crate) fn wanted(url: &str) -> WebhookChange {
    WebhookChange { url: url.parse().unwrap(), types: vec![], workflow: None, description: None, is_active: true }
}

pub(crate) fn canceled(reason: &str) -> Event {
    Event::WorkflowCanceled { reason: reason.to_owned(), by: None }
}

/// How the server treats a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Status(u16),
    /// A status with lines of a head.
    With(u16, String),
    /// It takes the request and says nothing.
    Never,
    /// It begins to answer and does not end.
    Flood,
}

#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    head: Vec<(String, String)>,
    pub(crate) text: String,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.head.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn body(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let secret = SigningSecret::parse(secret).unwrap();
        let header = |name| self.header(name);
        let text = self.text.as_bytes();
        secret.has_signed(header("webhook-signature"), header("webhook-id"), header("webhook-timestamp"), text)
    }
}

/// A server that takes webhooks.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    received: watch::Sender<Vec<Received>>,
    answers: Mutex<(VecDeque<Answer>, Answer)>,
}

impl Receiver {
    /// One that answers so, at first as the list says.
    pub(crate) async fn new(first: Vec<Answer>, then: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared =
            Arc::new(Shared { received: watch::Sender::new(vec![]), answers: Mutex::new((first.into(), then)) });
        let of_task = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&of_task)));
            }
        });
        Self { address, shared, task }
    }

    pub(crate) async fn well() -> Self {
        Self::new(vec![], Answer::Status(204)).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/in?a=b", self.address)
    }

    /// Waits until that many requests came.
    pub(crate) async fn received(&self, number: usize) -> Vec<Received> {
        let mut received = self.shared.received.subscribe();
        let wait = received.wait_for(|received| received.len() >= number);
        timeout(SOON, wait).await.expect("they come").unwrap().clone()
    }

    pub(crate) fn so_far(&self) -> Vec<Received> {
        self.shared.received.borrow().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let Some(received) = read(&mut stream).await else { return };
    let answer = {
        let mut answers = shared.answers.lock().unwrap();
        answers.0.pop_front().unwrap_or_else(|| answers.1.clone())
    };
    shared.received.send_modify(|all| all.push(received));
    let text = match answer {
        Answer::Status(status) => format!("HTTP/1.1 {status} So\r\ncontent-length: 0\r\n\r\n"),
        Answer::With(status, head) => format!("HTTP/1.1 {status} So\r\n{head}\r\ncontent-length: 0\r\n\r\n"),
        Answer::Never => std::future::pending().await,
        Answer::Flood => {
            let _ = stream.write_all(b"HTTP/1.1 200 So\r\ntransfer-encoding: chunked\r\n\r\n").await;
            while stream.write_all(b"400\r\n").await.is_ok()
                && stream.write_all(&[b'x'; 0x400]).await.is_ok()
                && stream.write_all(b"\r\n").await.is_ok()
            {}
            return;
        }
    };
    let _ = stream.write_all(text.as_bytes()).await;
}

async fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let mut lines = head.lines();
            let path = lines.next()?.split(' ').nth(1)?.to_owned();
            let head: Vec<_> = lines.filter_map(|line| line.split_once(": ")).collect();
            let len = head.iter().find(|(name, _)| *name == "content-length")?.1.parse::<usize>().ok()?;
            if bytes.len() >= end + 4 + len {
                let head = head.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
                return Some(Received { path, head, text: String::from_utf8(bytes[end + 4..].to_vec()).unwrap() });
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
