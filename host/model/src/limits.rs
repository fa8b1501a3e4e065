//! Every limit of an attempt, in one list: what definitions may set, what cells are held to, what the documents say.
//!
//! A limit can be lowered or raised for a step by its definition, and for a tenant by the operator's policy, up to a top
//! that nobody can raise. One that could not be enforced is refused where it is set.

mod fixed;

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::fixed::{FIXED, Fixed};
use crate::attempt::OUTPUT_BYTES_MAX;
use crate::failure::{EngineCode, Failure, MESSAGE_LEN_BYTES_MAX};
use crate::staged::VALUE_BYTES_MAX;
use crate::time::{ByteSize, Span};

/// An amount of whatever a limit bounds.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub enum Quantity {
    /// Bytes.
    Size(ByteSize),
    /// A number of things.
    Count(u32),
    /// A length of time.
    Time(Span),
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(size) => size.fmt(f),
            Self::Count(count) => count.fmt(f),
            Self::Time(span) => span.fmt(f),
        }
    }
}

/// What happens to an attempt that reaches a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The attempt ends with this code.
    Ends(EngineCode),
    /// The guest is told by a value, and goes on.
    Tells(&'static str),
    /// What is too much is left out, and counted.
    Drops(&'static str),
}

/// One limit of an attempt.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// The field of a step's or a policy's `limits`.
    pub name: &'static str,
    /// What it bounds.
    pub what: &'static str,
    /// What happens to an attempt that reaches it.
    pub effect: Effect,
    /// The least that it can be set to: with less no step could work.
    pub least: Quantity,
    /// What the definition or the policy says.
    pub given: fn(&StepLimits) -> Option<Quantity>,
    /// What a cell is held to.
    pub held: fn(&CellLimits) -> Quantity,
}

macro_rules! as_written {
    (size) => {
        ByteSize
    };
    (count) => {
        u32
    };
    (time) => {
        Span
    };
}

macro_rules! as_held {
    (size) => {
        u64
    };
    (count) => {
        u32
    };
    (time) => {
        Duration
    };
}

macro_rules! quantity {
    (size, $value:expr) => {
        Quantity::Size(ByteSize::from_bytes($value))
    };
    (count, $value:expr) => {
        Quantity::Count($value)
    };
    (time, $value:expr) => {
        Quantity::Time(Span::new($value))
    };
}

macro_rules! held {
    (size, $value:expr) => {
        $value.bytes()
    };
    (count, $value:expr) => {
        $value
    };
    (time, $value:expr) => {
        $value.length()
    };
}

macro_rules! limits {
    ($($name:ident, $field:ident: $kind:ident = $default:expr, from $least:expr, top $top:expr, $effect:expr, $what:literal;)+) => {
        /// How much one attempt may use; what is not given has the host's default.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct StepLimits {
            $(
                #[doc = concat!("The most ", $what, ".")]
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $name: Option<as_written!($kind)>,
            )+
        }

        /// How much one attempt may use.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub struct CellLimits {
            $(
                #[doc = concat!("The most ", $what, ".")]
                pub $field: as_held!($kind),
            )+
            /// The step's own `timeout:`, if it has one; ends the attempt with a code of its own.
            pub timeout: Option<Duration>,
        }

        /// Every limit of an attempt that definitions and policies may set.
        pub const LIMITS: &[Limit] = &[$(
            Limit {
                name: stringify!($name),
                what: $what,
                effect: $effect,
                least: quantity!($kind, $least),
                given: |limits| limits.$name.map(|given| quantity!($kind, held!($kind, given))),
                held: |limits| quantity!($kind, limits.$field),
            },
        )+];

        impl CellLimits {
            /// The hard top that nobody can raise.
            pub const TOP: Self = Self { $($field: $top,)+ timeout: None };

            const DEFAULT: Self = Self { $($field: $default,)+ timeout: None };

            /// The same limits with those that are given in their place; none passes its top.
            #[must_use]
            pub fn with(mut self, given: &StepLimits) -> Self {
                $(if let Some(given) = given.$name {
                    self.$field = held!($kind, given).min(Self::TOP.$field);
                })+
                self
            }

            /// The same limits, none above the hard top.
            #[must_use]
            pub fn within_top(mut self) -> Self {
                $(self.$field = self.$field.min(Self::TOP.$field);)+
                self
            }

            /// The same limits, none above those that are given.
            #[must_use]
            pub fn at_most(mut self, ceiling: &StepLimits) -> Self {
                $(if let Some(most) = ceiling.$name {
                    self.$field = self.$field.min(held!($kind, most));
                })+
                self
            }
        }
    };
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

limits! {
    memory, memory_bytes_max: size = 64 * MIB, from 64 * KIB, top 512 * MIB,
        Effect::Ends(EngineCode::Memory), "bytes over all linear memories";
    tables, table_entries_max: count = 50_000, from 1, top 50_000,
        Effect::Ends(EngineCode::Table), "entries over all tables";
    cpu, cpu_max: time = Duration::from_secs(1), from Duration::from_millis(1), top Duration::from_secs(60),
        Effect::Ends(EngineCode::Cpu), "time on a CPU, over every entry into the guest";
    wall, wall_max: time = Duration::from_secs(30), from Duration::from_millis(1), top Duration::from_secs(15 * 60),
        Effect::Ends(EngineCode::Wall), "time on the wall, over the whole attempt";
    output, output_bytes_max: size = OUTPUT_BYTES_MAX as u64, from 64, top OUTPUT_BYTES_MAX as u64,
        Effect::Ends(EngineCode::Output), "bytes of the output";
    context_value, context_value_bytes_max: size = VALUE_BYTES_MAX as u64, from 64, top VALUE_BYTES_MAX as u64,
        Effect::Tells("`too-large`"), "bytes of one value that is written to the context";
    failure_message, failure_message_bytes_max: size = MESSAGE_LEN_BYTES_MAX as u64, from 64, top MESSAGE_LEN_BYTES_MAX as u64,
        Effect::Drops("the rest of the message"), "bytes of a failure's message";
    log_line, log_line_bytes_max: size = 8 * KIB, from 64, top 8 * KIB,
        Effect::Drops("the rest of the line"), "bytes of one log line";
    log_lines, log_lines_max: count = 1_000, from 0, top 1_000,
        Effect::Drops("further lines"), "lines of the log";
    log, log_bytes_max: size = 256 * KIB, from 0, top 256 * KIB,
        Effect::Drops("further lines"), "bytes of the log";
    host_calls, host_calls_max: count = 100_000, from 1, top 100_000,
        Effect::Ends(EngineCode::HostCalls), "calls of the host";
    handles, handles_max: count = 1_000, from 16, top 1_000,
        Effect::Ends(EngineCode::Handles), "handles of resources held at once";
    random, random_bytes_max: size = 64 * KIB, from 16, top 64 * KIB,
        Effect::Ends(EngineCode::Trap), "random bytes of one call";
    http_requests, http_requests_max: count = 32, from 0, top 1_000,
        Effect::Tells("`HTTP-request-denied`"), "outbound HTTP requests";
    http_at_once, http_at_once_max: count = 4, from 1, top 16,
        Effect::Tells("a time-out, if its turn does not come in time"), "outbound HTTP requests at once";
    http_time, http_time_max: time = Duration::from_secs(10), from Duration::from_millis(1), top Duration::from_secs(60),
        Effect::Tells("a time-out"), "time of one outbound HTTP request";
    http_body, http_body_bytes_max: size = 2 * MIB, from 0, top 16 * MIB,
        Effect::Tells("`HTTP-request-body-size` or `HTTP-response-body-size`"), "bytes of the body of an outbound HTTP request, and of its response";
}

impl StepLimits {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Every limit that is set out of its range: the field, and what to write.
    #[must_use]
    pub fn out_of_range(&self) -> Vec<(&'static str, String)> {
        let out = LIMITS.iter().filter_map(|limit| {
            let top = (limit.held)(&CellLimits::TOP);
            let is_out = (limit.given)(self).is_some_and(|given| given < limit.least || given > top);
            is_out.then(|| (limit.name, format!("must be from {} to {top}", limit.least)))
        });
        out.collect()
    }
}

impl Default for CellLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl CellLimits {
    /// What ends an attempt in time: the step's own `timeout:` where it is the shorter one, else the wall clock.
    #[must_use]
    pub fn time_limit(&self) -> TimeLimit {
        let wall = self.wall_max.min(Self::TOP.wall_max);
        match self.timeout {
            Some(timeout) if timeout < wall => TimeLimit { length: timeout, code: EngineCode::Timeout },
            Some(_) | None => TimeLimit { length: wall, code: EngineCode::Wall },
        }
    }
}

/// How long one attempt may take, and what it has failed with once it took longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimit {
    /// How long.
    pub length: Duration,
    code: EngineCode,
}

impl TimeLimit {
    /// The failure of an attempt that took longer.
    #[must_use]
    pub fn exceeded(&self) -> Failure {
        let ms = self.length.as_millis();
        let message = if self.code == EngineCode::Timeout {
            format!("The step ran longer than its timeout of {ms} ms.")
        } else {
            format!("The attempt ran longer than its limit of {ms} ms.")
        };
        Failure::engine(self.code, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_lies_between_the_least_and_the_top() {
        for limit in LIMITS {
            let (default, top) = ((limit.held)(&CellLimits::default()), (limit.held)(&CellLimits::TOP));
            assert!(limit.least <= default && default <= top, "{}: {} {default} {top}", limit.name, limit.least);
        }
    }

    #[test]
    fn a_limit_out_of_its_range_is_named_with_the_range() {
        let limits = StepLimits {
            memory: Some(ByteSize::from_mib(513)),
            wall: Some(Span::new(Duration::from_secs(16 * 60))),
            output: Some(ByteSize::from_bytes(10)),
            log_lines: Some(0),
            ..StepLimits::default()
        };

        let expected = [
            ("memory", "must be from 64KiB to 512MiB".to_owned()),
            ("wall", "must be from 1ms to 15m".to_owned()),
            ("output", "must be from 64B to 1MiB".to_owned()),
        ];
        assert_eq!(limits.out_of_range(), expected);
    }

    #[test]
    fn a_step_has_what_it_asks_for_and_no_more_than_its_tenant_may_have() {
        let asked = StepLimits { memory: Some(ByteSize::from_mib(128)), log_lines: Some(5), ..StepLimits::default() };
        let ceiling = StepLimits { memory: Some(ByteSize::from_mib(96)), cpu: "100ms".parse().ok(), ..asked };

        let limits = CellLimits::default().with(&asked).at_most(&ceiling);

        assert_eq!((limits.memory_bytes_max, limits.log_lines_max), (96 << 20, 5));
        assert_eq!((limits.cpu_max, limits.wall_max), (Duration::from_millis(100), Duration::from_secs(30)));
    }
}
