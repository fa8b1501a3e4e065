//! Where an instance and its executions stand in a distributed trace: an instance is a trace, an execution a span.
//!
//! Nothing of it is stored but what a caller sent at the start: ids follow from those of the instance and its executions, so
//! that whoever tells of an execution and whoever sends a request in its name speak of the same span.
//!
//! Source: <https://www.w3.org/TR/trace-context/>.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::attempt::ContextData;
use crate::id::{ExecutionId, InstanceId};

/// Where the metadata of an instance has the context that it was started in.
pub const TRACEPARENT: &str = "traceparent";

/// The name under which the span of an instance itself is derived, among those of its executions.
const ROOT: &[u8] = b"trace/root";

/// The flag of a trace that is recorded.
const SAMPLED: u8 = 1;

/// A place in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Which trace.
    pub trace_id: [u8; 16],
    /// Which span of it.
    pub span_id: [u8; 8],
    /// What its flags say.
    pub flags: u8,
}

/// A text is no trace context of version 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "that is no `traceparent`; write `00-`, 32 digits of the trace, 16 of the span, and 2 flags, as in W3C Trace Context"
)]
pub struct MalformedTraceContext;

impl TraceContext {
    /// The context that an instance was started in, if its metadata has one that is valid.
    #[must_use]
    pub fn of_metadata(metadata: &ContextData) -> Option<Self> {
        let (_, value) = metadata.iter().find(|(key, _)| key.as_str() == TRACEPARENT)?;
        value.tree().as_str()?.parse().ok()
    }

    /// The span of an instance that was started in `parent`, or else is a trace of its own.
    #[must_use]
    pub fn of_instance(instance: InstanceId, parent: Option<Self>) -> Self {
        let span = uuid::Uuid::new_v5(instance.as_uuid(), ROOT);
        Self::within(instance, parent, *span.as_bytes())
    }

    /// The span of one of its executions.
    #[must_use]
    pub fn of_execution(instance: InstanceId, execution: ExecutionId, parent: Option<Self>) -> Self {
        Self::within(instance, parent, *execution.as_uuid().as_bytes())
    }

    fn within(
        instance: InstanceId,
        parent: Option<Self>,
        [_, _, _, _, _, _, _, _, a, b, c, d, e, f, g, h]: [u8; 16],
    ) -> Self {
        Self {
            trace_id: parent.map_or(*instance.as_uuid().as_bytes(), |parent| parent.trace_id),
            span_id: [a, b, c, d, e, f, g, h],
            flags: parent.map_or(SAMPLED, |parent| parent.flags),
        }
    }

    /// Whether it is recorded.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace_id, span_id, flags } = self;
        let (trace, span) = (u128::from_be_bytes(*trace_id), u64::from_be_bytes(*span_id));
        write!(f, "00-{trace:032x}-{span:016x}-{flags:02x}")
    }
}

impl FromStr for TraceContext {
    type Err = MalformedTraceContext;

    fn from_str(text: &str) -> Result<Self, MalformedTraceContext> {
        let parts: Vec<_> = text.splitn(5, '-').collect();
        let ["00", trace, span, flags] = parts.as_slice() else { return Err(MalformedTraceContext) };
        let (trace, span) = (hex(trace, 32)?, hex(span, 16)?);
        let flags = u8::try_from(hex(flags, 2)?).map_err(|_| MalformedTraceContext)?;
        let span = u64::try_from(span).map_err(|_| MalformedTraceContext)?;
        if trace == 0 || span == 0 {
            return Err(MalformedTraceContext);
        }
        Ok(Self { trace_id: trace.to_be_bytes(), span_id: span.to_be_bytes(), flags })
    }
}

fn hex(text: &str, len: usize) -> Result<u128, MalformedTraceContext> {
    let is_hex = text.len() == len && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let number = is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten();
    number.ok_or(MalformedTraceContext)
}

impl Serialize for TraceContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceContext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::id::ExecutionNumber;

    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_read_and_written_as_w3c_writes_it() {
        let context: TraceContext = TEXT.parse().unwrap();

        assert_eq!(context.to_string(), TEXT);
        assert!(context.is_sampled());
        assert_eq!(serde_json::from_str::<TraceContext>(&format!("\"{TEXT}\"")).unwrap(), context);
    }

    #[test]
    fn what_is_no_context_is_refused() {
        let wrong = [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e473-+0f067aa0ba902b7-01",
        ];
        for text in wrong {
            assert_eq!(text.parse::<TraceContext>(), Err(MalformedTraceContext), "{text}");
        }
    }

    #[test]
    fn an_instance_is_a_trace_of_its_own_unless_it_was_started_in_another() {
        let instance = InstanceId::from_uuid(Uuid::from_u128(7));
        let parent: TraceContext = TEXT.parse().unwrap();
        let first = ExecutionNumber(1).id(instance);

        let (root, child) =
            (TraceContext::of_instance(instance, None), TraceContext::of_execution(instance, first, None));
        let within = TraceContext::of_execution(instance, first, Some(parent));

        assert_eq!(root.trace_id, 7_u128.to_be_bytes());
        assert_eq!(root.trace_id, child.trace_id);
        assert_ne!(root.span_id, child.span_id);
        assert_eq!((within.trace_id, within.span_id), (parent.trace_id, child.span_id));
        assert_ne!(child.span_id, TraceContext::of_execution(instance, ExecutionNumber(2).id(instance), None).span_id);
    }
}
