//! Callbacks of webhook steps: their addresses, and what becomes of a delivery.
//!
//! Everything about an address follows from the instance's own secret, so it is known from the instance's start and
//! nothing more is kept. Signatures are those of Standard Webhooks, with a secret that belongs to the address.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac as _;
use stepcell_model::id::InstanceId;
use stepcell_model::instance::WorkflowInstance;
use stepcell_model::json::Json;
use stepcell_model::name::{KEY_LEN_BYTES_MAX, StepName};
use stepcell_model::plan::{MessageSource, Plan, PlannedKind};
use stepcell_model::record::{ExecutionRecord, InstanceIdentity};
use stepcell_model::status::StepStatus;
use stepcell_model::time::Timestamp;
use stepcell_model::transition::{Cause, MESSAGE_LEN_BYTES_MAX};

use crate::engine::WorkflowEngine;
use crate::error::EngineError;
use crate::signing::{SigningSecret, mac};

const WRONG_TOKEN: &str = "the token is wrong";

/// How old or how far ahead the timestamp of a signed delivery may be. Protects against deliveries that are replayed.
pub const SIGNATURE_AGE_MAX: Duration = Duration::from_secs(5 * 60);

/// Where a webhook step of an instance is called back.
#[derive(Clone, PartialEq, Eq)]
pub struct CallbackAddress {
    /// The instance.
    pub instance: InstanceId,
    /// The step.
    pub step: StepName,
    /// What nobody can guess: whoever has it may deliver.
    pub token: String,
    /// What deliveries are signed with, where the step wants that: `whsec_` and 32 bytes in base 64.
    pub signing_secret: Option<String>,
}

impl CallbackAddress {
    /// The path of the address: instance, step and token.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/callbacks/{}/{}/{}", self.instance, self.step, self.token)
    }
}

impl std::fmt::Debug for CallbackAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallbackAddress")
            .field("instance", &self.instance)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}

/// What came to a callback address.
#[derive(Clone, Default)]
pub struct Delivery {
    /// The body: JSON; nothing is `null`.
    pub body: Vec<u8>,
    /// `webhook-id`: what tells the delivery from others.
    pub id: Option<String>,
    /// `webhook-timestamp`: seconds since 1970.
    pub timestamp: Option<String>,
    /// `webhook-signature`: one or more signatures with spaces between.
    pub signature: Option<String>,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("id", &self.id).field("len_bytes", &self.body.len()).finish_non_exhaustive()
    }
}

impl Delivery {
    /// A delivery of a payload with nothing around it.
    #[must_use]
    pub fn of(payload: &Json) -> Self {
        Self { body: payload.text().as_bytes().to_vec(), ..Self::default() }
    }

    /// The same delivery, signed as Standard Webhooks says.
    ///
    /// # Errors
    /// [`EngineError::CallbackRefused`] if the secret is none.
    pub fn signed(self, id: &str, at: Timestamp, secret: &str) -> Result<Self, EngineError> {
        let timestamp = (at.unix_ms() / 1000).to_string();
        let secret = SigningSecret::parse(secret).map_err(|error| refused(&error.to_string()))?;
        let signature = Some(secret.sign(id, &timestamp, &self.body));
        Ok(Self { id: Some(id.to_owned()), timestamp: Some(timestamp), signature, ..self })
    }
}

/// What a delivery came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// The step took it, or it is kept until the step is reached.
    Accepted,
    /// It came before; nothing was changed.
    Repeated,
}

impl WorkflowEngine {
    /// The callback address of a webhook step of an instance.
    ///
    /// # Errors
    /// [`EngineError::InstanceNotFound`]; [`EngineError::CallbackRefused`] if it is no webhook step.
    pub async fn webhook_address(&self, id: InstanceId, step: &StepName) -> Result<CallbackAddress, EngineError> {
        let identity = self.get_instance(id).await?.identity;
        let plan = self.inner.registry.plan(identity.definition).await?;
        address_of(&plan, &identity, step)
    }

    /// Takes in what came to a callback address.
    ///
    /// The step that waits gets it; for one that is still to come it is kept. The same delivery once more has no effect.
    ///
    /// # Errors
    /// [`EngineError::CallbackRefused`] if the token or the signature is wrong, and where there is no such instance or step;
    /// [`EngineError::CallbackMalformed`] if whoever has both sends what is no JSON, or too long;
    /// [`EngineError::AlreadyCompleted`] if the instance is finished; [`EngineError::NobodyWaits`] if the step will not be
    /// reached any more.
    pub async fn deliver_webhook(
        &self,
        id: InstanceId,
        step: &StepName,
        token: &str,
        delivery: Delivery,
    ) -> Result<Delivered, EngineError> {
        let address = self.check_callback(id, step, token).await?;
        let payload = self.checked(&address, &delivery)?;
        let cause_for = |_: &mut WorkflowInstance| {
            let (step, id, payload) = (step.clone(), delivery.id.clone(), payload.clone());
            Ok(Cause::Delivered { step, id, payload })
        };
        match self.inner.change(id, cause_for).await {
            Ok(()) => Ok(Delivered::Accepted),
            Err(EngineError::Repeated) => Ok(Delivered::Repeated),
            Err(error @ EngineError::AlreadyCompleted { .. }) => {
                // A sender whose first answer was lost is told so, however quickly the instance went on to its end.
                let executions = self.inner.store.list_executions(id).await?;
                let took = |record: &ExecutionRecord| record.step == *step && record.status == StepStatus::Succeeded;
                if executions.iter().any(took) { Ok(Delivered::Repeated) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    /// Looks whether a token is that of a callback's address, before anything else of a delivery is read.
    ///
    /// # Errors
    /// [`EngineError::CallbackRefused`] if it is not, and where there is no such instance or step: whoever has no token is
    /// told nothing else.
    pub async fn check_callback(
        &self,
        id: InstanceId,
        step: &StepName,
        token: &str,
    ) -> Result<CallbackAddress, EngineError> {
        let address = self.webhook_address(id, step).await.map_err(|error| match error {
            EngineError::InstanceNotFound { .. } | EngineError::CallbackRefused { .. } => refused(WRONG_TOKEN),
            other => other,
        })?;
        let given = URL_SAFE_NO_PAD.decode(token).map_err(|_| refused(WRONG_TOKEN))?;
        let expected = URL_SAFE_NO_PAD.decode(&address.token).map_err(|_| refused(WRONG_TOKEN))?;
        // Compared by their MACs, which takes as long wherever they differ.
        if mac(b"token", &[&expected]).verify_slice(&mac(b"token", &[&given]).finalize().into_bytes()).is_err() {
            return Err(refused(WRONG_TOKEN));
        }
        Ok(address)
    }

    fn checked(&self, address: &CallbackAddress, delivery: &Delivery) -> Result<Json, EngineError> {
        if delivery.body.len() > MESSAGE_LEN_BYTES_MAX {
            let why = format!("the body has {} bytes; at most {MESSAGE_LEN_BYTES_MAX}", delivery.body.len());
            return Err(EngineError::CallbackMalformed { why });
        }
        if delivery.id.as_ref().is_some_and(|id| !(1..=KEY_LEN_BYTES_MAX).contains(&id.len())) {
            return Err(malformed("`webhook-id` has 1 to 256 bytes"));
        }
        if let Some(secret) = &address.signing_secret {
            self.check_signature(secret, delivery)?;
        }
        let text = String::from_utf8(delivery.body.clone()).map_err(|_| malformed("the body is no UTF-8 text"))?;
        if text.trim().is_empty() {
            return Ok(Json::null());
        }
        Json::parse(text).map_err(|error| malformed(&format!("the body is no JSON: {error}")))
    }

    fn check_signature(&self, secret: &str, delivery: &Delivery) -> Result<(), EngineError> {
        let missing =
            || refused("the step wants signed deliveries: webhook-id, webhook-timestamp and webhook-signature");
        let id = delivery.id.as_deref().ok_or_else(missing)?;
        let timestamp = delivery.timestamp.as_deref().ok_or_else(missing)?;
        let signatures = delivery.signature.as_deref().ok_or_else(missing)?;
        let seconds = timestamp.parse::<i64>().map_err(|_| refused("`webhook-timestamp` is no number of seconds"))?;
        let at = Timestamp::from_unix_ms(seconds.saturating_mul(1000));
        let now = self.inner.clock.now();
        if now.since(at).max(at.since(now)) > SIGNATURE_AGE_MAX {
            return Err(refused("`webhook-timestamp` is more than 5 minutes away from now"));
        }
        let secret = SigningSecret::parse(secret).map_err(|error| refused(&error.to_string()))?;
        if secret.has_signed(signatures, id, timestamp, &delivery.body) {
            return Ok(());
        }
        Err(refused("no signature in `webhook-signature` fits the body and the step's signing secret"))
    }
}

fn address_of(plan: &Plan, identity: &InstanceIdentity, step: &StepName) -> Result<CallbackAddress, EngineError> {
    let kind = plan.find(step).map(|index| &plan.step(index).kind);
    let Some(PlannedKind::Message(message)) = kind else { return Err(no_webhook(plan, step)) };
    let MessageSource::Webhook { signed } = message.source else { return Err(no_webhook(plan, step)) };
    let secret = identity.callback_secret.as_bytes();
    let derived =
        |purpose: &str| mac(secret, &[purpose.as_bytes(), b"/", step.as_str().as_bytes()]).finalize().into_bytes();
    Ok(CallbackAddress {
        instance: identity.id,
        step: step.clone(),
        token: URL_SAFE_NO_PAD.encode(derived("token")),
        signing_secret: signed.then(|| SigningSecret::of(&derived("signature")).told().expose().to_owned()),
    })
}

fn no_webhook(plan: &Plan, step: &StepName) -> EngineError {
    let is_webhook = |kind: &PlannedKind| matches!(kind, PlannedKind::Message(message) if matches!(message.source, MessageSource::Webhook { .. }));
    let known: Vec<_> = plan.steps().filter(|step| is_webhook(&step.kind)).map(|step| step.name.to_string()).collect();
    let known = if known.is_empty() { "there are none".to_owned() } else { format!("there are {}", known.join(", ")) };
    EngineError::CallbackRefused { why: format!("`{step}` is no webhook step of the workflow; {known}") }
}

fn malformed(why: &str) -> EngineError {
    EngineError::CallbackMalformed { why: why.to_owned() }
}

fn refused(why: &str) -> EngineError {
    EngineError::CallbackRefused { why: why.to_owned() }
}
