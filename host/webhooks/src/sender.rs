//! One attempt of one delivery: signed, sent, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use stepcell_engine::signing::SigningSecret;
use stepcell_engine::{EngineError, Sealer};
use stepcell_model::grants::{Grants, StepGrants};
use stepcell_model::policy::GrantPolicy;
use stepcell_model::webhook::{WebhookDelivery, WebhookSubscription};
use stepcell_outbound::{Header, Outbound, OutboundLimits, OutboundRequest, OutboundResponse, OutboundRules, Timeouts};

use crate::schedule::Outcome;
use crate::subscriptions::{Webhooks, grant_of};

/// How long an attempt may take. Protects the turns of others.
const ATTEMPT_TIME_MAX: Duration = Duration::from_secs(15);

/// How long a connection may take. An address at which nobody is costs no more.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// How large a body may be, sent or answered, in bytes. Protects the host's memory; answers are not looked at.
const MESSAGE_BYTES_MAX: u64 = 64 << 10;

/// What the host calls itself.
const USER_AGENT: &str = concat!("stepcell/", env!("CARGO_PKG_VERSION"));

/// Sends deliveries.
pub(crate) struct Sender {
    pub(crate) webhooks: Webhooks,
    pub(crate) outbound: Arc<dyn Outbound>,
    pub(crate) sealer: Sealer,
}

impl Sender {
    /// Sends a delivery once.
    pub(crate) async fn send(&self, webhook: &WebhookSubscription, delivery: &WebhookDelivery) -> Outcome {
        let (request, rules) = match self.prepare(webhook, delivery).await {
            Ok(prepared) => prepared,
            Err(why) => return Outcome::Failed { why },
        };
        match self.outbound.send(request, &rules).await {
            Ok(response) => outcome_of(&response),
            Err(error) => Outcome::Failed { why: error.to_string() },
        }
    }

    async fn prepare(
        &self,
        webhook: &WebhookSubscription,
        delivery: &WebhookDelivery,
    ) -> Result<(OutboundRequest, OutboundRules), String> {
        let engine = &self.webhooks.engine;
        let policy = engine.policy_of(webhook.tenant.as_ref()).await.map_err(|error: EngineError| error.to_string())?;
        let grant = grant_of(&webhook.url).map_err(|error| error.to_string())?;
        let private_networks = policy.grants.private_networks.clone();
        let grants = StepGrants {
            asked: Arc::new(Grants { http: vec![grant.clone()], ..Grants::default() }),
            allowed: Arc::new(GrantPolicy { http: vec![grant], private_networks, ..GrantPolicy::default() }),
        };
        let limits = OutboundLimits {
            requests_max: 1,
            at_once_max: 1,
            time_max: ATTEMPT_TIME_MAX,
            body_bytes_max: MESSAGE_BYTES_MAX,
        };
        let id = delivery.id.to_string();
        let timestamp = (engine.clock().now().unix_ms() / 1000).to_string();
        let body = delivery.body.text();
        let signature = self.sign(webhook, &id, &timestamp, body)?;
        let header = |name: &str, value: &str| Header::new(name, Bytes::copy_from_slice(value.as_bytes()));
        let request = OutboundRequest {
            method: "POST".to_owned(),
            scheme: webhook.url.scheme().to_owned(),
            authority: webhook.url.authority().to_owned(),
            path_with_query: webhook.url.path_with_query().to_owned(),
            headers: vec![
                header("content-type", "application/json"),
                header("user-agent", USER_AGENT),
                header("webhook-id", &id),
                header("webhook-timestamp", &timestamp),
                header("webhook-signature", &signature),
            ],
            body: Bytes::copy_from_slice(body.as_bytes()),
            timeouts: Timeouts { connect: Some(CONNECT_TIME_MAX), ..Timeouts::default() },
        };
        Ok((request, OutboundRules::new(grants, id, limits)))
    }

    /// The signatures: with the secret, and with the one before for as long as that counts.
    fn sign(&self, webhook: &WebhookSubscription, id: &str, timestamp: &str, body: &str) -> Result<String, String> {
        let now = self.webhooks.engine.clock().now();
        let former = webhook.secret.former.as_ref().filter(|(_, until)| now < *until).map(|(sealed, _)| sealed);
        let place = webhook.id.as_uuid().as_bytes();
        let signed = [Some(&webhook.secret.current), former].into_iter().flatten().map(|sealed| {
            let secret = self.sealer.open(sealed, place)?;
            Ok(SigningSecret::of(&secret).sign(id, timestamp, body.as_bytes()))
        });
        let signatures: Result<Vec<_>, stepcell_engine::Unsealable> = signed.collect();
        let why = |error| format!("the webhook's secret does not open: {error}; give it a new one");
        Ok(signatures.map_err(why)?.join(" "))
    }
}

fn outcome_of(response: &OutboundResponse) -> Outcome {
    match response.status {
        status @ 200..=299 => Outcome::Taken { status },
        410 => Outcome::Gone,
        status => Outcome::Refused { status, retry_after: retry_after(response) },
    }
}

/// How long the answer asks to be left alone, where it says so in seconds.
fn retry_after(response: &OutboundResponse) -> Option<Duration> {
    let text = std::str::from_utf8(response.header("retry-after")?).ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}
