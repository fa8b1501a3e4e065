//! Ids: which instance, execution, task, definition or component is meant.
//!
//! Each is a type of its own, so that one can not be taken for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::hex;
use crate::time::{Timestamp, serde_as_text};

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(uuid::Uuid);

        impl $name {
            /// Takes over a UUID that already names one.
            #[must_use]
            pub const fn from_uuid(uuid: uuid::Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID behind the id.
            #[must_use]
            pub const fn as_uuid(&self) -> &uuid::Uuid {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                uuid::Uuid::parse_str(text).map(Self)
            }
        }
    };
}

pub(crate) use uuid_id;

uuid_id! {
    /// Names one workflow instance. Later instances sort after earlier ones (UUID v7).
    InstanceId
}

uuid_id! {
    /// Names one registered version of a workflow definition (UUID v7).
    DefinitionId
}

uuid_id! {
    /// Names one execution of a step for the world outside (UUID v5 of instance and number).
    ///
    /// The same for every attempt of the execution, so it serves as its idempotency key.
    ExecutionId
}

uuid_id! {
    /// Names one human task (UUID v5 of instance and execution number).
    TaskId
}

uuid_id! {
    /// Names one subscription of outgoing webhooks (UUID v7).
    WebhookId
}

uuid_id! {
    /// Names one delivery of an outgoing webhook: its `webhook-id`, the same for every attempt.
    DeliveryId
}

impl WebhookId {
    /// The id of the delivery that tells this subscription of an event (UUID v5): the same however often it is made.
    #[must_use]
    pub fn delivery_of(self, position: u64, index: u32) -> DeliveryId {
        DeliveryId(Uuid::new_v5(&self.0, format!("event/{position}.{index}").as_bytes()))
    }
}

/// Numbers the executions of one instance in the order of their activation, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExecutionNumber(pub u32);

impl ExecutionNumber {
    /// Stands for the instance's own input, where a result of an execution is asked for.
    pub const INPUT: Self = Self(0);

    /// The execution's id for the world outside.
    #[must_use]
    pub fn id(self, instance: InstanceId) -> ExecutionId {
        ExecutionId(Uuid::new_v5(&instance.0, format!("execution/{}", self.0).as_bytes()))
    }

    /// The id of the instance that this execution starts at a time, if its step is a workflow.
    ///
    /// It sorts by that time like any other; the rest of it follows from the execution.
    #[must_use]
    pub fn child_id(self, instance: InstanceId, at: Timestamp) -> InstanceId {
        let name = Uuid::new_v5(&instance.0, format!("child/{}", self.0).as_bytes());
        let mut rest = [0; 10];
        rest.copy_from_slice(&name.as_bytes()[..10]);
        let ms = u64::try_from(at.unix_ms()).unwrap_or(0);
        InstanceId(uuid::Builder::from_unix_timestamp_millis(ms, &rest).into_uuid())
    }

    /// The id of the human task that this execution creates, if its step is a human one.
    #[must_use]
    pub fn task_id(self, instance: InstanceId) -> TaskId {
        TaskId(Uuid::new_v5(&instance.0, format!("task/{}", self.0).as_bytes()))
    }
}

impl fmt::Display for ExecutionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The SHA-256 of a component's bytes: what is run is named by what it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentDigest([u8; 32]);

impl ComponentDigest {
    /// The digest as sentences name it: `sha256:` and the first twelve digits.
    #[must_use]
    pub fn short(&self) -> String {
        format!("sha256:{}…", &self.hex()[..12])
    }

    /// The digest of a component's bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Takes over a digest that was computed before.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The digest in hexadecimal, without the `sha256:` before it.
    #[must_use]
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A text is not `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest is written `sha256:` and 64 hexadecimal digits")]
pub struct MalformedDigest;

impl FromStr for ComponentDigest {
    type Err = MalformedDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("sha256:").ok_or(MalformedDigest)?;
        hex::parse(digits).map(Self).ok_or(MalformedDigest)
    }
}

impl fmt::Display for ComponentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for ComponentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(ComponentDigest);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_what_it_printed() {
        let digest = ComponentDigest::of(b"component");

        assert_eq!(digest.to_string().parse(), Ok(digest));
    }

    #[test]
    fn a_digest_of_another_length_or_alphabet_is_refused() {
        for text in ["", "sha256:", "sha256:00", &format!("sha256:{}", "g".repeat(64)), &"0".repeat(64)] {
            assert_eq!(text.parse::<ComponentDigest>(), Err(MalformedDigest), "{text}");
        }
    }

    #[test]
    fn executions_of_one_instance_have_ids_of_their_own_that_never_change() {
        let instance = InstanceId::from_uuid(Uuid::from_u128(7));

        assert_eq!(ExecutionNumber(1).id(instance), ExecutionNumber(1).id(instance));
        assert_ne!(ExecutionNumber(1).id(instance), ExecutionNumber(2).id(instance));
        assert_ne!(ExecutionNumber(1).id(instance).as_uuid(), ExecutionNumber(1).task_id(instance).as_uuid());
    }
}
