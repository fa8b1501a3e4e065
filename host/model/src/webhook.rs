//! Outgoing webhooks: who is told of which events, and what became of each telling.
//!
//! A subscription is a row and so is each delivery; what is sent, signed and tried again is for whoever sends.

use std::fmt;
use std::str::FromStr;

use crate::event_type::EventType;
use crate::history::Event;
use crate::id::{DeliveryId, WebhookId};
use crate::json::Json;
use crate::name::{TenantId, UserId, WorkflowName};
use crate::status::{UnknownWord, words};
use crate::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest address, in bytes. Protects the store.
pub const WEBHOOK_URL_BYTES_MAX: usize = 2_048;

/// A subscription: events of some instances are told to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSubscription {
    /// The subscription.
    pub id: WebhookId,
    /// Whose it is, and of whose instances it tells; the platform's, of all instances, where there is none.
    pub tenant: Option<TenantId>,
    /// Where it tells.
    pub url: WebhookUrl,
    /// Only events of these types; all if empty.
    pub types: Vec<EventType>,
    /// Only events of instances of this workflow, of any version.
    pub workflow: Option<WorkflowName>,
    /// What it is for.
    pub description: Option<String>,
    /// Whether anything is told.
    pub is_active: bool,
    /// Why nothing is told any more, where nobody decided that.
    pub stopped: Option<String>,
    /// Only events after this position; where history was when it was made or made active. The store says it.
    pub since: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: Option<UserId>,
    /// What it is signed with.
    pub secret: SealedWebhookSecret,
}

impl WebhookSubscription {
    /// Whether it tells of an event of an instance of that tenant and workflow.
    #[must_use]
    pub fn wants(&self, position: u64, tenant: Option<&TenantId>, workflow: &WorkflowName, event: &Event) -> bool {
        self.is_active
            && position > self.since
            && (self.tenant.is_none() || self.tenant.as_ref() == tenant)
            && self.workflow.as_ref().is_none_or(|wanted| wanted == workflow)
            && (self.types.is_empty() || self.types.contains(&event.event_type()))
    }
}

/// What deliveries are signed with, encrypted.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedWebhookSecret {
    /// The secret.
    pub current: Vec<u8>,
    /// The one before, and until when deliveries are signed with it as well.
    pub former: Option<(Vec<u8>, Timestamp)>,
}

impl fmt::Debug for SealedWebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedWebhookSecret(…)")
    }
}

words! {
    /// What became of a delivery.
    DeliveryStatus {
        /// It waits for its first or its next attempt.
        Pending = "pending",
        /// It was taken.
        Delivered = "delivered",
        /// It was not taken, and is not tried again by itself.
        Dead = "dead",
    }
}

/// One event that is told to one subscription.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookDelivery {
    /// The delivery.
    pub id: DeliveryId,
    /// Whom it is for.
    pub webhook: WebhookId,
    /// The place of the event's entry in history; 0 for a ping.
    pub position: u64,
    /// The place of the event in its entry, from 0.
    pub index: u32,
    /// The type of the event, or `ping`.
    pub event_type: String,
    /// What is sent.
    pub body: Json,
    /// What became of it.
    pub status: DeliveryStatus,
    /// How many attempts there were since it was made or sent anew.
    pub attempts: u32,
    /// When the next attempt may begin, as long as it is pending.
    pub next_attempt_at: Option<Timestamp>,
    /// The HTTP status of the last answer.
    pub last_status: Option<u16>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was delivered or given up.
    pub ended_at: Option<Timestamp>,
}

/// Where a subscription tells: `http` or `https`, a host, perhaps a port, path and query.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct WebhookUrl(String);

/// A text that is no address for webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedWebhookUrl {
    /// It is too long.
    #[error("the address is longer than {WEBHOOK_URL_BYTES_MAX} bytes")]
    TooLong,
    /// Another scheme, or none.
    #[error("the address begins with neither `https://` nor `http://`")]
    Scheme,
    /// No host, or one with a name or a password before it.
    #[error(
        "the address has no host, or one that is none, or a user before it; say `https://host/path`, and authenticate by the signature"
    )]
    Host,
    /// Spaces, a fragment, or what is not ASCII.
    #[error("the address has spaces, a fragment or other characters that no address has; write them as `%xx`")]
    Characters,
}

impl WebhookUrl {
    /// The scheme: `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.parts().0
    }

    /// Host and port, as they were written.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.parts().1
    }

    /// Path and query; empty where there is none.
    #[must_use]
    pub fn path_with_query(&self) -> &str {
        self.parts().2
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parts(&self) -> (&str, &str, &str) {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        (scheme, authority, path)
    }
}

impl FromStr for WebhookUrl {
    type Err = MalformedWebhookUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > WEBHOOK_URL_BYTES_MAX {
            return Err(MalformedWebhookUrl::TooLong);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'\\')) {
            return Err(MalformedWebhookUrl::Characters);
        }
        let url = Self(text.to_owned());
        let (scheme, authority, _) = url.parts();
        if !matches!(scheme, "http" | "https") {
            return Err(MalformedWebhookUrl::Scheme);
        }
        let has_host = !authority.is_empty() && !authority.starts_with(':') && !authority.contains(['@', '*']);
        has_host.then_some(()).ok_or(MalformedWebhookUrl::Host)?;
        Ok(url)
    }
}

impl TryFrom<String> for WebhookUrl {
    type Error = MalformedWebhookUrl;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<WebhookUrl> for String {
    fn from(url: WebhookUrl) -> Self {
        url.0
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_a_host_and_perhaps_a_path() {
        let cases = [
            ("https://example.com", ("https", "example.com", "")),
            ("http://10.0.0.1:8080/in?a=/b", ("http", "10.0.0.1:8080", "/in?a=/b")),
            ("https://example.com?x", ("https", "example.com", "?x")),
            ("https://[::1]:1/", ("https", "[::1]:1", "/")),
        ];
        for (text, parts) in cases {
            let url = text.parse::<WebhookUrl>().unwrap();
            assert_eq!((url.scheme(), url.authority(), url.path_with_query()), parts);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("https://e/{}", "a".repeat(WEBHOOK_URL_BYTES_MAX));
        let cases = [
            ("example.com", MalformedWebhookUrl::Scheme),
            ("ftp://example.com", MalformedWebhookUrl::Scheme),
            ("HTTPS://example.com", MalformedWebhookUrl::Scheme),
            ("https://", MalformedWebhookUrl::Host),
            ("https:///path", MalformedWebhookUrl::Host),
            ("https://:80", MalformedWebhookUrl::Host),
            ("https://user:word@example.com", MalformedWebhookUrl::Host),
            ("https://*.example.com", MalformedWebhookUrl::Host),
            ("https://example.com/#there", MalformedWebhookUrl::Characters),
            ("https://example.com/a b", MalformedWebhookUrl::Characters),
            ("https://exämple.com/", MalformedWebhookUrl::Characters),
            ("https://example.com\\@evil", MalformedWebhookUrl::Characters),
            (&long, MalformedWebhookUrl::TooLong),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<WebhookUrl>(), Err(expected), "{text}");
        }
    }
}
